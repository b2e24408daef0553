package e2e_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"
)

// scenario is one way in which a saga ends. The end-to-end tests and the recorded histories share them.
type scenario struct {
	// name is also the recorded history's file name.
	name string
	// start places the order or the return, with whatever must be so before, and returns its path.
	start func(*system) string
	// steer does what a person does while the saga runs.
	steer func(s *system, path string)
	state string
	cause string
	// undone are the steps that are undone in the end, in the plan's order.
	undone []string
	// check looks at what is particular.
	check func(*system, saga)
}

// The steps that stand before a step of PlaceOrder is refused. Only some of the orders use points.
var (
	untilScreening = []string{"PriceOrder", "ScreenFraud"}
	untilStock     = []string{"PriceOrder", "ScreenFraud", "ReserveStock"}
	untilPoints    = []string{"PriceOrder", "ScreenFraud", "ReserveStock", "HoldPoints"}
	untilPayment   = []string{"PriceOrder", "ScreenFraud", "ReserveStock", "AuthorizePayment"}
	// A refusal behind which an earlier try may still have its effect: the step is undone, too.
	untilRefusedTwice = []string{"PriceOrder", "ScreenFraud", "ReserveStock", "HoldPoints", "AuthorizePayment"}
	untilShipment     = []string{"PriceOrder", "ScreenFraud", "ReserveStock", "AuthorizePayment", "BookShipment"}
)

// Once a return has waited, another try may have got another answer: the refused step is undone, too.
var untilInspection = []string{"ApproveReturn", "BookReturn", "InspectGoods"}

var orderScenarios = []scenario{
	{
		name: "completed", start: place("good.json"), state: "completed",
		check: func(s *system, v saga) {
			require.Equal(s.t, "not_run", v.step("RedeemVoucher").Do)
			require.Contains(s.t, string(v.Result), `"invoice_number"`)
		},
	},
	{name: "completed-with-voucher-and-points", start: place("good-with-voucher-and-points.json"), state: "completed"},
	{
		name: "refused-at-price-order", start: place("unknown-sku.json"), state: "compensated", cause: "PriceOrder refused: ",
		check: func(s *system, v saga) {
			require.Equal(s.t, "refused", v.step("PriceOrder").Do)
			require.Equal(s.t, "not_run", v.step("NotifyCustomer").Do)
		},
	},
	{
		name: "refused-at-screen-fraud", start: place("fraud-suspected.json"), state: "compensated",
		cause: "ScreenFraud refused: ", undone: untilScreening[:1],
	},
	{
		name: "refused-at-reserve-stock", start: place("out-of-stock.json"), state: "compensated",
		cause: "ReserveStock refused: ", undone: untilScreening,
	},
	{
		name: "refused-at-redeem-voucher", start: place("voucher-used.json"), state: "compensated",
		cause: "RedeemVoucher refused: ", undone: untilStock,
	},
	{
		name: "refused-at-hold-points", start: place("not-enough-points.json"), state: "compensated",
		cause: "HoldPoints refused: ", undone: untilStock,
	},
	{
		name: "overpaid", start: place("overpaid.json"), state: "compensated", cause: "voucher and points are worth more than the order",
		undone: untilPoints,
	},
	{
		name: "refused-at-authorize-payment", start: place("card-declined.json"), state: "compensated",
		cause: "AuthorizePayment refused: ", undone: untilPoints,
	},
	{
		name: "refused-at-book-shipment", start: place("no-carrier.json"), state: "compensated",
		cause: "BookShipment refused: ", undone: untilPayment,
	},
	{
		name: "refused-at-capture-payment", start: place("capture-declined.json"), state: "compensated",
		cause: "CapturePayment refused: ", undone: untilShipment,
	},
	{
		name: "approved", start: place("fraud-review.json"), state: "completed",
		steer: func(s *system, path string) { s.decide(path, true) },
	},
	{
		name: "rejected", start: place("fraud-review.json"), state: "compensated",
		steer: func(s *system, path string) { s.decide(path, false) },
		cause: "rejected by grace: no such street", undone: untilScreening,
	},
	{
		name: "approval-timed-out", start: hastily(place("fraud-review.json")), state: "compensated",
		cause: "nobody approved the order within ", undone: untilScreening,
	},
	{
		name: "canceled", start: place("fraud-review.json"), state: "compensated",
		steer: func(s *system, path string) { s.awaitWait(path); s.act(path+"/cancel", byAda) },
		cause: "canceled by ada: changed my mind", undone: untilScreening,
	},
	{
		name: "canceled-through-temporal", start: place("fraud-review.json"), state: "compensated",
		steer: func(s *system, path string) {
			s.awaitWait(path)
			require.NoError(s.t, s.dial().CancelWorkflow(s.t.Context(), workflowID(path), ""))
		},
		cause: "canceled by Temporal", undone: untilScreening,
	},
	{
		name: "canceled-too-late", state: "completed",
		start: place("good.json", fault{"inventory", "CommitStock", settings{"down": true, "times": 3}}),
		steer: func(s *system, path string) {
			s.awaitStep(path, "CapturePayment", "done")
			status, body := s.post(s.apiURL+path+"/cancel", byAda)
			require.Equal(s.t, http.StatusConflict, status, "%s", body)
			require.Contains(s.t, string(body), "too_late_to_cancel")
		},
	},
	{
		name: "undo-needed-retries", state: "compensated", cause: "AuthorizePayment refused: ", undone: untilPoints,
		start: place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "down": true, "times": 2}}),
		check: func(s *system, v saga) { require.Equal(s.t, 3, v.step("ReserveStock").UndoAttempts) },
	},
	{
		name: "retriable-step-needed-retries", state: "completed",
		start: place("good.json", fault{"invoicing", "IssueInvoice", settings{"error_rate": 1, "times": 2}}),
		check: func(s *system, v saga) { require.Equal(s.t, 3, v.step("IssueInvoice").Attempts) },
	},
	{
		name: "reply-lost", state: "completed",
		start: place("good.json", fault{"payment", "AuthorizePayment", settings{"lose_reply": true, "times": 1}}),
		check: func(s *system, v saga) { require.Equal(s.t, 2, v.step("AuthorizePayment").Attempts) },
	},
	{
		name: "reply-of-the-pivot-lost", state: "completed",
		start: place("good.json", fault{"payment", "CapturePayment", settings{"lose_reply": true, "times": 1}}),
		check: func(s *system, v saga) { require.Equal(s.t, 2, v.step("CapturePayment").Attempts) },
	},
	{
		name: "refused-after-a-lost-try", state: "compensated", cause: "AuthorizePayment refused: ", undone: untilRefusedTwice,
		start: place("card-declined.json", fault{"payment", "AuthorizePayment", settings{"down": true, "times": 1}}),
	},
}

