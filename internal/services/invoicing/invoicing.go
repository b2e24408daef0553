// Package invoicing writes invoices and credit notes, and decides what may come back for how much
// money. It knows what an order cost and what was paid for it, because the invoice says so; it moves
// no money itself.
package invoicing

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

// Migrations make the tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Refusal codes.
const (
	AlreadyInvoiced    = "already_invoiced"
	InvoiceUnknown     = "invoice_unknown"
	NotOrdered         = "not_ordered"
	AlreadyReturned    = "already_returned"
	NothingToReturn    = "nothing_to_return"
	ReturnWindowClosed = "return_window_closed"
	ApprovalUnknown    = "approval_unknown"
	AlreadyCredited    = "already_credited"
	AmountMismatch     = "amount_mismatch"
)

const (
	// returnWindow is how long after the invoice a return is approved.
	returnWindow = 30 * 24 * time.Hour

	// maxTotal bounds an invoice, in minor units, so that sums over all of them do not overflow.
	maxTotal = 1_000_000_000_000_000
)

// Service writes invoices and credit notes. It is safe for concurrent use.
//
// Its transactions lock in this order: counter, invoice, approval of the invoice; a credit note,
// which locks its approval before its counter, takes no invoice.
type Service struct {
	db  *store.DB
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations].
func New(db *store.DB) *Service { return &Service{db: db, now: time.Now} }

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string {
	return []string{"IssueInvoice", "ApproveReturn", "IssueCreditNote"}
}

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/invoices/{key}", fence.Step[Invoice, Issued]{
		Name: "IssueInvoice", Do: s.issue,
	})
	fence.Handle(mux, s.db.Ledger, "/return-approvals/{key}", fence.Step[ReturnRequest, Approval]{
		Name: "ApproveReturn", Do: s.approve, Undo: s.withdraw,
	})
	fence.Handle(mux, s.db.Ledger, "/credit-notes/{key}", fence.Step[CreditNote, Credited]{
		Name: "IssueCreditNote", Do: s.credit,
	})
}

// Customer is the recipient of an invoice. A guest has no ID.
type Customer struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Invoice asks for the invoice of an order. Total is the sum of the lines, Paid what of it was paid
// in money, and not with vouchers or points.
type Invoice struct {
	OrderID       string        `json:"order_id"`
	Customer      Customer      `json:"customer"`
	Lines         []InvoiceLine `json:"lines"`
	Total         wire.Money    `json:"total"`
	Paid          wire.Money    `json:"paid"`
	CaptureID     string        `json:"capture_id"`
	PointsAwarded int64         `json:"points_awarded"`
	ShipTo        wire.Address  `json:"ship_to"`
}

// InvoiceLine is a quantity of one article and what all of it costs, in the currency of the total.
type InvoiceLine struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Amount   int64  `json:"amount"`
}

// Issued names an invoice. Numbers are consecutive, without gaps.
type Issued struct {
	InvoiceNumber string `json:"invoice_number"`
}

func (in Invoice) check() error {
	var c wire.Check
	c.Text("order_id", in.OrderID)
	c.Customer("customer.id", in.Customer.ID)
	c.Text("customer.name", in.Customer.Name)
	c.Form("customer.email", order.EmailForm, in.Customer.Email)
	lines := make([]wire.Line, len(in.Lines))
	rest := in.Total.Amount
	for i, l := range in.Lines {
		lines[i] = wire.Line{SKU: l.SKU, Quantity: l.Quantity}
		c.That(l.Amount >= 0 && l.Amount <= maxTotal, fmt.Sprintf("lines[%d].amount", i), fmt.Sprintf("must be from 0 to %d", maxTotal))
		rest -= l.Amount
	}
	c.Lines("lines", lines, 1)
	c.Money("total", in.Total)
	c.That(in.Total.Amount <= maxTotal, "total.amount", fmt.Sprintf("must be at most %d", maxTotal))
	c.That(rest == 0, "total.amount", "must be the sum of the lines")
	c.Money("paid", in.Paid)
	c.That(in.Paid.Amount <= in.Total.Amount, "paid.amount", "must not be more than the total")
	c.That(in.Paid.Currency == in.Total.Currency, "paid.currency", "must be that of the total")
	c.Text("capture_id", in.CaptureID)
	c.That(in.PointsAwarded >= 0, "points_awarded", "must not be negative")
	c.Address("ship_to", in.ShipTo)
	return c.Err()
}

func (s *Service) issue(ctx context.Context, tx *sql.Tx, _ string, in Invoice) (Issued, error) {
	if err := in.check(); err != nil {
		return Issued{}, err
	}
	number, err := next(ctx, tx, "invoice")
	if err != nil {
		return Issued{}, err
	}
	a := in.ShipTo
	inserted, err := store.Changed(ctx, tx, `INSERT INTO invoices (order_id, number,
		customer_id, customer_name, customer_email, currency, total, paid, capture_id, points_awarded,
		name, company, street, street2, postal_code, city, region, country, phone, issued_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
		ON CONFLICT (order_id) DO NOTHING`,
		in.OrderID, number, in.Customer.ID, in.Customer.Name, in.Customer.Email,
		in.Total.Currency, in.Total.Amount, in.Paid.Amount, in.CaptureID, in.PointsAwarded,
		a.Name, a.Company, a.Street, a.Street2, a.PostalCode, a.City, a.Region, a.Country, a.Phone, s.now().UnixMilli())
	if err != nil {
		return Issued{}, fmt.Errorf("record invoice: %w", err)
	}
	if !inserted {
		return Issued{}, fence.Refuse(AlreadyInvoiced, "order %s has an invoice", in.OrderID)
	}
	var args []any
	for i, l := range in.Lines {
		args = append(args, in.OrderID, i, l.SKU, l.Quantity, l.Amount)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO invoice_lines (order_id, position, sku, quantity, amount) VALUES `+
		store.Placeholders(len(in.Lines), 5), args...)
	if err != nil {
		return Issued{}, fmt.Errorf("record invoice lines: %w", err)
	}
	return Issued{InvoiceNumber: fmt.Sprintf("INV-%08d", number)}, nil
}

// next takes the next number. Whoever took one holds the counter until it is committed or given
// back, so numbers are consecutive and follow the order of the commits.
func next(ctx context.Context, tx *sql.Tx, counter string) (int64, error) {
	var number int64
	err := tx.QueryRowContext(ctx, `UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value`, counter).Scan(&number)
	if err != nil {
		return 0, fmt.Errorf("take next %s number: %w", counter, err)
	}
	return number, nil
}
