// Package fraud decides whether an order looks honest. It knows the customers it has reason to
// watch or block, and what every customer has under way; it knows nothing of cards or stock.
package fraud

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services/audit"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Migrations make the tables and the customers known from the start.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// FraudSuspected is the refusal code of an order that must not go on.
const FraudSuspected = "fraud_suspected"

// Verdict is what a screening answers. An order under suspicion gets none: it is refused.
type Verdict string

// The verdicts: go on, or let a person decide.
const (
	Accept Verdict = "accept"
	Review Verdict = "review"
)

// The score of an order is the sum of the weights that apply to it.
const (
	// In whole units of the order's currency, whatever a unit is worth: euros, yen, dinars.
	largeAmount   = 1_000     // from which an order is large
	heavyExposure = 1_000_000 // under way in the window
	exposureDays  = 30

	largeAmountWeight   = 40
	watchedWeight       = 50
	heavyExposureWeight = 20

	reviewFrom = 40
	refuseOver = 100

	// maxDailyExposure is what a customer can have under way from one day. It is far above any
	// order, and low enough that no sum over customers and days overflows.
	maxDailyExposure = 10_000_000_000_000 // in minor units
)

// Screening is the input of a judgment. A guest has no customer ID, and is known by the e-mail address.
type Screening struct {
	CustomerID string     `json:"customer_id"`
	Email      string     `json:"email"`
	Country    string     `json:"country"`
	Amount     wire.Money `json:"amount"`
}

// Judgment is the verdict and how it came about.
type Judgment struct {
	Verdict Verdict  `json:"verdict"`
	Score   int64    `json:"score"`
	Reasons []string `json:"reasons"`
}

// Service screens orders. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations].
func New(db *store.DB) *Service { return &Service{db: db, now: time.Now} }

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string { return []string{"ScreenFraud"} }

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/screenings/{key}", fence.Step[Screening, Judgment]{
		Name: "ScreenFraud", Do: s.screen, Undo: s.withdraw,
	})
}

