package invoicing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/wire"
)

// CreditNote asks for the credit note of an approved return whose money went back.
type CreditNote struct {
	ApprovalID string     `json:"approval_id"`
	RefundID   string     `json:"refund_id"`
	Amount     wire.Money `json:"amount"`
}

// Credited names a credit note. Numbers are consecutive, without gaps.
type Credited struct {
	Number string `json:"number"`
}

func (s *Service) credit(ctx context.Context, tx *sql.Tx, _ string, in CreditNote) (Credited, error) {
	var c wire.Check
	c.Text("approval_id", in.ApprovalID)
	c.Text("refund_id", in.RefundID)
	c.Money("amount", in.Amount)
	if err := c.Err(); err != nil {
		return Credited{}, err
	}
	if err := closeApproval(ctx, tx, in); err != nil {
		return Credited{}, err
	}
	number, err := next(ctx, tx, "credit_note")
	if err != nil {
		return Credited{}, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO credit_notes (approval_id, number, refund_id, amount, issued_at)
		VALUES ($1, $2, $3, $4, $5)`, in.ApprovalID, number, in.RefundID, in.Amount.Amount, s.now().UnixMilli())
	if err != nil {
		return Credited{}, fmt.Errorf("record credit note: %w", err)
	}
	return Credited{Number: fmt.Sprintf("CN-%08d", number)}, nil
}

// closeApproval marks the approval as credited, once.
func closeApproval(ctx context.Context, tx *sql.Tx, in CreditNote) error {
	var refund wire.Money
	err := tx.QueryRowContext(ctx, `UPDATE approvals SET state = 'credited' WHERE approval_id = $1 AND state = 'open'
		RETURNING refund, (SELECT currency FROM invoices WHERE invoices.order_id = approvals.order_id)`, in.ApprovalID).
		Scan(&refund.Amount, &refund.Currency)
	if errors.Is(err, sql.ErrNoRows) {
		return refuseCredit(ctx, tx, in.ApprovalID)
	}
	if err != nil {
		return fmt.Errorf("close approval: %w", err)
	}
	if refund != in.Amount {
		return fence.Refuse(AmountMismatch, "approval %s is for %s, not for %s", in.ApprovalID, refund, in.Amount)
	}
	return nil
}

// refuseCredit says why an approval cannot be credited. None ever opens again, so what is read after
// the failed update still holds.
func refuseCredit(ctx context.Context, tx *sql.Tx, approvalID string) error {
	var state string
	err := tx.QueryRowContext(ctx, `SELECT state FROM approvals WHERE approval_id = $1`, approvalID).Scan(&state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fence.Refuse(ApprovalUnknown, "there is no approval %s", approvalID)
	case err != nil:
		return fmt.Errorf("look up approval: %w", err)
	case state == "withdrawn":
		return fence.Refuse(ApprovalUnknown, "approval %s was withdrawn", approvalID)
	}
	return fence.Refuse(AlreadyCredited, "approval %s has a credit note", approvalID)
}
