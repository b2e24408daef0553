package activities

import (
	"context"
	"errors"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Payment moves money. Captures and refunds are pivots: once done they cannot be undone.
type Payment struct{ participant }

// AuthorizePayment blocks an amount on a card.
type AuthorizePayment struct {
	Token  string      `json:"token"`
	Amount order.Money `json:"amount"`
}

// Authorization is an amount blocked on a card.
type Authorization struct {
	ID     string      `json:"authorization_id"`
	Amount order.Money `json:"amount"`
}

// AuthorizePayment blocks the amount. It refuses cards that are unknown or declined.
func (a *Payment) AuthorizePayment(ctx context.Context, key compensation.Key, in AuthorizePayment) (Authorization, error) {
	return do(ctx, a.participant, "authorizations", key, in, func(r Authorization) error {
		return errors.Join(given("authorization_id", r.ID), same("amount", r.Amount, in.Amount))
	})
}

// VoidAuthorization gives the amount free again.
func (a *Payment) VoidAuthorization(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "authorizations", key)
}

// CapturePayment takes an authorized amount.
type CapturePayment struct {
	AuthorizationID string      `json:"authorization_id"`
	Amount          order.Money `json:"amount"`
}

// Capture is money taken.
type Capture struct {
	ID     string      `json:"capture_id"`
	Amount order.Money `json:"amount"`
}

// CapturePayment takes the money. It refuses when the authorization no longer holds.
func (a *Payment) CapturePayment(ctx context.Context, key compensation.Key, in CapturePayment) (Capture, error) {
	return do(ctx, a.participant, "captures", key, in, func(r Capture) error {
		return errors.Join(given("capture_id", r.ID), same("amount", r.Amount, in.Amount))
	})
}

// PreventCapture makes sure that the money is never taken, or fails as irreversible if it was.
func (a *Payment) PreventCapture(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "captures", key)
}

// RefundPayment gives captured money back.
type RefundPayment struct {
	CaptureID string      `json:"capture_id"`
	Amount    order.Money `json:"amount"`
}

// Refund is money given back.
type Refund struct {
	ID     string      `json:"refund_id"`
	Amount order.Money `json:"amount"`
}

// RefundPayment gives the money back. It refuses more than what was captured.
func (a *Payment) RefundPayment(ctx context.Context, key compensation.Key, in RefundPayment) (Refund, error) {
	return do(ctx, a.participant, "refunds", key, in, func(r Refund) error {
		return errors.Join(given("refund_id", r.ID), same("amount", r.Amount, in.Amount))
	})
}

// PreventRefund makes sure that the money is never given back, or fails as irreversible if it was.
func (a *Payment) PreventRefund(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "refunds", key)
}
