package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

func placeOrder(env *sagatest.Env, o order.Order) error {
	return env.Run(workflows.TypePlaceOrder, workflows.PlaceOrderInput{Order: o, Revision: workflows.Revision})
}

// stepsOfPlaceOrder are the steps of an order with voucher and points, in the order in which they are started.
var stepsOfPlaceOrder = []string{
	"PriceOrder", "ScreenFraud", "ReserveStock", "RedeemVoucher", "HoldPoints", "AuthorizePayment", "BookShipment",
	"CapturePayment", "CommitStock", "AwardPoints", "IssueInvoice", "DispatchShipment", "NotifyCustomer",
}

func TestPlaceOrder(t *testing.T) {
	t.Parallel()

	env := newOrderEnv(t)
	require.NoError(t, placeOrder(env, goodOrder()))
	env.RequireCalls(stepsOfPlaceOrder...)
	require.Empty(t, env.States(), "a saga in which all goes well writes nothing")
	require.Equal(t, "order-42:PriceOrder", env.Log()[0].Key.String())

	var receipt workflows.Receipt
	env.Result(&receipt)
	require.Equal(t, workflows.Receipt{
		OrderID: "42", Total: order.Money{Amount: 3000, Currency: "EUR"}, Paid: order.Money{Amount: 2300, Currency: "EUR"},
		CaptureID: "c-of-a1", Carrier: "parcel", Tracking: "T1", InvoiceNumber: "I-of-c-of-a1", PointsAwarded: 7,
	}, receipt)
}

func TestPlaceOrderWithoutVoucherAndPoints(t *testing.T) {
	t.Parallel()

	env := newOrderEnv(t)
	o := goodOrder()
	o.Voucher, o.Points = "", 0
	require.NoError(t, placeOrder(env, o))
	env.RequireCalls(slices.DeleteFunc(slices.Clone(stepsOfPlaceOrder), func(s string) bool {
		return s == "RedeemVoucher" || s == "HoldPoints"
	})...)
}

func TestPlaceOrderRefused(t *testing.T) {
	t.Parallel()

	for refused, undone := range map[string][]string{
		"PriceOrder":  {},
		"ScreenFraud": {"PriceOrder"},
		// Of the three steps that run beside each other, all are started before one is refused.
		"ReserveStock":     {"PriceOrder", "ScreenFraud", "RedeemVoucher", "HoldPoints"},
		"RedeemVoucher":    {"PriceOrder", "ScreenFraud", "ReserveStock", "HoldPoints"},
		"HoldPoints":       {"PriceOrder", "ScreenFraud", "ReserveStock", "RedeemVoucher"},
		"AuthorizePayment": {"PriceOrder", "ScreenFraud", "ReserveStock", "RedeemVoucher", "HoldPoints"},
		"BookShipment":     {"PriceOrder", "ScreenFraud", "ReserveStock", "RedeemVoucher", "HoldPoints", "AuthorizePayment"},
		"CapturePayment":   {"PriceOrder", "ScreenFraud", "ReserveStock", "RedeemVoucher", "HoldPoints", "AuthorizePayment", "BookShipment"},
	} {
		t.Run(refused, func(t *testing.T) {
			t.Parallel()

			env := newOrderEnv(t)
			env.Refuse(refused)
			err := placeOrder(env, goodOrder())
			started := until(refused, stepsOfPlaceOrder)
			if slices.Contains([]string{"ReserveStock", "RedeemVoucher"}, refused) {
				started = until("HoldPoints", stepsOfPlaceOrder)
			}
			var fence []string
			if len(undone) > 0 {
				fence = []string{"undo CapturePayment"}
			}
			env.RequireCalls(slices.Concat(started, fence, undosOf(undone...))...)
			requireCompensated(t, env, err, compensation.ErrTypeRefused, refused+" refused: not today")
		})
	}
}

func TestPlaceOrderUnknownOutcome(t *testing.T) {
	t.Parallel()

	env := newOrderEnv(t)
	env.Fail("AuthorizePayment", sagatest.Forever)
	err := placeOrder(env, goodOrder())
	requireCompensated(t, env, err, compensation.ErrTypeUnknown, "AuthorizePayment gave up, outcome unknown: connection reset")
	// By then the saga does not know any more whether it saw everything, so it undoes what a lost try may have done.
	require.Equal(t, slices.Concat(until("AuthorizePayment", stepsOfPlaceOrder), undosOf("CapturePayment"),
		undosOf("PriceOrder", "ScreenFraud", "ReserveStock", "RedeemVoucher", "HoldPoints", "AuthorizePayment", "BookShipment"),
	), slices.Compact(env.Calls()))
}

