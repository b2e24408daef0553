// Package wire holds the values that step services have in common in their bodies, and the checks that every input passes
// before it comes near a database. Both are those of package order, so that no service refuses the form of anything that
// the API has let pass. It knows no service and no storage.
package wire

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/amends-dev/amends/internal/order"
)

// The values that bodies share with orders.
type (
	Money   = order.Money
	Line    = order.Line
	Address = order.Address
)

// ID makes the identifier of what a step creates: prefix, a hyphen and 96 bits of the key's
// SHA-256 in hex. The same key always gives the same ID, so a repeated step cannot create a second.
func ID(prefix, key string) string {
	sum := sha256.Sum256([]byte(key))
	return prefix + "-" + hex.EncodeToString(sum[:12])
}
