package order

import (
	"fmt"
	"regexp"
)

// ID names an order; ReturnID names a return. Both are parsed once, where they enter.
type (
	ID       string
	ReturnID string
)

// idPattern is what an ID may be: it stands in URLs, workflow IDs and step keys as it is.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// ParseID checks s: 1 to 64 letters, digits, "-" and "_", the first a letter or a digit.
func ParseID(s string) (ID, error) {
	if !idPattern.MatchString(s) {
		return "", fmt.Errorf("%w: %q", ErrBadID, s)
	}
	return ID(s), nil
}
