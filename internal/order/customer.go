package order

import "strings"

// Guest reports whether the customer has no account: without an ID, or with the 0 that shops give to customers who have
// not registered. A guest has no points, or anything else that is kept for an account.
func (c Customer) Guest() bool { return IsGuest(c.ID) }

// Account returns the customer's ID; empty for a guest.
func (c Customer) Account() string {
	if c.Guest() {
		return ""
	}
	return c.ID
}

// IsGuest reports whether the customer's ID is a guest's: see [Customer.Guest].
func IsGuest(customerID string) bool { return customerID == "" || customerID == "0" }

// The characters of a customer's ID that a search attribute must not have. Temporal's SQL stores do not find a value with
// a quote at its end, a double quote or a backslash, and fail on a question mark; the others mean something in a query's
// text.
const (
	unsafeInKey = `'"\?%;*` + "`" + `$~`
	escapedAs   = "qdbmpsagut" // each after a tilde, in the same order
)

var (
	keyEscaper   = strings.NewReplacer(keyPairs(false)...)
	keyUnescaper = strings.NewReplacer(keyPairs(true)...)
)

func keyPairs(back bool) []string {
	var pairs []string
	for i, r := range unsafeInKey {
		escape := "~" + escapedAs[i:i+1]
		if back {
			pairs = append(pairs, escape, string(r))
		} else {
			pairs = append(pairs, string(r), escape)
		}
	}
	return pairs
}

// CustomerKey returns the customer's ID as it stands in a search attribute and in a query for it: letters, digits and
// most punctuation as they are, anything else as a tilde and a letter. It has up to 2 × [MaxCustomerID] characters, which
// the 255 of Temporal's PostgreSQL hold. [CustomerIDOf] reads it. An ID of letters, digits and -_. is its own key.
func CustomerKey(id string) string { return keyEscaper.Replace(id) }

// CustomerIDOf returns the ID whose [CustomerKey] is key.
func CustomerIDOf(key string) string { return keyUnescaper.Replace(key) }
