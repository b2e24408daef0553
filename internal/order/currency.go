package order

import (
	"regexp"
	"strings"
)

// ValidCurrency reports whether code is the ISO 4217 code of a currency in use.
func ValidCurrency(code string) bool { return listed(currencyCodes, currencyCode, code) }

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// currencyMust describes what a currency must be.
const currencyMust = "the ISO 4217 code of a currency in use, such as EUR"

// MinorDigits returns the number of decimals of the currency: 10^MinorDigits minor units make one unit, such as a yen
// (0), a euro (2) or a Kuwaiti dinar (3). It is 2 for an unknown code.
func MinorDigits(currency string) int {
	switch {
	case listed(undivided, currencyCode, currency):
		return 0
	case listed(thousandths, currencyCode, currency):
		return 3
	case listed(tenThousandths, currencyCode, currency):
		return 4
	}
	return 2
}

// Units returns n whole units of the currency, in minor units: Units(5, "EUR") is 5.00 euros, an amount of 500. It
// overflows for n beyond 10^14.
func Units(n int64, currency string) Money {
	for range MinorDigits(currency) {
		n *= 10
	}
	return Money{Amount: n, Currency: currency}
}

// listed reports whether code, which has the form, is in the list. Codes are of one length, with a space between them.
func listed(list string, form *regexp.Regexp, code string) bool {
	return form.MatchString(code) && strings.Contains(list, code)
}
