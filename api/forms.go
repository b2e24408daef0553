package api

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/amends-dev/amends/internal/order"
)

// forms are the allowed forms of texts in requests, by the name in a field's tag "form".
var forms = map[string]order.Form{
	"id":          order.IDForm,
	"text":        order.TextForm,
	"email":       order.EmailForm,
	"phone":       order.PhoneForm,
	"customer_id": order.CustomerIDForm,
	"sku":         order.SKUForm,
	"voucher":     order.VoucherForm,
	"carrier":     order.CarrierForm,
	"token":       order.TokenForm,
}

// formed describes the fields of T that have a tag "form" by their form, so that the description, and huma's checks with
// it, are those of package order.
func formed[T any](s *huma.Schema) *huma.Schema {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		form, ok := forms[field.Tag.Get("form")]
		if !ok {
			continue
		}
		name, omissible, _ := strings.Cut(field.Tag.Get("json"), ",")
		p := s.Properties[name]
		least, most := 1, form.Max
		p.MaxLength, p.Pattern, p.PatternDescription = &most, form.Pattern, form.Must
		if omissible == "" {
			p.MinLength = &least
		} else if form.Pattern != "" {
			p.Pattern = "^$|" + form.Pattern // left out, by clients that always send every field
		}
		if p.Description == "" {
			p.Description = "Must be " + form.Must + "."
		} else {
			p.Description = strings.TrimSuffix(p.Description, ".") + ". Must be " + form.Must + "."
		}
		if len(p.Examples) == 0 {
			p.Examples = []any{form.Example}
		}
		p.PrecomputeMessages()
	}
	return s
}

// TransformSchema implements [huma.SchemaTransformer].
func (orderRequest) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return formed[orderRequest](s)
}

// TransformSchema implements [huma.SchemaTransformer].
func (customerRequest) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return formed[customerRequest](s)
}

// TransformSchema implements [huma.SchemaTransformer].
func (lineRequest) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return formed[lineRequest](s)
}

// TransformSchema implements [huma.SchemaTransformer].
func (paymentRequest) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return formed[paymentRequest](s)
}

// TransformSchema implements [huma.SchemaTransformer].
func (addressRequest) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return formed[addressRequest](s)
}

// TransformSchema implements [huma.SchemaTransformer].
func (returnRequest) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return formed[returnRequest](s)
}
