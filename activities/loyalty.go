package activities

import (
	"context"
	"errors"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Loyalty keeps the customers' points.
type Loyalty struct{ participant }

// HoldPoints sets points aside to pay with.
type HoldPoints struct {
	CustomerID string `json:"customer_id"`
	Points     int64  `json:"points"`
	Currency   string `json:"currency"`
}

// Hold is points set aside.
type Hold struct {
	ID     string      `json:"hold_id"`
	Points int64       `json:"points"`
	Value  order.Money `json:"value"`
}

// HoldPoints sets points aside. It refuses when the customer has not enough.
func (a *Loyalty) HoldPoints(ctx context.Context, key compensation.Key, in HoldPoints) (Hold, error) {
	return do(ctx, a.participant, "holds", key, in, func(h Hold) error {
		if h.Points != in.Points || h.Value.Currency != in.Currency {
			return errors.New("the hold is not what was asked for")
		}
		return errors.Join(given("hold_id", h.ID), amount("value", h.Value))
	})
}

// ReleasePoints gives the points back.
func (a *Loyalty) ReleasePoints(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "holds", key)
}

// AwardPoints spends what an order held and awards what it earned.
type AwardPoints struct {
	CustomerID string `json:"customer_id"`
	// HoldID is empty for an order that pays without points.
	HoldID string      `json:"hold_id"`
	Amount order.Money `json:"amount"`
}

// PointsChange is a change of a customer's points.
type PointsChange struct {
	Points  int64 `json:"points"`
	Balance int64 `json:"balance"`
}

func (c PointsChange) check() error {
	if c.Points < 0 || c.Balance < 0 {
		return errors.New("points are negative")
	}
	return nil
}

// AwardPoints spends the held points and awards new ones for what was paid.
func (a *Loyalty) AwardPoints(ctx context.Context, key compensation.Key, in AwardPoints) (PointsChange, error) {
	return do(ctx, a.participant, "awards", key, in, PointsChange.check)
}

// TakeBackPoints takes points that a returned order had earned.
type TakeBackPoints struct {
	CustomerID string `json:"customer_id"`
	Points     int64  `json:"points"`
}

// TakeBackPoints takes the points, at most what the customer has.
func (a *Loyalty) TakeBackPoints(ctx context.Context, key compensation.Key, in TakeBackPoints) (PointsChange, error) {
	return do(ctx, a.participant, "takebacks", key, in, PointsChange.check)
}
