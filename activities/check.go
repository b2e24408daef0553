package activities

import (
	"fmt"

	"github.com/amends-dev/amends/internal/order"
)

// given checks that an answer names what it made. Fields come in pairs of name and value.
func given(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return fmt.Errorf("%s is missing", pairs[i])
		}
	}
	return nil
}

// amount checks that an answer's amount is one.
func amount(name string, m order.Money) error {
	if m.Amount < 0 || m.Currency == "" {
		return fmt.Errorf("%s is no amount: %s", name, m)
	}
	return nil
}

// same checks that an answer is about the amount that was asked for.
func same(name string, got, asked order.Money) error {
	if got != asked {
		return fmt.Errorf("%s is %s, asked for %s", name, got, asked)
	}
	return nil
}
