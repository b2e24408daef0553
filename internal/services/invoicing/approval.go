package invoicing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// ReturnRequest asks to take goods back. No lines means everything that was not returned yet.
type ReturnRequest struct {
	OrderID string      `json:"order_id"`
	Lines   []wire.Line `json:"lines"`
	Reason  string      `json:"reason"`
}

// Approval is what may come back, from where, and what it is worth.
type Approval struct {
	ApprovalID string      `json:"approval_id"`
	Customer   Customer    `json:"customer"`
	Lines      []wire.Line `json:"lines"`
	// Refund is the share of what was paid in money that the lines have in the order's total,
	// rounded down; with the last goods of the order comes what is left of it.
	Refund    wire.Money `json:"refund"`
	CaptureID string     `json:"capture_id"`
	// PointsToTakeBack is the same share of the points that the order earned.
	PointsToTakeBack int64        `json:"points_to_take_back"`
	ShipFrom         wire.Address `json:"ship_from"`
}

func (s *Service) approve(ctx context.Context, tx *sql.Tx, key string, in ReturnRequest) (Approval, error) {
	var c wire.Check
	c.Text("order_id", in.OrderID)
	c.Lines("lines", in.Lines, 0)
	c.Text("reason", in.Reason)
	if err := c.Err(); err != nil {
		return Approval{}, err
	}
	inv, err := lockInvoice(ctx, tx, in.OrderID)
	if err != nil {
		return Approval{}, err
	}
	now := s.now()
	if ends := inv.issuedAt.Add(returnWindow); now.After(ends) {
		return Approval{}, fence.Refuse(ReturnWindowClosed, "order %s could be returned until %s",
			in.OrderID, ends.UTC().Format(time.DateOnly))
	}
	returned, err := choose(inv.lines, in)
	if err != nil {
		return Approval{}, err
	}
	refund, points := inv.worth(returned)
	out := Approval{
		ApprovalID:       wire.ID("approval", key),
		Customer:         inv.customer,
		Lines:            returned,
		Refund:           wire.Money{Amount: refund, Currency: inv.currency},
		CaptureID:        inv.captureID,
		PointsToTakeBack: points,
		ShipFrom:         inv.shipTo,
	}
	return out, recordApproval(ctx, tx, in, out, now)
}

// invoice is an issued invoice with its lines, locked until the transaction ends.
type invoice struct {
	customer       Customer
	currency       string
	total          int64
	paid           int64
	captureID      string
	pointsAwarded  int64
	shipTo         wire.Address
	issuedAt       time.Time
	refundApproved int64
	pointsApproved int64
	lines          []invoiceLine
}

type invoiceLine struct {
	sku      string
	quantity int64
	amount   int64
	returned int64
}

// lockInvoice lets one approval at a time see what is left of an order.
func lockInvoice(ctx context.Context, tx *sql.Tx, orderID string) (invoice, error) {
	var inv invoice
	var issuedAt int64
	err := tx.QueryRowContext(ctx, `UPDATE invoices SET refund_approved = refund_approved WHERE order_id = $1
		RETURNING customer_id, customer_name, customer_email, currency, total, paid, capture_id, points_awarded,
		name, company, street, street2, postal_code, city, region, country, phone, issued_at, refund_approved, points_approved`, orderID).
		Scan(&inv.customer.ID, &inv.customer.Name, &inv.customer.Email, &inv.currency, &inv.total, &inv.paid,
			&inv.captureID, &inv.pointsAwarded, &inv.shipTo.Name, &inv.shipTo.Company, &inv.shipTo.Street,
			&inv.shipTo.Street2, &inv.shipTo.PostalCode, &inv.shipTo.City, &inv.shipTo.Region, &inv.shipTo.Country,
			&inv.shipTo.Phone, &issuedAt, &inv.refundApproved, &inv.pointsApproved)
	if errors.Is(err, sql.ErrNoRows) {
		return invoice{}, fence.Refuse(InvoiceUnknown, "order %s has no invoice", orderID)
	}
	if err != nil {
		return invoice{}, fmt.Errorf("lock invoice: %w", err)
	}
	inv.issuedAt = time.UnixMilli(issuedAt)
	inv.lines, err = linesOf(ctx, tx, orderID)
	if err != nil {
		return invoice{}, fmt.Errorf("read invoice lines: %w", err)
	}
	return inv, nil
}

func linesOf(ctx context.Context, tx *sql.Tx, orderID string) ([]invoiceLine, error) {
	rows, err := tx.QueryContext(ctx, `SELECT sku, quantity, amount, returned FROM invoice_lines
		WHERE order_id = $1 ORDER BY position`, orderID)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // Err below says whether reading failed
	var lines []invoiceLine
	for rows.Next() {
		var l invoiceLine
		if err := rows.Scan(&l.sku, &l.quantity, &l.amount, &l.returned); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, rows.Err()
}

func recordApproval(ctx context.Context, tx *sql.Tx, in ReturnRequest, out Approval, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO approvals (approval_id, order_id, reason, refund, points, state, approved_at)
		VALUES ($1, $2, $3, $4, $5, 'open', $6)`,
		out.ApprovalID, in.OrderID, in.Reason, out.Refund.Amount, out.PointsToTakeBack, now.UnixMilli())
	if err != nil {
		return fmt.Errorf("record approval: %w", err)
	}
	var args []any
	for _, l := range out.Lines {
		args = append(args, out.ApprovalID, l.SKU, l.Quantity)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO approval_lines (approval_id, sku, quantity) VALUES `+
		store.Placeholders(len(out.Lines), 3), args...)
	if err != nil {
		return fmt.Errorf("record approved lines: %w", err)
	}
	return moveApproved(ctx, tx, in.OrderID, out, 1)
}

// withdraw makes the lines returnable again. An approval with a credit note cannot be withdrawn.
func (s *Service) withdraw(ctx context.Context, tx *sql.Tx, _ string, in ReturnRequest, out Approval) error {
	if err := moveApproved(ctx, tx, in.OrderID, out, -1); err != nil {
		return err
	}
	withdrawn, err := store.Changed(ctx, tx, `UPDATE approvals SET state = 'withdrawn'
		WHERE approval_id = $1 AND state = 'open'`, out.ApprovalID)
	if err != nil {
		return fmt.Errorf("withdraw approval: %w", err)
	}
	if !withdrawn {
		return fence.Refuse(AlreadyCredited, "approval %s has a credit note", out.ApprovalID)
	}
	return nil
}

// moveApproved adds the approval to what its invoice keeps of all that stand (sign 1), or takes it
// away (sign -1). It locks the invoice before the lines.
func moveApproved(ctx context.Context, tx *sql.Tx, orderID string, a Approval, sign int64) error {
	err := tx.QueryRowContext(ctx, `UPDATE invoices
		SET refund_approved = refund_approved + $1, points_approved = points_approved + $2
		WHERE order_id = $3 RETURNING order_id`,
		sign*a.Refund.Amount, sign*a.PointsToTakeBack, orderID).Scan(new(string))
	if err != nil {
		return fmt.Errorf("update invoice: %w", err)
	}
	for _, l := range a.Lines {
		err := tx.QueryRowContext(ctx, `UPDATE invoice_lines SET returned = returned + $1
			WHERE order_id = $2 AND sku = $3 RETURNING sku`, sign*l.Quantity, orderID, l.SKU).Scan(new(string))
		if err != nil {
			return fmt.Errorf("update invoice line: %w", err)
		}
	}
	return nil
}
