package activities

import (
	"context"
	"errors"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Vouchers redeems voucher codes.
type Vouchers struct{ participant }

// RedeemVoucher uses up a code.
type RedeemVoucher struct {
	Code       string      `json:"code"`
	CustomerID string      `json:"customer_id"`
	Amount     order.Money `json:"amount"`
}

// Redemption is what a code was worth.
type Redemption struct {
	Code     string      `json:"code"`
	Discount order.Money `json:"discount"`
}

// RedeemVoucher uses up the code. It refuses codes that are unknown, used or expired.
func (a *Vouchers) RedeemVoucher(ctx context.Context, key compensation.Key, in RedeemVoucher) (Redemption, error) {
	return do(ctx, a.participant, "redemptions", key, in, func(r Redemption) error {
		if r.Discount.Currency != in.Amount.Currency || r.Discount.Amount > in.Amount.Amount {
			return errors.New("the discount does not fit the amount")
		}
		return amount("discount", r.Discount)
	})
}

// RestoreVoucher makes the code good again.
func (a *Vouchers) RestoreVoucher(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "redemptions", key)
}
