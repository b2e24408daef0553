package api

import (
	"cmp"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

var problemType = reflect.TypeFor[Problem]()

// huma takes these settings for the whole process only.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return newProblem("", refusal(status, message, errs))
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		f := refusal(status, message, errs)
		noteRefusal(ctx.Context(), f.code)
		return newProblem(traceID(ctx.Context()), f)
	}
	// "Quantity" is not "quantity": the description says so, and other readers of the same body may not be as lenient.
	huma.ValidateStrictCasing = true
}

// The texts for fields that an operation does not have.
const (
	unknownFields = "The body has fields that this resource does not know."
	unknownField  = "is not a field of this resource"
)

// refusal is what huma found wrong with a request, in the words of this API.
func refusal(status int, message string, errs []error) *failure {
	f := &failure{code: codeInternal}
	switch status {
	case http.StatusBadRequest:
		f.code, f.detail = codeMalformed, message
	case http.StatusUnprocessableEntity:
		f.code, f.detail = codeInvalid, "Some fields cannot be as they are."
	default:
		return f
	}
	for _, err := range errs {
		detailer, ok := err.(huma.ErrorDetailer)
		if !ok {
			continue
		}
		d := detailer.ErrorDetail()
		if place, name, _ := strings.Cut(d.Location, "."); place == "query" || place == "path" || place == "header" {
			f.code, f.detail = codeBadParameter, "A parameter cannot be read."
			f.faults = append(f.faults, Fault{Parameter: name, Detail: d.Message})
			continue
		}
		if d.Message == validation.MsgUnexpectedProperty {
			f.code, f.detail = codeMalformed, unknownFields
			d.Message = unknownField
		}
		f.faults = append(f.faults, bodyFault(d))
	}
	// huma walks over maps.
	slices.SortStableFunc(f.faults, func(a, b Fault) int { return cmp.Compare(a.Pointer, b.Pointer) })
	return f
}

// bodyFault is a fault that huma found in a body.
func bodyFault(d *huma.ErrorDetail) Fault {
	at := pointerOf(d.Location)
	var missing string
	// huma points at the object; the place to look at is the field.
	if n, _ := fmt.Sscanf(d.Message, validation.MsgExpectedRequiredProperty, &missing); n == 1 {
		return Fault{Pointer: at + "/" + missing, Detail: "is missing"}
	}
	return Fault{Pointer: at, Detail: d.Message}
}

// pointerOf turns a place as huma names it, such as "body.lines[0].quantity", into a JSON pointer. No name in it has a
// dot or a bracket: readBody lets none pass.
func pointerOf(location string) string {
	place := strings.TrimPrefix(strings.TrimPrefix(location, "body"), ".")
	if place == "" {
		return ""
	}
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(place)
}