var returnScenarios = []scenario{
	{
		name: "completed", start: giveBack(place("good.json"), "good.json"), state: "completed",
		steer: goodsArrive("resalable"),
		check: func(s *system, v saga) { require.Contains(s.t, string(v.Result), `"credit_note_number"`) },
	},
	{name: "completed-in-part", start: giveBack(place("good.json"), "partial.json"), state: "completed", steer: goodsArrive("resalable")},
	{
		name: "refused-at-approve-return", start: giveBack(place("good.json"), "not-ordered.json"), state: "compensated",
		cause: "ApproveReturn refused: ",
	},
	{
		name: "refused-at-book-return", start: giveBack(placeWith("ship_to", abroad), "good.json"), state: "compensated",
		cause: "BookReturn refused: ", undone: []string{"ApproveReturn"},
	},
	{
		name: "refused-at-inspect-goods", start: giveBack(place("good.json"), "goods-damaged.json"), state: "compensated",
		steer: goodsArrive("damaged"), cause: "InspectGoods refused: ", undone: untilInspection,
	},
	{
		name: "refused-at-refund-payment", start: giveBack(placeWith("payment", map[string]any{"token": "tok_closed_later"}), "good.json"), state: "compensated",
		steer: goodsArrive("resalable"), cause: "RefundPayment refused: ", undone: []string{"ApproveReturn", "BookReturn", "InspectGoods"},
	},
	{
		name: "canceled", start: giveBack(place("good.json"), "good.json"), state: "compensated",
		steer: func(s *system, path string) { s.awaitWait(path); s.act(path+"/cancel", byAda) },
		cause: "canceled by ada: changed my mind", undone: []string{"ApproveReturn", "BookReturn"},
	},
	{
		name: "goods-overdue", start: hastily(giveBack(place("good.json"), "goods-overdue.json")), state: "compensated",
		cause:  "the goods did not arrive within ",
		undone: []string{"ApproveReturn", "BookReturn", "RemindCustomer", "RemindCustomer", "RemindCustomer"},
	},
	{
		name: "undo-needed-retries", state: "compensated", cause: "InspectGoods refused: ", undone: untilInspection,
		start: giveBack(place("good.json"), "goods-damaged.json", fault{"shipping", "BookReturn", settings{"on": "undo", "down": true, "times": 2}}),
		steer: goodsArrive("damaged"),
		check: func(s *system, v saga) { require.Equal(s.t, 3, v.step("BookReturn").UndoAttempts) },
	},
	{
		name: "retriable-step-needed-retries", state: "completed",
		start: giveBack(place("good.json"), "good.json", fault{"inventory", "RestockGoods", settings{"error_rate": 1, "times": 2}}),
		steer: goodsArrive("resalable"),
		check: func(s *system, v saga) { require.Equal(s.t, 3, v.step("RestockGoods").Attempts) },
	},
	{
		name: "reply-of-the-pivot-lost", state: "completed",
		start: giveBack(place("good.json"), "good.json", fault{"payment", "RefundPayment", settings{"lose_reply": true, "times": 1}}),
		steer: goodsArrive("resalable"),
		check: func(s *system, v saga) { require.Equal(s.t, 2, v.step("RefundPayment").Attempts) },
	},
}

