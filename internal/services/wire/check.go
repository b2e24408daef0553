package wire

import (
	"fmt"
	"strings"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/order"
)

// InvalidInput is the refusal code of a body that is well-formed but cannot be meant.
const InvalidInput = "invalid_input"

// Check keeps the first fault of an input. The zero value is ready to use.
type Check struct{ fault string }

// That notes the fault if ok is false. Field is the JSON name, detail says what it must be.
func (c *Check) That(ok bool, field, detail string) {
	if !ok && c.fault == "" {
		c.fault = field + " " + detail
	}
}

// Form asks for a text of the form. All forms keep texts within what an index of either database takes.
func (c *Check) Form(field string, f order.Form, s string) {
	c.That(f.Fits(s), field, "must be "+f.Must)
}

// Text asks for 1 to [order.MaxText] characters without control characters.
func (c *Check) Text(field, s string) { c.Form(field, order.TextForm, s) }

// Customer asks for a customer's ID, or that of a guest.
func (c *Check) Customer(field, id string) {
	if !order.IsGuest(id) {
		c.Form(field, order.CustomerIDForm, id)
	}
}

// Currency asks for the ISO 4217 code of a currency in use.
func (c *Check) Currency(field, s string) {
	c.That(order.ValidCurrency(s), field, "must be an ISO 4217 code, such as EUR")
}

// Country asks for an ISO 3166-1 alpha-2 code.
func (c *Check) Country(field, s string) {
	c.That(order.ValidCountry(s), field, "must be an ISO 3166-1 alpha-2 code, such as DE")
}

// Money asks for an amount of 0 or more in a currency.
func (c *Check) Money(field string, m Money) {
	c.That(m.Amount >= 0, field+".amount", "must not be negative")
	c.Currency(field+".currency", m.Currency)
}

// Address asks for an address as its country has them.
func (c *Check) Address(field string, a Address) {
	for _, fault := range a.Faults() {
		c.That(false, field+strings.ReplaceAll(fault.Pointer, "/", "."), fault.Detail)
	}
}

// Lines asks for least to [order.MaxLines] lines of different articles, each of 1 or more pieces.
func (c *Check) Lines(field string, lines []Line, least int) {
	c.That(len(lines) >= least && len(lines) <= order.MaxLines, field, fmt.Sprintf("must be %d to %d lines", least, order.MaxLines))
	seen := map[string]bool{}
	for i, l := range lines {
		at := fmt.Sprintf("%s[%d]", field, i)
		c.Form(at+".sku", order.SKUForm, l.SKU)
		c.That(l.Quantity >= 1, at+".quantity", "must be 1 or more")
		c.That(!seen[l.SKU], at+".sku", "repeats an earlier line")
		seen[l.SKU] = true
	}
}

// Err is a refusal with the code [InvalidInput] that names the first fault, or nil.
func (c *Check) Err() error {
	if c.fault == "" {
		return nil
	}
	return fence.Refuse(InvalidInput, "%s", c.fault)
}
