// Package examples holds orders and returns to try things with: one for each way of ending. The
// files use seed data of the reference step services only, and have no ID, so each use is a new one.
package examples

import (
	"embed"
	"fmt"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/strictjson"
)

// Files are orders/<name>.json and returns/<name>.json: bodies of POST /v1/orders and, once they
// have an order_id, of POST /v1/returns.
//
//go:embed orders/*.json returns/*.json
var Files embed.FS

// Example is one of the files, and how the saga ends that it starts.
type Example struct {
	// Name is the file's, without .json.
	Name string
	// What says what is special about it, and what a person has to do, if anything.
	What string
	// State is the end.
	State compensation.State
	// RefusedBy is the step that refuses, and Code the code it refuses with; empty where none does.
	RefusedBy string
	Code      string
}

// Orders are the orders, in the order of the steps that end them.
var Orders = []Example{
	{
		Name: "good", What: "Nothing is special.",
		State: compensation.Completed,
	},
	{
		Name: "good-with-voucher-and-points", What: "Pays with a voucher, with points and by card. A voucher works once: for another order take another of SPRING-0001 to SPRING-9999.",
		State: compensation.Completed,
	},
	{
		Name: "unknown-sku", What: "One article is not for sale.",
		State: compensation.Compensated, RefusedBy: "PriceOrder", Code: "unknown_sku",
	},
	{
		Name: "currency-not-sold", What: "There are prices in EUR only.",
		State: compensation.Compensated, RefusedBy: "PriceOrder", Code: "currency_not_sold",
	},
	{
		Name: "fraud-suspected", What: "The customer is blocked.",
		State: compensation.Compensated, RefusedBy: "ScreenFraud", Code: "fraud_suspected",
	},
	{
		Name: "fraud-review", What: "It costs 1000.00 or more, so it waits for a person: approved it completes; rejected, canceled or left too long it is compensated.",
		State: compensation.Completed,
	},
	{
		Name: "out-of-stock", What: "One article has run out.",
		State: compensation.Compensated, RefusedBy: "ReserveStock", Code: "out_of_stock",
	},
	{
		Name: "voucher-used", What: "The voucher was used.",
		State: compensation.Compensated, RefusedBy: "RedeemVoucher", Code: "voucher_used",
	},
	{
		Name: "voucher-expired", What: "The voucher has expired.",
		State: compensation.Compensated, RefusedBy: "RedeemVoucher", Code: "voucher_expired",
	},
	{
		Name: "not-enough-points", What: "The customer has no points.",
		State: compensation.Compensated, RefusedBy: "HoldPoints", Code: "not_enough_points",
	},
	{
		Name: "overpaid", What: "The points are worth more than the order, so the saga itself turns back.",
		State: compensation.Compensated,
	},
	{
		Name: "card-declined", What: "The card has no limit.",
		State: compensation.Compensated, RefusedBy: "AuthorizePayment", Code: "card_declined",
	},
	{
		Name: "no-carrier", What: "The carrier asked for has no room.",
		State: compensation.Compensated, RefusedBy: "BookShipment", Code: "no_capacity",
	},
	{
		Name: "country-not-served", What: "No carrier goes there.",
		State: compensation.Compensated, RefusedBy: "BookShipment", Code: "country_not_served",
	},
	{
		Name: "capture-declined", What: "The bank authorizes the amount and then declines to pay it: the pivot is refused and everything is undone.",
		State: compensation.Compensated, RefusedBy: "CapturePayment", Code: "capture_declined",
	},
}

// Returns are the returns, each of a completed order placed from orders/good.json.
var Returns = []Example{
	{
		Name: "good", What: "Everything comes back. It waits until the goods are reported as resalable.",
		State: compensation.Completed,
	},
	{
		Name: "partial", What: "One of four cups comes back. It waits until the goods are reported as resalable.",
		State: compensation.Completed,
	},
	{
		Name: "not-ordered", What: "The article is not part of the order.",
		State: compensation.Compensated, RefusedBy: "ApproveReturn", Code: "not_ordered",
	},
	{
		Name: "already-returned", What: "All four cups, after partial.json brought one back.",
		State: compensation.Compensated, RefusedBy: "ApproveReturn", Code: "already_returned",
	},
	{
		Name: "goods-damaged", What: "It waits until the goods are reported as damaged.",
		State: compensation.Compensated, RefusedBy: "InspectGoods", Code: "goods_damaged",
	},
	{
		Name: "goods-overdue", What: "The goods are not reported: the customer is reminded three times, then the return is called off.",
		State: compensation.Compensated,
	},
}

// Order reads orders/<name>.json. It has no ID.
func Order(name string) (o order.Order, err error) {
	err = read("orders/"+name+".json", &o)
	return o, err
}

// Request reads orders/<name>.json as what a client sends.
func Request(name string) (o client.OrderRequest, err error) {
	err = read("orders/"+name+".json", &o)
	return o, err
}

// Return reads returns/<name>.json. It has no ID and no order's ID.
func Return(name string) (r order.Return, err error) {
	err = read("returns/"+name+".json", &r)
	return r, err
}

// read refuses what the API would: fields that it does not know, and more than one value.
func read(path string, into any) error {
	content, err := Files.ReadFile(path)
	if err != nil {
		return fmt.Errorf("example: %w", err)
	}
	if err := strictjson.Unmarshal(content, into); err != nil {
		return fmt.Errorf("example %s: %w", path, err)
	}
	return nil
}