// Sagas that were started before there were express steps keep the history that they had.
func TestPlaceOrderOfTheFirstRevision(t *testing.T) {
	t.Parallel()

	for _, revision := range []int{0, 1} {
		env := newOrderEnv(t)
		env.Refuse("BookShipment")
		require.Error(t, env.Run(workflows.TypePlaceOrder, workflows.PlaceOrderInput{Order: goodOrder(), Revision: revision}))
		env.RequireCalls(slices.Concat(until("BookShipment", stepsOfPlaceOrder), undosOf(until("AuthorizePayment", stepsOfPlaceOrder)...))...)
		for _, call := range env.Log() {
			require.False(t, call.Express, "%s", call)
		}
	}
}

func TestPlaceOrderReview(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		decision    *workflows.Approval
		failureType string
		cause       string
	}{
		"approved":              {decision: &workflows.Approval{Approved: true, By: "grace"}},
		"rejected":              {&workflows.Approval{By: "grace"}, workflows.ErrTypeRejected, "rejected by grace"},
		"rejected for a reason": {&workflows.Approval{By: "grace", Reason: "no such street"}, workflows.ErrTypeRejected, "rejected by grace: no such street"},
		"nobody decides":        {nil, workflows.ErrTypeApprovalTimeout, "nobody approved the order within 24h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := newOrderEnv(t)
			screen(env, activities.Review)
			if tt.decision != nil {
				env.UpdateAfter(time.Hour, workflows.UpdateApproval, *tt.decision)
			}
			err := placeOrder(env, goodOrder())
			if tt.failureType == "" {
				require.NoError(t, err)
				env.RequireCalls(stepsOfPlaceOrder...)
				return
			}
			env.RequireCalls(undoneInReview...)
			requireCompensated(t, env, err, tt.failureType, tt.cause)
		})
	}
}

// undoneInReview are the calls of an order that turns back while it waits for a person. After the wait the saga does not
// know any more whether it saw everything, so it undoes what a lost try may have done.
var undoneInReview = slices.Concat([]string{"PriceOrder", "ScreenFraud"}, undosOf("CapturePayment"),
	undosOf("PriceOrder", "ScreenFraud", "ReserveStock", "RedeemVoucher", "HoldPoints", "AuthorizePayment", "BookShipment"))

func TestApprovalIsTakenOnceAndOnlyWhenAwaited(t *testing.T) {
	t.Parallel()

	env := newOrderEnv(t)
	screen(env, activities.Review)
	unsigned := env.UpdateAfter(time.Minute, workflows.UpdateApproval, workflows.Approval{Approved: true})
	approved := env.UpdateAfter(time.Hour, workflows.UpdateApproval, workflows.Approval{Approved: true, By: "grace"})
	again := env.UpdateAfter(time.Hour, workflows.UpdateApproval, workflows.Approval{By: "mallory"})
	require.NoError(t, placeOrder(env, goodOrder()))
	require.ErrorContains(t, unsigned.Rejected, "by is missing")
	require.True(t, approved.Accepted)
	requireType(t, again.Rejected, workflows.ErrTypeNotAwaited)
}

func TestCancelDuringReview(t *testing.T) {
	t.Parallel()

	env := newOrderEnv(t)
	screen(env, activities.Review)
	env.UpdateAfter(time.Hour, compensation.UpdateCancel, compensation.CancelRequest{By: "ada", Reason: "changed my mind"})
	err := placeOrder(env, goodOrder())
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, "canceled by ada: changed my mind", env.Cause())
	env.RequireCalls(undoneInReview...)
}

func TestOverpaidOrderIsUndone(t *testing.T) {
	t.Parallel()

	env := newOrderEnv(t)
	o := goodOrder()
	o.Points = 2600
	err := placeOrder(env, o)
	requireCompensated(t, env, err, workflows.ErrTypeOverpaid, "voucher and points are worth more than the order")
	started := until("HoldPoints", stepsOfPlaceOrder)
	env.RequireCalls(slices.Concat(started, undosOf("CapturePayment"), undosOf(started...))...)
}

