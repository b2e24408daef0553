package client

import (
	"context"
	"iter"
	"time"
)

// ReturnRequest takes a completed order back, or part of it.
type ReturnRequest struct {
	OrderID string `json:"order_id"`
	// Lines are what comes back. Default: everything that was shipped.
	Lines  []Line `json:"lines,omitempty"`
	Reason string `json:"reason"`
}

// Return is a return, step by step.
type Return = View[RefundReceipt]

// RefundReceipt is what came of a return that is completed.
type RefundReceipt struct {
	ReturnID         string `json:"return_id"`
	OrderID          string `json:"order_id"`
	Refunded         Money  `json:"refunded"`
	RefundID         string `json:"refund_id"`
	CreditNoteNumber string `json:"credit_note_number"`
	PointsTakenBack  int64  `json:"points_taken_back"`
}

// ReturnOrder starts the saga that takes an order back.
func (c *Client) ReturnOrder(ctx context.Context, r ReturnRequest, o StartOptions) (*Started[RefundReceipt], error) {
	return start[RefundReceipt](ctx, c, returnsPath, r, o)
}

// Return shows a return.
func (c *Client) Return(ctx context.Context, id string) (*Return, error) {
	return show[RefundReceipt](ctx, c, returnsPath, id, "", 0)
}

// ReturnNews waits until a return is no longer as seen, at most that long, and shows it; nothing new is seen itself.
func (c *Client) ReturnNews(ctx context.Context, seen *Return, wait time.Duration) (*Return, error) {
	return news(ctx, c, returnsPath, seen, wait)
}

// Returns lists returns, as [Client.Orders] does orders.
func (c *Client) Returns(ctx context.Context, o ListOptions) iter.Seq2[*Item, error] {
	return c.items(ctx, returnsPath, o.query())
}

// CancelReturn undoes everything that was done for the return. Possible until its payment is refunded.
func (c *Client) CancelReturn(ctx context.Context, id string, r CancelRequest) (*Accepted, error) {
	return c.tell(ctx, returnsPath, id, "/cancel", r.Key, r)
}

// Condition is the state in which goods came back.
type Condition string

// The conditions of goods.
const (
	Resalable Condition = "resalable"
	Damaged   Condition = "damaged"
)

// ArrivalRequest reports that the goods of a return are back.
type ArrivalRequest struct {
	Condition Condition `json:"condition"`
	By        string    `json:"by,omitempty"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// ReportArrival tells a return that waits for its goods that they are back.
func (c *Client) ReportArrival(ctx context.Context, id string, r ArrivalRequest) (*Accepted, error) {
	return c.tell(ctx, returnsPath, id, "/arrival", r.Key, r)
}
