package wire

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/amends-dev/amends/fence"
)

// Limits of an input. They keep every text within what an index of either database takes.
const (
	MaxText  = 200 // characters
	MaxLines = 100
)

// InvalidInput is the refusal code of a body that is well-formed but cannot be meant.
const InvalidInput = "invalid_input"

var (
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
	countryPattern  = regexp.MustCompile(`^[A-Z]{2}$`)
)

// Check keeps the first fault of an input. The zero value is ready to use.
type Check struct{ fault string }

// That notes the fault if ok is false. Field is the JSON name, detail says what it must be.
func (c *Check) That(ok bool, field, detail string) {
	if !ok && c.fault == "" {
		c.fault = field + " " + detail
	}
}

// Text asks for 1 to [MaxText] characters without control characters.
func (c *Check) Text(field, s string) {
	ok := strings.TrimSpace(s) != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= MaxText &&
		!strings.ContainsFunc(s, unicode.IsControl)
	c.That(ok, field, fmt.Sprintf("must be 1 to %d characters, without control characters", MaxText))
}

// Currency asks for a code in the form of ISO 4217.
func (c *Check) Currency(field, s string) {
	c.That(currencyPattern.MatchString(s), field, "must be an ISO 4217 code, such as EUR")
}

// Country asks for a code in the form of ISO 3166-1 alpha-2.
func (c *Check) Country(field, s string) {
	c.That(countryPattern.MatchString(s), field, "must be an ISO 3166-1 alpha-2 code, such as DE")
}

// Money asks for an amount of 0 or more in a currency.
func (c *Check) Money(field string, m Money) {
	c.That(m.Amount >= 0, field+".amount", "must not be negative")
	c.Currency(field+".currency", m.Currency)
}

// Address asks for every part of the address.
func (c *Check) Address(field string, a Address) {
	c.Text(field+".name", a.Name)
	c.Text(field+".street", a.Street)
	c.Text(field+".postal_code", a.PostalCode)
	c.Text(field+".city", a.City)
	c.Country(field+".country", a.Country)
}

// Lines asks for least to [MaxLines] lines of different articles, each of 1 or more pieces.
func (c *Check) Lines(field string, lines []Line, least int) {
	c.That(len(lines) >= least && len(lines) <= MaxLines, field, fmt.Sprintf("must be %d to %d lines", least, MaxLines))
	seen := map[string]bool{}
	for i, l := range lines {
		at := fmt.Sprintf("%s[%d]", field, i)
		c.Text(at+".sku", l.SKU)
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
