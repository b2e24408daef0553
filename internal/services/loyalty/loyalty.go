// Package loyalty keeps the points that customers earn and spend. It knows balances, holds and
// every posting that changed them; it does not know what the points were earned with.
package loyalty

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Migrations make the tables and the accounts that exist from the start.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Refusal codes.
const (
	NotEnoughPoints = "not_enough_points"
	HoldUnknown     = "hold_unknown"
	PointsSpent     = "points_spent"
	NoAccount       = "no_account"
	PointsUneven    = "points_uneven"
)

const (
	// One unit of the paid currency earns a point, and a point pays a hundredth of a unit, whatever a unit is worth: a
	// shop that sells in yen and euros has to exchange its points itself.
	pointsPerUnit = 100

	// maxBalance bounds an account, so that no balance and no sum of them overflows. What would go
	// beyond it is not awarded.
	maxBalance = 1_000_000_000_000
)

// Service keeps points. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations].
func New(db *store.DB) *Service { return &Service{db: db, now: time.Now} }

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string { return []string{"HoldPoints", "AwardPoints", "TakeBackPoints"} }

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/holds/{key}", fence.Step[Hold, Held]{
		Name: "HoldPoints", Do: s.hold, Undo: s.release,
	})
	fence.Handle(mux, s.db.Ledger, "/awards/{key}", fence.Step[Award, Change]{
		Name: "AwardPoints", Do: s.award,
	})
	fence.Handle(mux, s.db.Ledger, "/takebacks/{key}", fence.Step[TakeBack, Change]{
		Name: "TakeBackPoints", Do: s.takeBack,
	})
}

// Hold asks to set points aside as part of a payment in a currency.
type Hold struct {
	CustomerID string `json:"customer_id"`
	Points     int64  `json:"points"`
	Currency   string `json:"currency"`
}

// Held is a hold and what its points pay.
type Held struct {
	HoldID string     `json:"hold_id"`
	Points int64      `json:"points"`
	Value  wire.Money `json:"value"`
}

// Award asks to spend a hold (HoldID empty: none) and to reward what was paid in money.
type Award struct {
	CustomerID string     `json:"customer_id"`
	HoldID     string     `json:"hold_id"`
	Amount     wire.Money `json:"amount"`
}

// TakeBack asks to take away points, such as those earned with goods that came back.
type TakeBack struct {
	CustomerID string `json:"customer_id"`
	Points     int64  `json:"points"`
}

// Change is how many points were awarded or taken, and what the customer can spend now.
type Change struct {
	Points  int64 `json:"points"`
	Balance int64 `json:"balance"`
}

