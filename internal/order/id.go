package order

import "fmt"

// ID names an order; ReturnID names a return. Both are parsed once, where they enter.
type (
	ID       string
	ReturnID string
)

// ParseID checks s: 1 to 64 letters, digits, "-" and "_", the first a letter or a digit.
func ParseID(s string) (ID, error) {
	if !IDForm.Fits(s) {
		return "", fmt.Errorf("%w: %q", ErrBadID, s)
	}
	return ID(s), nil
}