func (s *Service) screen(ctx context.Context, tx *sql.Tx, key string, in Screening) (Judgment, error) {
	var c wire.Check
	c.Customer("customer_id", in.CustomerID)
	c.Form("email", order.EmailForm, in.Email)
	c.Country("country", in.Country)
	c.Money("amount", in.Amount)
	if err := c.Err(); err != nil {
		return Judgment{}, err
	}
	who := in.account()
	standing, err := standingOf(ctx, tx, who)
	if err != nil {
		return Judgment{}, err
	}
	if standing == "blocked" {
		return Judgment{}, fence.Refuse(FraudSuspected, "customer %s is blocked", who)
	}
	now := s.now().UTC()
	exposure, err := expose(ctx, tx, who, in.Amount, dayOf(now))
	if err != nil {
		return Judgment{}, err
	}
	judgment, err := judge(in, standing == "watched", exposure)
	if err != nil {
		return Judgment{}, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO screenings
		(key, customer_id, email, country, amount, currency, verdict, score, state, screened_at, day)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10)`,
		key, who, in.Email, in.Country, in.Amount.Amount, in.Amount.Currency,
		string(judgment.Verdict), judgment.Score, now.UnixMilli(), dayOf(now))
	if err != nil {
		return Judgment{}, fmt.Errorf("record screening: %w", err)
	}
	return judgment, nil
}

// account returns the name under which the screening counts. One guest's orders do not count for another, so each is
// known by the address; no ID begins with a space, so none is taken for a guest.
func (in Screening) account() string {
	if order.IsGuest(in.CustomerID) {
		return " guest " + strings.ToLower(in.Email)
	}
	return in.CustomerID
}

// judge turns the facts into a verdict, or a refusal when the score is too high.
func judge(in Screening, watched bool, exposure int64) (Judgment, error) {
	j := Judgment{Verdict: Accept, Reasons: []string{}}
	add := func(applies bool, weight int64, reason string) {
		if applies {
			j.Score += weight
			j.Reasons = append(j.Reasons, reason)
		}
	}
	large, heavy := order.Units(largeAmount, in.Amount.Currency), order.Units(heavyExposure, in.Amount.Currency)
	add(in.Amount.Amount >= large.Amount, largeAmountWeight, fmt.Sprintf("the amount is %s or more", large))
	add(watched, watchedWeight, "the customer is on the watch list")
	add(exposure >= heavy.Amount, heavyExposureWeight, fmt.Sprintf("the customer has %s or more under way", heavy))
	if j.Score > refuseOver {
		return Judgment{}, fence.Refuse(FraudSuspected, "too much speaks against it") // only people who see the books may see the reasons
	}
	if j.Score >= reviewFrom {
		j.Verdict = Review
	}
	return j, nil
}

// expose counts the order toward what the customer has under way and answers the sum over the
// window, this order included. It comes first in the transaction: its row lock makes concurrent
// screenings of one customer see each other.
func expose(ctx context.Context, tx *sql.Tx, who string, amount wire.Money, day int64) (int64, error) {
	if amount.Amount > maxDailyExposure {
		return 0, fence.Refuse(FraudSuspected, "the amount is beyond what one customer can have under way")
	}
	added, err := store.Changed(ctx, tx, `INSERT INTO exposures (customer_id, currency, day, screenings, amount)
		VALUES ($1, $2, $3, 1, $4)
		ON CONFLICT (customer_id, currency, day) DO UPDATE
		SET screenings = exposures.screenings + 1, amount = exposures.amount + excluded.amount
		WHERE exposures.amount <= $5 - excluded.amount`,
		who, amount.Currency, day, amount.Amount, int64(maxDailyExposure))
	if err != nil {
		return 0, fmt.Errorf("add exposure: %w", err)
	}
	if !added {
		return 0, fence.Refuse(FraudSuspected, "customer %s has too much under way today", who)
	}
	var sum int64
	err = tx.QueryRowContext(ctx, `SELECT CAST(SUM(amount) AS BIGINT) FROM exposures
		WHERE customer_id = $1 AND currency = $2 AND day > $3`,
		who, amount.Currency, day-exposureDays).Scan(&sum)
	if err != nil {
		return 0, fmt.Errorf("sum exposure: %w", err)
	}
	return sum, nil
}

// withdraw takes the order out of the customer's exposure.
func (s *Service) withdraw(ctx context.Context, tx *sql.Tx, key string, in Screening, _ Judgment) error {
	var day int64
	var who string
	err := tx.QueryRowContext(ctx, `UPDATE screenings SET state = 'withdrawn'
		WHERE key = $1 AND state = 'open' RETURNING customer_id, day`, key).Scan(&who, &day)
	if err != nil {
		return fmt.Errorf("withdraw screening: %w", err)
	}
	err = tx.QueryRowContext(ctx, `UPDATE exposures SET screenings = screenings - 1, amount = amount - $1
		WHERE customer_id = $2 AND currency = $3 AND day = $4 RETURNING day`,
		in.Amount.Amount, who, in.Amount.Currency, day).Scan(&day)
	if err != nil {
		return fmt.Errorf("take exposure away: %w", err)
	}
	return nil
}

// standingOf is "blocked", "watched", or empty for a customer without a note.
func standingOf(ctx context.Context, tx *sql.Tx, customer string) (string, error) {
	var standing string
	err := tx.QueryRowContext(ctx, `SELECT standing FROM customers WHERE customer_id = $1`, customer).Scan(&standing)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look up customer: %w", err)
	}
	return standing, nil
}

func dayOf(t time.Time) int64 { return t.Unix() / 86400 }

// Audit recomputes every customer's exposure from the screenings that stand. The screening
// of an order that was completed stands for good: nobody tells this service that it is final.
func (s *Service) Audit(ctx context.Context) (audit.Report, error) {
	var report audit.Report
	err := s.db.Snapshot(ctx, func(tx *sql.Tx) (err error) {
		b := audit.Open(tx, "fraud")
		b.Count(ctx, "standing_screenings", `SELECT COUNT(*) FROM screenings WHERE state = 'open'`)
		b.Count(ctx, "withdrawn", `SELECT COUNT(*) FROM screenings WHERE state = 'withdrawn'`)
		b.Count(ctx, "standing_exposure", `SELECT CAST(SUM(amount) AS BIGINT) FROM exposures`)
		b.Each(ctx, "exposure is not the sum of the open screenings", `
			SELECT customer_id || ', ' || currency || ', day ' || CAST(day AS TEXT) FROM (
				SELECT customer_id, currency, day, screenings, amount FROM exposures
				UNION ALL
				SELECT customer_id, currency, day, -1, -amount FROM screenings WHERE state = 'open'
			) AS entries
			GROUP BY customer_id, currency, day HAVING SUM(screenings) <> 0 OR SUM(amount) <> 0
			ORDER BY 1`)
		report, err = b.Report()
		return err
	})
	return report, err
}
