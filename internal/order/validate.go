package order

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of an order. They bound what one saga carries through its history.
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

var (
	skuPattern     = regexp.MustCompile(`^[A-Z0-9][A-Z0-9-]{0,63}$`)
	tokenPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	countryPattern = regexp.MustCompile(`^[A-Z]{2}$`)
)

// Validate returns an [*InvalidError] with every fault of the order, or nil.
func (o Order) Validate() error {
	var c check
	c.that(idPattern.MatchString(string(o.ID)), "/id", ErrBadID.Error())
	c.token("/customer/id", o.Customer.ID)
	c.text("/customer/name", o.Customer.Name)
	address, err := mail.ParseAddress(o.Customer.Email)
	c.that(err == nil && address.Address == o.Customer.Email, "/customer/email", "must be an e-mail address, such as ada@example.com")
	c.lines(o.Lines, 1)
	c.that(currencyCode.MatchString(o.Currency), "/currency", "must be an ISO 4217 code, such as EUR")
	if o.Voucher != "" {
		c.that(skuPattern.MatchString(o.Voucher), "/voucher", "must be capital letters, digits and -, at most 64")
	}
	c.that(o.Points >= 0 && o.Points <= MaxPoints, "/points", fmt.Sprintf("must be from 0 to %d", MaxPoints))
	c.token("/payment/token", o.Payment.Token)
	c.text("/ship_to/name", o.ShipTo.Name)
	c.text("/ship_to/street", o.ShipTo.Street)
	c.text("/ship_to/postal_code", o.ShipTo.PostalCode)
	c.text("/ship_to/city", o.ShipTo.City)
	c.that(countryPattern.MatchString(o.ShipTo.Country), "/ship_to/country", "must be an ISO 3166-1 alpha-2 code, such as DE")
	if o.Carrier != "" {
		c.token("/carrier", o.Carrier)
	}
	return c.err()
}

// Validate returns an [*InvalidError] with every fault of the return, or nil.
func (r Return) Validate() error {
	var c check
	c.that(idPattern.MatchString(string(r.ID)), "/id", ErrBadID.Error())
	c.that(idPattern.MatchString(string(r.OrderID)), "/order_id", ErrBadID.Error())
	c.lines(r.Lines, 0)
	c.text("/reason", r.Reason)
	return c.err()
}

// check gathers faults, so that a caller sees all of them at once.
type check struct{ fields []FieldError }

func (c *check) that(ok bool, pointer, detail string) {
	if !ok {
		c.fields = append(c.fields, FieldError{Pointer: pointer, Detail: detail})
	}
}

func (c *check) text(pointer, s string) {
	ok := strings.TrimSpace(s) != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= MaxText &&
		!strings.ContainsFunc(s, unicode.IsControl)
	c.that(ok, pointer, fmt.Sprintf("must be 1 to %d characters, without control characters", MaxText))
}

func (c *check) token(pointer, s string) {
	c.that(tokenPattern.MatchString(s), pointer, "must be 1 to 64 letters, digits, - _ and ., the first a letter or a digit")
}

func (c *check) lines(lines []Line, least int) {
	c.that(len(lines) >= least && len(lines) <= MaxLines, "/lines", fmt.Sprintf("must be %d to %d lines", least, MaxLines))
	first := map[string]int{}
	for i, l := range lines {
		at := fmt.Sprintf("/lines/%d", i)
		c.that(skuPattern.MatchString(l.SKU), at+"/sku", "must be capital letters, digits and -, at most 64")
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
