// Package vouchers redeems codes that lower the price of an order. It knows which codes there are,
// what each is worth, until when, and who used it; it does not know what was ordered.
package vouchers

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services/audit"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Migrations make the tables and the vouchers that are out.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Refusal codes.
const (
	VoucherUnknown  = "voucher_unknown"
	VoucherUsed     = "voucher_used"
	VoucherExpired  = "voucher_expired"
	VoucherCurrency = "voucher_currency"
)

// Redemption asks for the discount of a voucher on an amount.
type Redemption struct {
	Code       string     `json:"code"`
	CustomerID string     `json:"customer_id"`
	Amount     wire.Money `json:"amount"`
}

// Discount is what a voucher takes off: its worth, but never more than the amount.
type Discount struct {
	Code     string     `json:"code"`
	Discount wire.Money `json:"discount"`
}

// Service redeems vouchers. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations].
func New(db *store.DB) *Service { return &Service{db: db, now: time.Now} }

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string { return []string{"RedeemVoucher"} }

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/redemptions/{key}", fence.Step[Redemption, Discount]{
		Name: "RedeemVoucher", Do: s.redeem, Undo: s.restore,
	})
}

func (s *Service) redeem(ctx context.Context, tx *sql.Tx, key string, in Redemption) (Discount, error) {
	var c wire.Check
	c.Form("code", order.VoucherForm, in.Code)
	c.Customer("customer_id", in.CustomerID)
	c.Money("amount", in.Amount)
	if err := c.Err(); err != nil {
		return Discount{}, err
	}
	now := s.now().UnixMilli()
	worth, err := take(ctx, tx, key, in, now)
	if err != nil {
		return Discount{}, err
	}
	out := Discount{
		Code:     in.Code,
		Discount: wire.Money{Amount: min(worth, in.Amount.Amount), Currency: in.Amount.Currency},
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO redemptions
		(key, code, customer_id, discount, currency, state, redeemed_at)
		VALUES ($1, $2, $3, $4, $5, 'open', $6)`,
		key, in.Code, in.CustomerID, out.Discount.Amount, out.Discount.Currency, now)
	if err != nil {
		return Discount{}, fmt.Errorf("record redemption: %w", err)
	}
	return out, nil
}

// take marks the voucher as used by key and answers its worth. The update leaves another's mark
// where it is and locks the row, so that what it returns is true until the transaction ends; a
// refusal undoes the mark.
func take(ctx context.Context, tx *sql.Tx, key string, in Redemption, now int64) (int64, error) {
	var worth, validUntil int64
	var currency, usedBy string
	err := tx.QueryRowContext(ctx, `UPDATE vouchers SET used_by = COALESCE(used_by, $1) WHERE code = $2
		RETURNING amount, currency, valid_until, used_by`, key, in.Code).
		Scan(&worth, &currency, &validUntil, &usedBy)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, fence.Refuse(VoucherUnknown, "there is no voucher %s", in.Code)
	case err != nil:
		return 0, fmt.Errorf("take voucher: %w", err)
	case usedBy != key:
		return 0, fence.Refuse(VoucherUsed, "voucher %s was used", in.Code)
	case now > validUntil:
		return 0, fence.Refuse(VoucherExpired, "voucher %s expired on %s", in.Code,
			time.UnixMilli(validUntil).UTC().Format(time.DateOnly))
	case currency != in.Amount.Currency:
		return 0, fence.Refuse(VoucherCurrency, "voucher %s is in %s, not in %s", in.Code, currency, in.Amount.Currency)
	}
	return worth, nil
}

// restore makes the voucher usable again.
func (s *Service) restore(ctx context.Context, tx *sql.Tx, key string, in Redemption, _ Discount) error {
	err := tx.QueryRowContext(ctx, `UPDATE vouchers SET used_by = NULL WHERE code = $1 AND used_by = $2 RETURNING code`,
		in.Code, key).Scan(new(string))
	if err != nil {
		return fmt.Errorf("free voucher: %w", err)
	}
	err = tx.QueryRowContext(ctx, `UPDATE redemptions SET state = 'restored' WHERE key = $1 AND state = 'open' RETURNING code`,
		key).Scan(new(string))
	if err != nil {
		return fmt.Errorf("restore redemption: %w", err)
	}
	return nil
}

// Audit recomputes which vouchers are used from the redemptions. A redemption of an order that was
// completed stands for good: nobody tells this service that it is final.
func (s *Service) Audit(ctx context.Context) (audit.Report, error) {
	var report audit.Report
	err := s.db.Snapshot(ctx, func(tx *sql.Tx) (err error) {
		b := audit.Open(tx, "vouchers")
		b.Count(ctx, "vouchers", `SELECT COUNT(*) FROM vouchers`)
		b.Count(ctx, "used", `SELECT COUNT(*) FROM vouchers WHERE used_by IS NOT NULL`)
		b.Count(ctx, "standing_redemptions", `SELECT COUNT(*) FROM redemptions WHERE state = 'open'`)
		b.Count(ctx, "restored", `SELECT COUNT(*) FROM redemptions WHERE state = 'restored'`)
		b.Each(ctx, "used without exactly one redemption that stands, or the other way round", `
			SELECT code FROM (
				SELECT code, 1 AS used, 0 AS redeemed FROM vouchers WHERE used_by IS NOT NULL
				UNION ALL
				SELECT code, 0, 1 FROM redemptions WHERE state <> 'restored'
			) AS marks
			GROUP BY code HAVING SUM(used) <> SUM(redeemed) ORDER BY code`)
		b.Each(ctx, "used by another than its redemption", `
			SELECT v.code FROM vouchers v JOIN redemptions r ON r.code = v.code
			WHERE r.state <> 'restored' AND r.key <> v.used_by ORDER BY v.code`)
		report, err = b.Report()
		return err
	})
	return report, err
}
