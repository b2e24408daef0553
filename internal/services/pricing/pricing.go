// Package pricing quotes prices. It knows the price list, and nothing of stock, vouchers or
// customers.
package pricing

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/audit"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Migrations make the tables and the price list.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Refusal codes.
const (
	UnknownSKU      = "unknown_sku"
	CurrencyNotSold = "currency_not_sold"
	AmountTooLarge  = "amount_too_large"
)

// maxTotal is the largest total of a quote, in minor units: far above any order, and low enough
// that the sum over millions of quotes fits into 64 bits.
const maxTotal = 1_000_000_000_000

// Request asks for the prices of lines in a currency.
type Request struct {
	Currency string      `json:"currency"`
	Lines    []wire.Line `json:"lines"`
}

// Quote answers with the price of each line, in the request's order, and their sum.
type Quote struct {
	Lines []PricedLine `json:"lines"`
	Total wire.Money   `json:"total"`
}

// PricedLine is a line with its prices in minor units of the quote's currency.
type PricedLine struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
	Amount    int64  `json:"amount"`
}

// Service is the pricing service. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations].
func New(db *store.DB) *Service { return &Service{db: db, now: time.Now} }

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string { return []string{"PriceOrder"} }

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/quotes/{key}", fence.Step[Request, Quote]{
		Name: "PriceOrder", Do: s.quote, Undo: s.withdraw,
	})
}

func (s *Service) quote(ctx context.Context, tx *sql.Tx, key string, in Request) (Quote, error) {
	var check wire.Check
	check.Currency("currency", in.Currency)
	check.Lines("lines", in.Lines, 1)
	if err := check.Err(); err != nil {
		return Quote{}, err
	}
	prices, err := priceList(ctx, tx, in)
	if err != nil {
		return Quote{}, err
	}
	out, err := price(in, prices)
	if err != nil {
		return Quote{}, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO quotes (quote_key, currency, total, state, quoted_at)
		VALUES ($1, $2, $3, 'open', $4)`, key, in.Currency, out.Total.Amount, s.now().UnixMilli()); err != nil {
		return Quote{}, fmt.Errorf("write the quote: %w", err)
	}
	const columns = 5
	args := make([]any, 0, columns*len(out.Lines))
	for _, l := range out.Lines {
		args = append(args, key, l.SKU, l.Quantity, l.UnitPrice, l.Amount)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO quote_lines (quote_key, sku, quantity, unit_price, amount)
		VALUES `+store.Placeholders(len(out.Lines), columns), args...); err != nil {
		return Quote{}, fmt.Errorf("write the quote's lines: %w", err)
	}
	return out, nil
}

// priceList is the unit price of each article of in that is sold in its currency.
func priceList(ctx context.Context, tx *sql.Tx, in Request) (map[string]int64, error) {
	args := make([]any, 0, len(in.Lines)+1)
	for _, l := range in.Lines {
		args = append(args, l.SKU)
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT sku, unit_price FROM prices WHERE sku IN %s AND currency = $%d`,
		store.Placeholders(1, len(in.Lines)), len(in.Lines)+1), append(args, in.Currency)...)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	defer rows.Close() // Err says whether reading failed
	prices := make(map[string]int64, len(in.Lines))
	for rows.Next() {
		var sku string
		var unit int64
		if err := rows.Scan(&sku, &unit); err != nil {
			return nil, fmt.Errorf("read prices: %w", err)
		}
		prices[sku] = unit
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	if len(prices) > 0 {
		return prices, nil
	}
	var sold bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM prices WHERE currency = $1)`, in.Currency).Scan(&sold); err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	if !sold {
		return nil, fence.Refuse(CurrencyNotSold, "nothing is sold in %s", in.Currency)
	}
	return prices, nil
}

// price multiplies and adds, and refuses what is not for sale or beyond maxTotal.
func price(in Request, prices map[string]int64) (Quote, error) {
	out := Quote{Lines: make([]PricedLine, 0, len(in.Lines)), Total: wire.Money{Currency: in.Currency}}
	for _, l := range in.Lines {
		unit, ok := prices[l.SKU]
		if !ok {
			return Quote{}, fence.Refuse(UnknownSKU, "%q is not sold in %s", l.SKU, in.Currency)
		}
		// Divided rather than multiplied, so that nothing can overflow.
		if l.Quantity > (maxTotal-out.Total.Amount)/unit {
			return Quote{}, fence.Refuse(AmountTooLarge, "the total is over %s", wire.Money{Amount: maxTotal, Currency: in.Currency})
		}
		out.Lines = append(out.Lines, PricedLine{SKU: l.SKU, Quantity: l.Quantity, UnitPrice: unit, Amount: l.Quantity * unit})
		out.Total.Amount += l.Quantity * unit
	}
	return out, nil
}

// withdraw closes the quote. Its rows stay as a record.
func (s *Service) withdraw(ctx context.Context, tx *sql.Tx, key string, _ Request, _ Quote) error {
	withdrawn, err := store.Changed(ctx, tx, `UPDATE quotes SET state = 'withdrawn' WHERE quote_key = $1 AND state = 'open'`, key)
	if err != nil {
		return fmt.Errorf("withdraw the quote: %w", err)
	}
	if !withdrawn {
		return fmt.Errorf("withdraw the quote: %q is not open", key)
	}
	return nil
}

// Audit adds every quote up again. Sums carry their currency, as in "quoted.EUR". A quote stands
// for good when its order is completed: nothing follows it.
func (s *Service) Audit(ctx context.Context) (report audit.Report, err error) {
	err = s.db.Snapshot(ctx, func(tx *sql.Tx) error {
		b := audit.Open(tx, "pricing")
		b.Count(ctx, "standing_quotes", `SELECT COUNT(*) FROM quotes WHERE state = 'open'`)
		b.Count(ctx, "withdrawn", `SELECT COUNT(*) FROM quotes WHERE state = 'withdrawn'`)
		b.Count(ctx, "prices", `SELECT COUNT(*) FROM prices`)
		b.Counts(ctx, "quoted.", `SELECT currency, CAST(SUM(total) AS BIGINT) FROM quotes WHERE state = 'open' GROUP BY currency`)
		b.Each(ctx, "a quote's lines do not add up to its total", `SELECT quote_key FROM quotes q
			WHERE total <> (SELECT COALESCE(SUM(amount), 0) FROM quote_lines l WHERE l.quote_key = q.quote_key)`)
		b.Each(ctx, "a line's amount is not its quantity times its price", `SELECT quote_key || ' ' || sku
			FROM quote_lines WHERE amount <> quantity * unit_price`)
		report, err = b.Report()
		return err
	})
	return report, err
}
