package order

import (
	"errors"
	"fmt"
	"math"
	"regexp"
)

// ErrOverflow is returned when an amount does not fit into 64 bits of minor units.
var ErrOverflow = errors.New("amount overflows")

// Money is an amount in minor units (cents for EUR) of an ISO 4217 currency.
// It is never a float, so sums are exact.
type Money struct {
	Amount   int64  `json:"amount" doc:"Amount in minor units, such as cents."`
	Currency string `json:"currency" pattern:"^[A-Z]{3}$" doc:"ISO 4217 code." example:"EUR"`
}

// Minus returns m less other. It fails on different currencies and on overflow.
func (m Money) Minus(other Money) (Money, error) {
	if m.Currency != other.Currency {
		return Money{}, fmt.Errorf("%s less %s: currencies differ", m, other)
	}
	if other.Amount == math.MinInt64 || (other.Amount > 0 && m.Amount < math.MinInt64+other.Amount) ||
		(other.Amount < 0 && m.Amount > math.MaxInt64+other.Amount) {
		return Money{}, fmt.Errorf("%s less %s: %w", m, other, ErrOverflow)
	}
	return Money{Amount: m.Amount - other.Amount, Currency: m.Currency}, nil
}

// String is the amount as people write it, with two decimals: "EUR 12.90".
func (m Money) String() string {
	sign, units, cents := "", m.Amount/100, m.Amount%100
	if m.Amount < 0 {
		sign, units, cents = "-", -units, -cents
	}
	return fmt.Sprintf("%s %s%d.%02d", m.Currency, sign, units, cents)
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)
