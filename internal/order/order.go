// Package order knows the business: what an order and a return are, and when one is impossible.
// It knows nothing of sagas, transport or storage, and imports the standard library only.
package order

import "errors"

// ErrBadID is returned for an ID that cannot be one.
var ErrBadID = errors.New("an ID is 1 to 64 letters, digits, - and _, the first a letter or a digit")

// Order is what a customer wants. Validate says whether it can be one.
type Order struct {
	ID       ID       `json:"id,omitempty"`
	Customer Customer `json:"customer"`
	Lines    []Line   `json:"lines"`
	Currency string   `json:"currency"`
	// Voucher is a code to redeem; empty for none.
	Voucher string `json:"voucher,omitempty"`
	// Points is how many loyalty points to spend; 0 for none.
	Points  int64   `json:"points,omitempty"`
	Payment Payment `json:"payment"`
	ShipTo  Address `json:"ship_to"`
	// Carrier is who ships; empty for the shop's own choice.
	Carrier string `json:"carrier,omitempty"`
	// ExpectedTotal is the price of the articles that the customer saw, before voucher and points. An order that costs
	// something else is not placed. nil if there is no expectation.
	ExpectedTotal *Money `json:"expected_total,omitempty"`
}

// Customer is who orders and is told about it.
type Customer struct {
	// ID is the customer's account; see [Customer.Guest].
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Line is a quantity of one article.
type Line struct {
	SKU      string `json:"sku" doc:"The article." example:"TEA-EARL-GREY"`
	Quantity int64  `json:"quantity" doc:"How many of it." example:"2"`
}

// Payment names the card to charge, as the token that the payment provider gave for it.
type Payment struct {
	Token string `json:"token"`
}

// Address is the destination or the origin of goods. Parts that a country does not have are empty.
type Address struct {
	Name    string `json:"name"`
	Company string `json:"company,omitempty"`
	Street  string `json:"street"`
	// Street2 is a second line: a flat, a building, a department.
	Street2    string `json:"street2,omitempty"`
	PostalCode string `json:"postal_code"`
	City       string `json:"city"`
	// Region is a state, province or county, by its name or its code.
	Region string `json:"region,omitempty"`
	// Country is an ISO 3166-1 alpha-2 code.
	Country string `json:"country"`
	Phone   string `json:"phone,omitempty"`
}

// Return asks for the money back for some or all lines of an order.
type Return struct {
	ID      ReturnID `json:"id"`
	OrderID ID       `json:"order_id"`
	// Lines is what comes back; empty means everything that was shipped.
	Lines  []Line `json:"lines,omitempty"`
	Reason string `json:"reason"`
}

// Condition is the state in which returned goods arrived.
type Condition string

// The conditions that a warehouse reports.
const (
	Resalable Condition = "resalable"
	Damaged   Condition = "damaged"
)
