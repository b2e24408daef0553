package activities

import (
	"context"
	"errors"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Pricing quotes prices.
type Pricing struct{ participant }

// PriceOrder asks for a binding price.
type PriceOrder struct {
	Currency string       `json:"currency"`
	Lines    []order.Line `json:"lines"`
}

// Quote is a binding price.
type Quote struct {
	Lines []QuotedLine `json:"lines"`
	Total order.Money  `json:"total"`
}

// QuotedLine is a line with its price, in minor units of the quote's currency.
type QuotedLine struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
	Amount    int64  `json:"amount"`
}

// PriceOrder makes a quote. It refuses articles that are not sold, and other currencies.
func (a *Pricing) PriceOrder(ctx context.Context, key compensation.Key, in PriceOrder) (Quote, error) {
	return do(ctx, a.participant, "quotes", key, in, func(q Quote) error {
		if len(q.Lines) != len(in.Lines) {
			return errors.New("the quote has other lines than the order")
		}
		if q.Total.Currency != in.Currency {
			return errors.New("the quote is in another currency")
		}
		return amount("total", q.Total)
	})
}

// WithdrawQuote makes the quote not binding any more.
func (a *Pricing) WithdrawQuote(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "quotes", key)
}
