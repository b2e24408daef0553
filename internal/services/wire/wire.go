// Package wire holds the values that step services have in common in their bodies, and the checks
// that every input passes before it comes near a database. It knows no service and no storage.
package wire

import (
	"crypto/sha256"
	"encoding/hex"
)

// Money is an amount in minor units (cents for EUR) of an ISO 4217 currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Line is a quantity of one article.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Address is where goods go or come from. Country is an ISO 3166-1 alpha-2 code.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	PostalCode string `json:"postal_code"`
	City       string `json:"city"`
	Country    string `json:"country"`
}

// ID makes the identifier of what a step creates: prefix, a hyphen and 96 bits of the key's
// SHA-256 in hex. The same key always gives the same ID, so a repeated step cannot create a second.
func ID(prefix, key string) string {
	sum := sha256.Sum256([]byte(key))
	return prefix + "-" + hex.EncodeToString(sum[:12])
}