func (s *Service) hold(ctx context.Context, tx *sql.Tx, key string, in Hold) (Held, error) {
	var c wire.Check
	c.Customer("customer_id", in.CustomerID)
	c.That(in.Points >= 1, "points", "must be 1 or more")
	c.Currency("currency", in.Currency)
	if err := c.Err(); err != nil {
		return Held{}, err
	}
	if order.IsGuest(in.CustomerID) {
		return Held{}, fence.Refuse(NoAccount, "a guest has no points to spend")
	}
	value, err := worth(in.Points, in.Currency)
	if err != nil {
		return Held{}, err
	}
	a, err := lockAccount(ctx, tx, in.CustomerID)
	if err != nil {
		return Held{}, err
	}
	if in.Points > a.balance {
		// Only the customer may know the balance, and the caller need not be the customer.
		return Held{}, fence.Refuse(NotEnoughPoints, "customer %s has fewer than %d points", in.CustomerID, in.Points)
	}
	if err := s.post(ctx, tx, a, "hold", key, -in.Points); err != nil {
		return Held{}, err
	}
	out := Held{
		HoldID: wire.ID("hold", key),
		Points: in.Points,
		Value:  value,
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO holds (hold_id, customer_id, points, currency, state)
		VALUES ($1, $2, $3, $4, 'open')`, out.HoldID, in.CustomerID, in.Points, in.Currency)
	if err != nil {
		return Held{}, fmt.Errorf("record hold: %w", err)
	}
	return out, nil
}

// maxPoints keeps the worth of points from overflowing, in a currency of any number of digits.
const maxPoints = maxBalance

// worth returns the amount that the points pay. It refuses points that make no whole number of minor units, since the
// customer would lose the rest: a yen is a hundred points.
func worth(points int64, currency string) (wire.Money, error) {
	if points > maxPoints {
		return wire.Money{}, fence.Refuse(NotEnoughPoints, "nobody has %d points", points)
	}
	value := order.Units(points, currency)
	if value.Amount%pointsPerUnit != 0 {
		return wire.Money{}, fence.Refuse(PointsUneven, "%d points are no whole amount in %s: spend them by the %d",
			points, currency, pointsPerUnit/order.Units(1, currency).Amount)
	}
	value.Amount /= pointsPerUnit
	return value, nil
}

// release gives held points back. Points that were spent cannot be.
func (s *Service) release(ctx context.Context, tx *sql.Tx, key string, in Hold, out Held) error {
	a, err := lockAccount(ctx, tx, in.CustomerID)
	if err != nil {
		return err
	}
	released, err := store.Changed(ctx, tx, `UPDATE holds SET state = 'released'
		WHERE hold_id = $1 AND state = 'open'`, out.HoldID)
	if err != nil {
		return fmt.Errorf("release hold: %w", err)
	}
	if !released {
		return fence.Refuse(PointsSpent, "the points of hold %s were spent", out.HoldID)
	}
	return s.post(ctx, tx, a, "release", key, in.Points)
}

func (s *Service) award(ctx context.Context, tx *sql.Tx, key string, in Award) (Change, error) {
	var c wire.Check
	c.Customer("customer_id", in.CustomerID)
	c.Money("amount", in.Amount)
	if in.HoldID != "" {
		c.Text("hold_id", in.HoldID)
	}
	if err := c.Err(); err != nil {
		return Change{}, err
	}
	// A guest who held points did so before guests were recognized.
	if order.IsGuest(in.CustomerID) && in.HoldID == "" {
		return Change{}, nil
	}
	a, err := lockAccount(ctx, tx, in.CustomerID)
	if err != nil {
		return Change{}, err
	}
	if in.HoldID != "" {
		spent, err := store.Changed(ctx, tx, `UPDATE holds SET state = 'spent'
			WHERE hold_id = $1 AND customer_id = $2 AND state = 'open'`, in.HoldID, in.CustomerID)
		if err != nil {
			return Change{}, fmt.Errorf("spend hold: %w", err)
		}
		if !spent {
			return Change{}, fence.Refuse(HoldUnknown, "customer %s has no open hold %s", in.CustomerID, in.HoldID)
		}
	}
	earned := max(0, min(in.Amount.Amount/order.Units(1, in.Amount.Currency).Amount, maxBalance-a.balance))
	if order.IsGuest(in.CustomerID) {
		earned = 0
	}
	if err := s.post(ctx, tx, a, "award", key, earned); err != nil {
		return Change{}, err
	}
	return Change{Points: earned, Balance: a.balance + earned}, nil
}

// takeBack takes at most what the customer can spend: points on hold already pay an order.
func (s *Service) takeBack(ctx context.Context, tx *sql.Tx, key string, in TakeBack) (Change, error) {
	var c wire.Check
	c.Customer("customer_id", in.CustomerID)
	c.That(in.Points >= 0, "points", "must not be negative")
	if err := c.Err(); err != nil {
		return Change{}, err
	}
	if order.IsGuest(in.CustomerID) {
		return Change{}, nil // the saga had no points
	}
	a, err := lockAccount(ctx, tx, in.CustomerID)
	if err != nil {
		return Change{}, err
	}
	taken := min(in.Points, a.balance)
	if err := s.post(ctx, tx, a, "takeback", key, -taken); err != nil {
		return Change{}, err
	}
	return Change{Points: taken, Balance: a.balance - taken}, nil
}

// account is a customer's account as it stands, locked until the transaction ends.
type account struct {
	customer string
	balance  int64
}

// lockAccount comes first in every step: whoever holds the account decides over its holds too. A
// customer without an account gets one with no points.
func lockAccount(ctx context.Context, tx *sql.Tx, customer string) (account, error) {
	a := account{customer: customer}
	err := tx.QueryRowContext(ctx, `INSERT INTO accounts (customer_id, balance) VALUES ($1, 0)
		ON CONFLICT (customer_id) DO UPDATE SET balance = accounts.balance RETURNING balance`, customer).Scan(&a.balance)
	if err != nil {
		return account{}, fmt.Errorf("lock account: %w", err)
	}
	return a, nil
}

// post changes the balance by points and says so in the postings.
func (s *Service) post(ctx context.Context, tx *sql.Tx, a account, kind, key string, points int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE accounts SET balance = $1 WHERE customer_id = $2`, a.balance+points, a.customer)
	if err == nil {
		_, err = tx.ExecContext(ctx, `INSERT INTO postings (kind, key, customer_id, points, posted_at)
			VALUES ($1, $2, $3, $4, $5)`, kind, key, a.customer, points, s.now().UnixMilli())
	}
	if err != nil {
		return fmt.Errorf("post %s: %w", kind, err)
	}
	return nil
}
