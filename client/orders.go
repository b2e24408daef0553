package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

const (
	ordersPath  = "/v1/orders"
	returnsPath = "/v1/returns"
)

// OrderRequest is an order to place.
type OrderRequest struct {
	Customer Customer `json:"customer"`
	Lines    []Line   `json:"lines"`
	Currency string   `json:"currency"` // ISO 4217
	Voucher  string   `json:"voucher,omitempty"`
	// Points are loyalty points to spend.
	Points  int64   `json:"points,omitempty"`
	Payment Payment `json:"payment"`
	ShipTo  Address `json:"ship_to"`
	// Carrier is who ships it. Default: the shop chooses.
	Carrier string `json:"carrier,omitempty"`
	// ExpectedTotal is the price of the articles that the customer saw, before voucher and points. If they cost something
	// else by now, the order is compensated before anything is held. Nil accepts any price.
	ExpectedTotal *Money `json:"expected_total,omitempty"`
}

// Customer is who orders.
type Customer struct {
	// ID is the customer's account; empty for a guest.
	ID    string `json:"id,omitempty"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Line is so many of one article.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Payment is how an order is paid.
type Payment struct {
	// Token is the payment provider's name for the card to charge.
	Token string `json:"token"`
}

// Address is the destination of an order. Parts that its country does not have stay empty.
type Address struct {
	Name    string `json:"name"`
	Company string `json:"company,omitempty"`
	Street  string `json:"street"`
	// Street2 is a second line: a flat, a building, a department.
	Street2    string `json:"street2,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	City       string `json:"city,omitempty"`
	// Region is a state, province or county.
	Region  string `json:"region,omitempty"`
	Country string `json:"country"` // ISO 3166-1 alpha-2
	Phone   string `json:"phone,omitempty"`
}

// Order is an order, step by step.
type Order = View[Receipt]

// Receipt is what came of an order that is completed.
type Receipt struct {
	OrderID       string `json:"order_id"`
	Total         Money  `json:"total"`
	Paid          Money  `json:"paid"`
	CaptureID     string `json:"capture_id"`
	Carrier       string `json:"carrier"`
	Tracking      string `json:"tracking"`
	InvoiceNumber string `json:"invoice_number"`
	PointsAwarded int64  `json:"points_awarded"`
}

// StartOptions say how to start a saga.
type StartOptions struct {
	// Key is the Idempotency-Key, from which the saga's ID follows: the same request with the same key is the same saga.
	// Default: a new one for each call.
	Key string
	// Wait is how long the API waits for the saga's end before it answers, in whole seconds, at most 60. Default: not at all.
	Wait time.Duration
}

// Accepted is the answer to a request that a saga took on.
type Accepted struct {
	ID string `json:"id"`
	// State is the saga's when the request was taken.
	State State `json:"state"`
	// Undecided: the saga lost a record in a crash, and has yet to find out whether it can still be canceled.
	Undecided bool  `json:"undecided,omitempty"`
	Links     Links `json:"links"`

	// Replayed: an equal request with the key was taken before.
	Replayed bool `json:"-"`
}

// Started is a saga that a request has started.
type Started[R any] struct {
	Accepted
	// Ended is the saga's end, if it came while the API waited for it; otherwise nil.
	Ended *View[R]
}

// PlaceOrder starts the saga that places the order.
func (c *Client) PlaceOrder(ctx context.Context, order OrderRequest, o StartOptions) (*Started[Receipt], error) {
	return start[Receipt](ctx, c, ordersPath, order, o)
}

// Order shows an order.
func (c *Client) Order(ctx context.Context, id string) (*Order, error) {
	return show[Receipt](ctx, c, ordersPath, id, "", 0)
}

// OrderNews waits until an order is no longer as seen, at most that long, and shows it; nothing new is seen itself.
func (c *Client) OrderNews(ctx context.Context, seen *Order, wait time.Duration) (*Order, error) {
	return news(ctx, c, ordersPath, seen, wait)
}

// ListOptions choose orders or returns; the zero value chooses all.
type ListOptions struct {
	State State
	// PageSize is how many are asked for at once, at most 200. Default: the API chooses.
	PageSize int
}

func (o ListOptions) query() url.Values { return Filter{State: o.State, PageSize: o.PageSize}.query() }

// Orders lists orders, newest first. It asks for the next page when that is needed, and ends after the first error.
func (c *Client) Orders(ctx context.Context, o ListOptions) iter.Seq2[*Item, error] {
	return c.items(ctx, ordersPath, o.query())
}

// CancelRequest turns a saga back.
type CancelRequest struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// CancelOrder undoes everything that was done for the order. Possible until its payment is captured.
func (c *Client) CancelOrder(ctx context.Context, id string, r CancelRequest) (*Accepted, error) {
	return c.tell(ctx, ordersPath, id, "/cancel", r.Key, r)
}

// ApprovalRequest decides what waits for a person.
type ApprovalRequest struct {
	Approved bool   `json:"approved"`
	By       string `json:"by,omitempty"`
	Reason   string `json:"reason,omitempty"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// DecideOrder approves or rejects an order that fraud screening doubts.
func (c *Client) DecideOrder(ctx context.Context, id string, r ApprovalRequest) (*Accepted, error) {
	return c.tell(ctx, ordersPath, id, "/approval", r.Key, r)
}

// start starts a saga of the collection.
func start[R any](ctx context.Context, c *Client, collection string, body any, o StartOptions) (*Started[R], error) {
	r := request{method: http.MethodPost, path: collection, body: body}
	r.name(o.Key)
	r.prefer(o.Wait)
	// Both bodies have what Accepted has.
	v, a, err := ask[View[R]](ctx, c, r)
	if err != nil {
		return nil, err
	}
	started := &Started[R]{Accepted: Accepted{ID: v.ID, State: v.State, Links: v.Links, Replayed: a.replayed()}}
	if a.status == http.StatusCreated {
		started.Ended = v
	}
	return started, nil
}

// tell sends a saga of the collection something that it waits for, or that turns it back.
func (c *Client) tell(ctx context.Context, collection, id, what, key string, body any) (*Accepted, error) {
	r := request{method: http.MethodPost, path: collection + "/" + url.PathEscape(id) + what, body: body}
	r.name(key)
	out, a, err := ask[Accepted](ctx, c, r)
	if err != nil {
		return nil, err
	}
	out.Replayed = a.replayed()
	return out, nil
}

// show shows a saga of the collection, if its tag is not the one given; otherwise it is nil.
func show[R any](ctx context.Context, c *Client, collection, id, tag string, wait time.Duration) (*View[R], error) {
	r := request{method: http.MethodGet, path: collection + "/" + url.PathEscape(id)}
	if tag != "" {
		r.set("If-None-Match", tag)
	}
	r.prefer(wait)
	v, a, err := ask[View[R]](ctx, c, r)
	if v != nil {
		v.ETag = a.etag()
	}
	return v, err
}

// news shows a saga that is not as seen any more; nothing new is seen itself.
func news[R any](ctx context.Context, c *Client, collection string, seen *View[R], wait time.Duration) (*View[R], error) {
	v, err := show[R](ctx, c, collection, seen.ID, seen.ETag, wait)
	if v == nil && err == nil {
		return seen, nil
	}
	return v, err
}
