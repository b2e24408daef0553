// Package payment charges cards: it authorizes, voids, captures and refunds, and keeps a
// double-entry journal of it in minor units. It knows its cards, and nothing of orders.
package payment

import (
	"embed"
	"net/http"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Migrations make the tables and the cards.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Refusal codes.
const (
	CardUnknown           = "card_unknown"
	CardDeclined          = "card_declined"
	AuthorizationUnknown  = "authorization_unknown"
	AuthorizationVoid     = "authorization_void"
	AuthorizationCaptured = "authorization_captured"
	CaptureDeclined       = "capture_declined"
	AmountTooLarge        = "amount_too_large"
	CurrencyMismatch      = "currency_mismatch"
	CaptureUnknown        = "capture_unknown"
	RefundTooLarge        = "refund_too_large"
	RefundDeclined        = "refund_declined"
)

// Service is the payment service. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations].
func New(db *store.DB) *Service { return &Service{db: db, now: time.Now} }

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string {
	return []string{"AuthorizePayment", "CapturePayment", "RefundPayment"}
}

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/authorizations/{key}", fence.Step[Authorize, Authorization]{
		Name: "AuthorizePayment", Do: s.authorize, Undo: s.void,
	})
	fence.Handle(mux, s.db.Ledger, "/captures/{key}", fence.Step[Capture, Captured]{
		Name: "CapturePayment", Do: s.capture,
	})
	fence.Handle(mux, s.db.Ledger, "/refunds/{key}", fence.Step[Refund, Refunded]{
		Name: "RefundPayment", Do: s.refund,
	})
}

// Authorize asks to hold an amount on the card that the token stands for.
type Authorize struct {
	Token  string     `json:"token"`
	Amount wire.Money `json:"amount"`
}

// Authorization is an amount held on a card: until it is captured or voided it uses up the card's
// limit, but no money moves.
type Authorization struct {
	AuthorizationID string     `json:"authorization_id"`
	Amount          wire.Money `json:"amount"`
}

// Capture asks for the money of an authorization: all of it, or less, and then the rest is freed.
type Capture struct {
	AuthorizationID string     `json:"authorization_id"`
	Amount          wire.Money `json:"amount"`
}

// Captured is money moved from a card to the merchant.
type Captured struct {
	CaptureID string     `json:"capture_id"`
	Amount    wire.Money `json:"amount"`
}

// Refund asks to give some or all of a capture back. Refunds of one capture never exceed it.
type Refund struct {
	CaptureID string     `json:"capture_id"`
	Amount    wire.Money `json:"amount"`
}

// Refunded is money moved back to the card, which frees the card's limit.
type Refunded struct {
	RefundID string     `json:"refund_id"`
	Amount   wire.Money `json:"amount"`
}
