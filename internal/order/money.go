package order

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrOverflow is returned when an amount does not fit into 64 bits of minor units.
var ErrOverflow = errors.New("amount overflows")

// Money is an amount in minor units of an ISO 4217 currency: cents for EUR, yen for JPY, fils for KWD, a thousand to the
// dinar (see [MinorDigits]). It is never a float, so sums are exact.
type Money struct {
	Amount   int64  `json:"amount" doc:"Amount in minor units, as ISO 4217 counts them: 1290 is EUR 12.90, JPY 1290 and KWD 1.290."`
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

// String returns the amount as people write it, with the decimals of its currency: "EUR 12.90", "JPY 1290", "KWD 1.290".
func (m Money) String() string {
	sign, amount := "", uint64(m.Amount)
	if m.Amount < 0 {
		sign, amount = "-", -amount // also right for the smallest amount, which has no negative
	}
	digits := MinorDigits(m.Currency)
	if digits == 0 {
		return fmt.Sprintf("%s %s%d", m.Currency, sign, amount)
	}
	unit := uint64(Units(1, m.Currency).Amount)
	return fmt.Sprintf("%s %s%d.%0*d", m.Currency, sign, amount/unit, digits, amount%unit)
}

// ParseMoney reads an amount as people write it, such as "12.90" of EUR, "1290" of JPY or "1.290" of KWD: digits, and
// after a point up to as many as the currency has. The error describes what it must be.
func ParseMoney(amount, currency string) (Money, error) {
	if !ValidCurrency(currency) {
		return Money{}, fmt.Errorf("currency %q: must be %s", currency, currencyMust)
	}
	digits := MinorDigits(currency)
	whole, decimals, pointed := strings.Cut(amount, ".")
	isNumber := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if !isNumber(whole) || (pointed && !isNumber(decimals)) || len(decimals) > digits {
		return Money{}, fmt.Errorf("amount %q: must be digits, with at most %d after a point, as in %s", amount, digits, Units(1, currency))
	}
	minor, err := strconv.ParseInt(whole+decimals+strings.Repeat("0", digits-len(decimals)), 10, 64)
	if err != nil {
		return Money{}, fmt.Errorf("amount %q: %w", amount, ErrOverflow)
	}
	return Money{Amount: minor, Currency: currency}, nil
}
