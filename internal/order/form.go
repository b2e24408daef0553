package order

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Form defines the allowed texts of a field. Each field has one form, in this file: the API, its description and the
// step services all use it, so that none of them refuses a text that another has let pass. Later versions keep taking
// every text that a form takes today: sagas in flight carry it past their pivot.
type Form struct {
	// Max is the longest text that fits, in Unicode code points.
	Max int
	// Pattern is a regular expression, for JSON Schema, that every text that fits matches; empty for none.
	Pattern string
	// Must describes what the text must be, as in "must be …".
	Must string
	// Example is a text that fits.
	Example string

	fits func(string) bool
}

// Fits reports whether s has the form. The empty text has none.
func (f Form) Fits(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= f.Max && f.fits(s)
}

// The forms of the fields of orders and returns.
var (
	// IDForm is the form of order IDs and return IDs: they stand in URLs, workflow IDs and step keys as they are.
	IDForm = patternForm(64, `^[A-Za-z0-9][A-Za-z0-9_-]*$`, "1 to 64 letters, digits, - and _, the first a letter or a digit", "42")
	// TextForm is the form of names, lines of an address and reasons.
	TextForm = Form{
		Max: MaxText, Must: fmt.Sprintf("1 to %d characters, without control characters", MaxText), Example: "Ada Lovelace",
		fits: func(s string) bool { return strings.TrimSpace(s) != "" && !strings.ContainsFunc(s, unicode.IsControl) },
	}
	// EmailForm is the form of e-mail addresses: one without a display name, and no longer than mail servers take it.
	EmailForm = Form{
		Max: maxEmail, Must: fmt.Sprintf("an e-mail address of at most %d bytes, such as ada@example.com", maxEmail), Example: "ada@example.com",
		fits: isEmail,
	}
	// PhoneForm is the form of phone numbers: as people write them.
	PhoneForm = Form{
		Max: 40, Must: "a phone number: 1 to 40 digits, spaces and + - . / ( ) , ; # * and letters, at least one digit", Example: "+49 40 123456",
		Pattern: `^[0-9A-Za-z +\-./(),;#*]*[0-9][0-9A-Za-z +\-./(),;#*]*$`,
		fits:    regexp.MustCompile(`^[0-9A-Za-z +\-./(),;#*]*[0-9][0-9A-Za-z +\-./(),;#*]*$`).MatchString,
	}
	// CustomerIDForm, SKUForm, VoucherForm and CarrierForm are the forms of names given by other systems: shops,
	// e-invoices, warehouses. IDs are compared as they are: case matters.
	CustomerIDForm = codeForm(MaxCustomerID, "c-1001")
	// A hundred lines with the longest SKUs fit into the part of an answer that a worker reads.
	SKUForm     = codeForm(80, "TEA-EARL-GREY")
	VoucherForm = codeForm(100, "SPRING-0001")
	CarrierForm = codeForm(64, "parcel")
	// TokenForm is the form of payment tokens. A space in a token is the sign of a card's number.
	TokenForm = patternForm(200, `^[!-~]+$`, "1 to 200 visible ASCII characters, without spaces", "tok_visa")
)

// MaxCustomerID limits a customer's ID, in characters. Twice as many fit into a search attribute: see [CustomerKey].
const MaxCustomerID = 120

// maxEmail limits an address, in bytes: RFC 5321, section 4.5.3.1.3, less the brackets.
const maxEmail = 254

func patternForm(limit int, pattern, must, example string) Form {
	return Form{Max: limit, Pattern: pattern, Must: must, Example: example, fits: regexp.MustCompile(pattern).MatchString}
}

// codeForm returns the form of another system's identifier: gid://shopify/Customer/1, a GTIN, "AB 12/3", letters of any
// script.
func codeForm(limit int, example string) Form {
	return Form{
		Max: limit, Pattern: `^[^\x00-\x20\x7f-\xa0]([^\x00-\x1f\x7f-\xa0]*[^\x00-\x20\x7f-\xa0])?$`, Example: example,
		Must: fmt.Sprintf("1 to %d printable characters, with no space at either end", limit),
		fits: func(s string) bool {
			// unicode.IsPrint accepts letters, marks, digits, punctuation and symbols, and of all spaces only the plain
			// one.
			return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) && strings.TrimSpace(s) == s
		},
	}
}

func isEmail(s string) bool {
	if len(s) > maxEmail || strings.ContainsFunc(s, unicode.IsControl) {
		return false
	}
	address, err := mail.ParseAddress(s)
	return err == nil && address.Name == "" && address.Address == s
}