func TestPlaceOrderDeadline(t *testing.T) {
	t.Parallel()

	env := newOrderEnv(t)
	screen(env, activities.Review)
	err := env.Run(workflows.TypePlaceOrder, workflows.PlaceOrderInput{
		Order: goodOrder(), Deadline: time.Hour, Revision: workflows.Revision,
	})
	requireType(t, err, compensation.ErrTypeDeadline)
	env.RequireCalls(undoneInReview...)
}

func TestTotalThatTheCustomerExpects(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		expected order.Money
		cause    string // empty: placed
	}{
		"same":           {expected: order.Money{Amount: 3000, Currency: "EUR"}},
		"less":           {order.Money{Amount: 2999, Currency: "EUR"}, "total_changed: the articles cost EUR 30.00, not the EUR 29.99 that the order expects"},
		"more":           {order.Money{Amount: 3001, Currency: "EUR"}, "total_changed: the articles cost EUR 30.00, not the EUR 30.01 that the order expects"},
		"nothing":        {order.Money{Currency: "EUR"}, "total_changed: the articles cost EUR 30.00, not the EUR 0.00 that the order expects"},
		"other currency": {order.Money{Amount: 3000, Currency: "JPY"}, "total_changed: the articles cost EUR 30.00, not the JPY 3000 that the order expects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := newOrderEnv(t)
			o := goodOrder()
			o.ExpectedTotal = &tt.expected
			err := placeOrder(env, o)
			if tt.cause == "" {
				require.NoError(t, err)
				env.RequireCalls(stepsOfPlaceOrder...)
				return
			}
			require.Equal(t, workflows.CodeTotalChanged, compensation.RefusalCode(err))
			requireCompensated(t, env, err, compensation.ErrTypeRefused, tt.cause)
			env.RequireCalls("PriceOrder", "undo CapturePayment", "undo PriceOrder")
		})
	}
}

// A guest has no account for points. Sagas of earlier revisions go on as they began.
func TestGuestsEarnNoPoints(t *testing.T) {
	t.Parallel()

	for _, id := range []string{"", "0"} {
		o := goodOrder()
		o.Customer.ID, o.Points = id, 0
		steps := slices.DeleteFunc(slices.Clone(stepsOfPlaceOrder), func(s string) bool { return s == "HoldPoints" })

		before := newOrderEnv(t)
		require.NoError(t, before.Run(workflows.TypePlaceOrder, workflows.PlaceOrderInput{Order: o, Revision: 2}))
		before.RequireCalls(steps...)

		env := newOrderEnv(t)
		require.NoError(t, placeOrder(env, o))
		env.RequireCalls(slices.DeleteFunc(steps, func(s string) bool { return s == "AwardPoints" })...)
		var receipt workflows.Receipt
		env.Result(&receipt)
		require.Zero(t, receipt.PointsAwarded)
	}
}

func TestTimeLimitsThatTemporalCannotKeep(t *testing.T) {
	t.Parallel()

	for _, in := range []workflows.PlaceOrderInput{
		{Deadline: compensation.MaxWait + 1}, {ApprovalWithin: compensation.MaxWait + 1}, {ApprovalWithin: -1},
	} {
		env := newOrderEnv(t)
		in.Order, in.Revision = goodOrder(), workflows.Revision
		requireType(t, env.Run(workflows.TypePlaceOrder, in), workflows.ErrTypeTimeLimit)
		env.RequireState(compensation.Compensated)
	}
	env := newOrderEnv(t)
	requireType(t, env.Run(workflows.TypeReturnOrder, workflows.ReturnOrderInput{
		Return: order.Return{ID: "r1", OrderID: "42", Reason: "why"}, GoodsWithin: compensation.MaxWait + 1, Revision: workflows.Revision,
	}), workflows.ErrTypeTimeLimit)
	env = newOrderEnv(t)
	require.NoError(t, env.Run(workflows.TypePlaceOrder, workflows.PlaceOrderInput{
		Order: goodOrder(), ApprovalWithin: compensation.MaxWait, Deadline: compensation.MaxWait, Revision: workflows.Revision,
	}))
}
