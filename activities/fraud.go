package activities

import (
	"context"
	"fmt"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Fraud screens orders.
type Fraud struct{ participant }

// ScreenFraud asks whether an order can be trusted.
type ScreenFraud struct {
	CustomerID string      `json:"customer_id"`
	Email      string      `json:"email"`
	Country    string      `json:"country"`
	Amount     order.Money `json:"amount"`
}

// Verdict is what screening finds of an order that it does not refuse.
type Verdict string

// The verdicts.
const (
	// Accept: the order may go on.
	Accept Verdict = "accept"
	// Review: a person must decide.
	Review Verdict = "review"
)

// Screening is the result of ScreenFraud.
type Screening struct {
	Verdict Verdict  `json:"verdict"`
	Score   int64    `json:"score"`
	Reasons []string `json:"reasons,omitempty"`
}

// ScreenFraud screens the order, which counts toward the customer's open orders. It refuses customers who are blocked.
func (a *Fraud) ScreenFraud(ctx context.Context, key compensation.Key, in ScreenFraud) (Screening, error) {
	return do(ctx, a.participant, "screenings", key, in, func(s Screening) error {
		if s.Verdict != Accept && s.Verdict != Review {
			return fmt.Errorf("unknown verdict %q", s.Verdict)
		}
		return nil
	})
}

// WithdrawScreening makes the order not count any more.
func (a *Fraud) WithdrawScreening(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "screenings", key)
}