type settings = map[string]any

// fault is a fault of one step for one saga.
type fault struct {
	service, step string
	settings      settings
}

var byAda = map[string]any{"by": "ada", "reason": "changed my mind"}

// place places an order of examples/orders.
func place(file string, faults ...fault) func(*system) string {
	return func(s *system) string {
		d := example(s.t, "orders/"+file)
		if _, ok := d.fields["voucher"]; ok && file == "good-with-voucher-and-points.json" {
			d = d.with("voucher", s.unusedVoucher())
		}
		for _, f := range faults {
			s.fault(f.service, f.step, d, f.settings)
		}
		return s.place("orders", d)
	}
}

// placeWith places examples/orders/good.json with one field changed.
func placeWith(field string, value any) func(*system) string {
	return func(s *system) string {
		return s.place("orders", example(s.t, "orders/good.json").with(field, value))
	}
}

// abroad is where carriers deliver to but do not fetch returns from.
var abroad = map[string]any{"name": "Ada Lovelace", "street": "12 St James Square", "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"}

// giveBack places an order and, when it is completed, asks for a return of examples/returns.
func giveBack(placeOrder func(*system) string, returnFile string, faults ...fault) func(*system) string {
	return func(s *system) string {
		v := s.awaitEnd(placeOrder(s))
		require.Equal(s.t, "completed", v.State, v.Cause)
		d := example(s.t, "returns/"+returnFile).with("order_id", v.ID)
		for _, f := range faults {
			s.fault(f.service, f.step, d, f.settings)
		}
		return s.place("returns", d)
	}
}

// hastily starts the saga through the API that gives people little time.
func hastily(start func(*system) string) func(*system) string {
	return func(s *system) string {
		hasty := *s
		hasty.apiURL = s.hastyURL
		return start(&hasty)
	}
}

// hasty is how long a person has at the hasty API.
const hasty = 2 * time.Second

// decide approves or rejects an order, once it waits for that.
func (s *system) decide(path string, approved bool) {
	s.t.Helper()
	s.awaitWait(path)
	s.act(path+"/approval", map[string]any{"approved": approved, "by": "grace", "reason": "no such street"})
}

func goodsArrive(condition string) func(*system, string) {
	return func(s *system, path string) {
		s.awaitWait(path)
		s.act(path+"/arrival", map[string]any{"condition": condition, "by": "dock 4"})
	}
}

// awaitWait waits until the saga waits for somebody.
func (s *system) awaitWait(path string) {
	s.t.Helper()
	s.await(path, "does not wait for anybody", func(v saga) bool { return len(v.Waits) > 0 })
}

// act posts what a person decides, and requires that it is taken.
func (s *system) act(path string, body any) {
	s.t.Helper()
	status, answer := s.post(s.apiURL+path, body)
	require.Equal(s.t, http.StatusAccepted, status, "%s", answer)
}

// unusedVoucher is a voucher's code that no other scenario of this system uses.
func (s *system) unusedVoucher() string { return unusedVoucher(int(s.vouchers.Add(1))) }

func unusedVoucher(n int) string { return fmt.Sprintf("SPRING-%04d", n) }

// workflowID is the ID of the saga at that path: "/v1/orders/42" is order-42.
func workflowID(path string) string {
	var collection, id string
	if n, err := fmt.Sscanf(path, "/v1/orders/%s", &id); n == 1 && err == nil {
		collection = "order-"
	} else if n, err := fmt.Sscanf(path, "/v1/returns/%s", &id); n == 1 && err == nil {
		collection = "return-"
	}
	return collection + id
}

// play runs the scenario to its end and checks it.
func (sc scenario) play(s *system) (path string) {
	s.t.Helper()
	path = sc.start(s)
	if sc.steer != nil {
		sc.steer(s, path)
	}
	v := s.awaitEnd(path)
	require.Equal(s.t, sc.state, v.State, "%+v", v)
	v.requireFactsFit(s.t)
	require.Contains(s.t, v.Cause, sc.cause)
	if sc.cause == "" {
		require.Empty(s.t, v.Cause)
	}
	require.Equal(s.t, sc.undone, v.undone())
	for _, st := range v.Steps {
		require.NotContains(s.t, []string{"running", "waiting"}, st.Do, "%+v", st)
	}
	if sc.check != nil {
		sc.check(s, v)
	}
	return path
}
