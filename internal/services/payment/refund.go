package payment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/wire"
)

// refund moves money back to the card. The UPDATE itself compares with what was refunded before, so
// concurrent refunds cannot exceed the capture together.
func (s *Service) refund(ctx context.Context, tx *sql.Tx, key string, in Refund) (Refunded, error) {
	var check wire.Check
	check.Text("capture_id", in.CaptureID)
	check.Money("amount", in.Amount)
	if err := check.Err(); err != nil {
		return Refunded{}, err
	}
	var token string
	err := tx.QueryRowContext(ctx, `UPDATE captures SET refunded = refunded + $1
		WHERE capture_id = $2 AND currency = $3 AND $1 <= amount - refunded
			AND NOT EXISTS (SELECT 1 FROM cards WHERE cards.token = captures.token AND declines_refund = 1)
		RETURNING token`,
		in.Amount.Amount, in.CaptureID, in.Amount.Currency).Scan(&token)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Refunded{}, whyNotRefunded(ctx, tx, in)
	case err != nil:
		return Refunded{}, fmt.Errorf("take from the capture: %w", err)
	}
	out := Refunded{RefundID: wire.ID("ref", key), Amount: in.Amount}
	now := s.now().UnixMilli()
	if _, err := tx.ExecContext(ctx, `INSERT INTO refunds
		(refund_id, capture_id, amount, currency, refunded_at) VALUES ($1, $2, $3, $4, $5)`,
		out.RefundID, in.CaptureID, in.Amount.Amount, in.Amount.Currency, now); err != nil {
		return Refunded{}, fmt.Errorf("write the refund: %w", err)
	}
	err = post(ctx, tx, posting{id: "refund:" + out.RefundID, currency: in.Amount.Currency, at: now},
		debit(refunds, in.Amount.Amount),
		credit(cardAccount(token), in.Amount.Amount))
	if err != nil {
		return Refunded{}, err
	}
	return out, moveOnCard(ctx, tx, token, 0, -in.Amount.Amount)
}

// whyNotRefunded is the refusal for a capture that has not enough left, or whose card takes nothing back.
func whyNotRefunded(ctx context.Context, tx *sql.Tx, in Refund) error {
	var (
		left     int64
		currency string
		declines bool
	)
	err := tx.QueryRowContext(ctx, `SELECT amount - refunded, captures.currency, declines_refund
		FROM captures JOIN cards ON cards.token = captures.token WHERE capture_id = $1`,
		in.CaptureID).Scan(&left, &currency, &declines)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fence.Refuse(CaptureUnknown, "there is no capture %q", in.CaptureID)
	case err != nil:
		return fmt.Errorf("look up the capture: %w", err)
	case currency != in.Amount.Currency:
		return fence.Refuse(CurrencyMismatch, "the capture is in %s, not in %s", currency, in.Amount.Currency)
	}
	if declines {
		return fence.Refuse(RefundDeclined, "the card was closed and takes no refund")
	}
	return fence.Refuse(RefundTooLarge, "%s of the capture are left, less than %s", wire.Money{Amount: left, Currency: currency}, in.Amount)
}
