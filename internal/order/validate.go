package order

import (
	"fmt"
	"strings"
)

// Limits of an order. They bound what one saga carries through its history. Those of its texts are in their [Form].
const (
	MaxLines    = 100
	MaxQuantity = 100_000
	MaxPoints   = 1_000_000_000
	MaxText     = 200 // characters of a name, a street, a reason, …
)

// FieldError says what is wrong with one field.
type FieldError struct {
	// Pointer is a JSON pointer (RFC 6901) into the input, such as "/lines/0/quantity".
	Pointer string
	Detail  string
}

// InvalidError lists everything that is wrong with an input. It is never empty.
type InvalidError struct{ Fields []FieldError }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Pointer + ": " + f.Detail
	}
	return strings.Join(parts, "; ")
}

// Validate returns an [*InvalidError] with every fault of the order, or nil.
func (o Order) Validate() error {
	var c check
	c.form("/id", IDForm, string(o.ID))
	if !o.Customer.Guest() {
		c.form("/customer/id", CustomerIDForm, o.Customer.ID)
	}
	c.form("/customer/name", TextForm, o.Customer.Name)
	c.form("/customer/email", EmailForm, o.Customer.Email)
	c.lines(o.Lines, 1)
	c.that(ValidCurrency(o.Currency), "/currency", "must be "+currencyMust)
	c.optional("/voucher", VoucherForm, o.Voucher)
	c.that(o.Points >= 0 && o.Points <= MaxPoints, "/points", fmt.Sprintf("must be from 0 to %d", MaxPoints))
	c.that(o.Points <= 0 || !o.Customer.Guest(), "/points", "a guest has no points to spend: name the customer's account as /customer/id")
	c.form("/payment/token", TokenForm, o.Payment.Token)
	c.fields = append(c.fields, within("/ship_to", o.ShipTo.Faults())...)
	c.optional("/carrier", CarrierForm, o.Carrier)
	if t := o.ExpectedTotal; t != nil {
		c.that(t.Amount >= 0, "/expected_total/amount", "must not be negative")
		c.that(t.Currency == o.Currency, "/expected_total/currency", "must be the order's currency")
	}
	return c.err()
}

// Validate returns an [*InvalidError] with every fault of the return, or nil.
func (r Return) Validate() error {
	var c check
	c.form("/id", IDForm, string(r.ID))
	c.form("/order_id", IDForm, string(r.OrderID))
	c.lines(r.Lines, 0)
	c.form("/reason", TextForm, r.Reason)
	return c.err()
}

// Faults returns everything that is wrong with the address, with pointers into it. Parts that its country does not need
// may be left out.
func (a Address) Faults() []FieldError {
	var c check
	c.form("/name", TextForm, a.Name)
	c.optional("/company", TextForm, a.Company)
	c.form("/street", TextForm, a.Street)
	c.optional("/street2", TextForm, a.Street2)
	if a.PostalCode != "" || NeedsPostalCode(a.Country) {
		c.form("/postal_code", TextForm, a.PostalCode)
	}
	if a.City != "" || NeedsCity(a.Country) {
		c.form("/city", TextForm, a.City)
	}
	c.optional("/region", TextForm, a.Region)
	c.that(ValidCountry(a.Country), "/country", countryMust(a.Country))
	c.optional("/phone", PhoneForm, a.Phone)
	return c.fields
}

// within returns the faults of the part at pointer.
func within(pointer string, faults []FieldError) []FieldError {
	for i := range faults {
		faults[i].Pointer = pointer + faults[i].Pointer
	}
	return faults
}

// check gathers faults, so that a caller sees all of them at once.
type check struct{ fields []FieldError }

func (c *check) that(ok bool, pointer, detail string) {
	if !ok {
		c.fields = append(c.fields, FieldError{Pointer: pointer, Detail: detail})
	}
}

func (c *check) form(pointer string, f Form, s string) { c.that(f.Fits(s), pointer, "must be "+f.Must) }

func (c *check) optional(pointer string, f Form, s string) {
	if s != "" {
		c.form(pointer, f, s)
	}
}

func (c *check) lines(lines []Line, least int) {
	c.that(len(lines) >= least && len(lines) <= MaxLines, "/lines", fmt.Sprintf("must be %d to %d lines", least, MaxLines))
	first := map[string]int{}
	for i, l := range lines {
		at := fmt.Sprintf("/lines/%d", i)
		c.form(at+"/sku", SKUForm, l.SKU)
		c.that(l.Quantity >= 1 && l.Quantity <= MaxQuantity, at+"/quantity", fmt.Sprintf("must be from 1 to %d", MaxQuantity))
		if j, seen := first[l.SKU]; seen {
			c.that(false, at+"/sku", fmt.Sprintf("repeats line %d: put both quantities into one line", j))
		} else {
			first[l.SKU] = i
		}
	}
}

func (c *check) err() error {
	if len(c.fields) == 0 {
		return nil
	}
	return &InvalidError{Fields: c.fields}
}
