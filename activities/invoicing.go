package activities

import (
	"context"
	"errors"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Invoicing writes invoices and credit notes, and knows what of an order can still be returned.
type Invoicing struct{ participant }

// IssueInvoice bills an order that was paid.
type IssueInvoice struct {
	OrderID       order.ID       `json:"order_id"`
	Customer      order.Customer `json:"customer"`
	Lines         []BilledLine   `json:"lines"`
	Total         order.Money    `json:"total"`
	Paid          order.Money    `json:"paid"`
	CaptureID     string         `json:"capture_id"`
	PointsAwarded int64          `json:"points_awarded"`
	ShipTo        order.Address  `json:"ship_to"`
}

// BilledLine is a line of an invoice; the amount is in minor units of its total's currency.
type BilledLine struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Amount   int64  `json:"amount"`
}

// Invoice is the result of IssueInvoice.
type Invoice struct {
	Number string `json:"invoice_number"`
}

// IssueInvoice writes the invoice.
func (a *Invoicing) IssueInvoice(ctx context.Context, key compensation.Key, in IssueInvoice) (Invoice, error) {
	return do(ctx, a.participant, "invoices", key, in, func(i Invoice) error {
		return given("invoice_number", i.Number)
	})
}

// ApproveReturn asks whether goods may come back.
type ApproveReturn struct {
	OrderID order.ID `json:"order_id"`
	// Lines is empty for everything that was not returned yet.
	Lines  []order.Line `json:"lines"`
	Reason string       `json:"reason"`
}

// ReturnApproval says what comes back, and what it is worth.
type ReturnApproval struct {
	ID               string         `json:"approval_id"`
	Customer         order.Customer `json:"customer"`
	Lines            []order.Line   `json:"lines"`
	Refund           order.Money    `json:"refund"`
	CaptureID        string         `json:"capture_id"`
	PointsToTakeBack int64          `json:"points_to_take_back"`
	ShipFrom         order.Address  `json:"ship_from"`
}

// ApproveReturn approves the return. It refuses what was not ordered, was returned before or is too old.
func (a *Invoicing) ApproveReturn(ctx context.Context, key compensation.Key, in ApproveReturn) (ReturnApproval, error) {
	return do(ctx, a.participant, "return-approvals", key, in, func(r ReturnApproval) error {
		if len(r.Lines) == 0 || r.PointsToTakeBack < 0 {
			return errors.New("the approval is not of anything")
		}
		return errors.Join(given("approval_id", r.ID, "capture_id", r.CaptureID), amount("refund", r.Refund))
	})
}

// WithdrawApproval makes the lines returnable again.
func (a *Invoicing) WithdrawApproval(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "return-approvals", key)
}

// IssueCreditNote bills a refund.
type IssueCreditNote struct {
	ApprovalID string      `json:"approval_id"`
	RefundID   string      `json:"refund_id"`
	Amount     order.Money `json:"amount"`
}

// CreditNote is the result of IssueCreditNote.
type CreditNote struct {
	Number string `json:"number"`
}

// IssueCreditNote writes the credit note.
func (a *Invoicing) IssueCreditNote(ctx context.Context, key compensation.Key, in IssueCreditNote) (CreditNote, error) {
	return do(ctx, a.participant, "credit-notes", key, in, func(c CreditNote) error {
		return given("number", c.Number)
	})
}
