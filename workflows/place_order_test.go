package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

func newOrderEnv(t *testing.T) *env {
	t.Helper()
	return newEnv(t, workflows.OrderWorkflowID(goodOrder().ID))
}

func (e *env) placeOrder(o order.Order) error {
	e.ExecuteWorkflow(workflows.TypePlaceOrder, workflows.PlaceOrderInput{Order: o})
	return e.GetWorkflowError()
}

func TestPlaceOrder(t *testing.T) {
	t.Parallel()

	e := newOrderEnv(t)
	require.NoError(t, e.placeOrder(goodOrder()))
	requireBeside(t, steps(workflows.PlaceOrderPlan, "NotifyCustomer"), e.ran)
	require.Empty(t, e.states)
	require.Equal(t, []string{"order-42:ReserveStock"}, e.keys["ReserveStock"])

	var receipt workflows.Receipt
	require.NoError(t, e.GetWorkflowResult(&receipt))
	require.Equal(t, workflows.Receipt{
		OrderID: "42", Total: order.Money{Amount: 3000, Currency: "EUR"}, Paid: order.Money{Amount: 2300, Currency: "EUR"},
		CaptureID: "c-of-a1", Carrier: "parcel", Tracking: "T1", InvoiceNumber: "I-of-c-of-a1", PointsAwarded: 7,
	}, receipt)
}

func TestPlaceOrderWithoutVoucherAndPoints(t *testing.T) {
	t.Parallel()

	e := newOrderEnv(t)
	o := goodOrder()
	o.Voucher, o.Points = "", 0
	require.NoError(t, e.placeOrder(o))
	want := slices.DeleteFunc(steps(workflows.PlaceOrderPlan, "NotifyCustomer"), func(s string) bool {
		return s == "RedeemVoucher" || s == "HoldPoints"
	})
	require.Equal(t, want, e.ran)
}

// undosOfPlaceOrder are the undos in the order in which they run when everything before the pivot was done.
var undosOfPlaceOrder = []string{
	"CancelShipment", "VoidAuthorization", "ReleasePoints", "RestoreVoucher", "ReleaseStock", "WithdrawScreening", "WithdrawQuote",
}

func TestPlaceOrderRefused(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		refused string
		undos   int // how many of undosOfPlaceOrder run
	}{
		{"PriceOrder", 0},
		{"ScreenFraud", 1},
		{"AuthorizePayment", 5},
		{"BookShipment", 6},
		{"CapturePayment", 7},
	} {
		t.Run(tt.refused, func(t *testing.T) {
			t.Parallel()

			e := newOrderEnv(t)
			e.refused[tt.refused] = true
			err := e.placeOrder(goodOrder())
			undos := undosOfPlaceOrder[len(undosOfPlaceOrder)-tt.undos:]
			requireBeside(t, slices.Concat(steps(workflows.PlaceOrderPlan, tt.refused), undos), e.ran)
			e.requireCompensated(t, err, compensation.ErrTypeRefused, tt.refused+" refused: not today")
		})
	}
}

// Of the three steps that run beside each other, the others may be running when one is refused.
func TestPlaceOrderRefusedBesideOthers(t *testing.T) {
	t.Parallel()

	for refused, undo := range map[string]string{
		"ReserveStock": "ReleaseStock", "RedeemVoucher": "RestoreVoucher", "HoldPoints": "ReleasePoints",
	} {
		t.Run(refused, func(t *testing.T) {
			t.Parallel()

			e := newOrderEnv(t)
			e.refused[refused] = true
			err := e.placeOrder(goodOrder())
			e.requireCompensated(t, err, compensation.ErrTypeRefused, refused+" refused: not today")

			undos := slices.DeleteFunc([]string{"ReleasePoints", "RestoreVoucher", "ReleaseStock", "WithdrawScreening", "WithdrawQuote"},
				func(s string) bool { return s == undo })
			require.Equal(t, undos, e.ran[len(e.ran)-len(undos):])
			require.NotContains(t, e.ran, undo)
			require.NotContains(t, e.ran, "AuthorizePayment")
		})
	}
}

func TestPlaceOrderUnknownOutcome(t *testing.T) {
	t.Parallel()

	e := newOrderEnv(t)
	e.down["AuthorizePayment"] = true
	err := e.placeOrder(goodOrder())
	e.requireCompensated(t, err, compensation.ErrTypeUnknown, "AuthorizePayment gave up, outcome unknown: ")
	require.Equal(t, undosOfPlaceOrder[1:], e.ran[len(e.ran)-6:], "what may have happened is undone, too")
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

			e := newOrderEnv(t)
			e.verdict = activities.Review
			if tt.decision != nil {
				e.update(time.Hour, workflows.UpdateApproval, *tt.decision)
			}
			err := e.placeOrder(goodOrder())
			if tt.failureType == "" {
				require.NoError(t, err)
				requireBeside(t, steps(workflows.PlaceOrderPlan, "NotifyCustomer"), e.ran)
				return
			}
			require.Equal(t, []string{"PriceOrder", "ScreenFraud", "WithdrawScreening", "WithdrawQuote"}, e.ran)
			e.requireCompensated(t, err, tt.failureType, tt.cause)
		})
	}
}

func TestApprovalIsTakenOnceAndOnlyWhenAwaited(t *testing.T) {
	t.Parallel()

	e := newOrderEnv(t)
	e.verdict = activities.Review
	unsigned := e.update(time.Minute, workflows.UpdateApproval, workflows.Approval{Approved: true})
	approved := e.update(time.Hour, workflows.UpdateApproval, workflows.Approval{Approved: true, By: "grace"})
	again := e.update(time.Hour, workflows.UpdateApproval, workflows.Approval{By: "mallory"})
	require.NoError(t, e.placeOrder(goodOrder()))
	require.ErrorContains(t, unsigned.rejected, "by is missing")
	require.True(t, approved.accepted)
	requireType(t, again.rejected, workflows.ErrTypeNotAwaited)
}

func TestCancelDuringReview(t *testing.T) {
	t.Parallel()

	e := newOrderEnv(t)
	e.verdict = activities.Review
	e.update(time.Hour, compensation.UpdateCancel, compensation.CancelRequest{By: "ada", Reason: "changed my mind"})
	err := e.placeOrder(goodOrder())
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, "canceled by ada: changed my mind", e.cause)
	require.Equal(t, []string{"PriceOrder", "ScreenFraud", "WithdrawScreening", "WithdrawQuote"}, e.ran)
}

func TestOverpaidOrderIsUndone(t *testing.T) {
	t.Parallel()

	e := newOrderEnv(t)
	o := goodOrder()
	o.Points = 2600
	err := e.placeOrder(o)
	e.requireCompensated(t, err, workflows.ErrTypeOverpaid, "voucher and points are worth more than the order")
	require.Equal(t, undosOfPlaceOrder[2:], e.ran[len(e.ran)-5:])
}

// requireCompensated requires that the saga ended undone, for that cause.
func (e *env) requireCompensated(t *testing.T, err error, failureType, cause string) {
	t.Helper()
	requireType(t, err, failureType)
	require.Contains(t, e.cause, cause)
	require.Equal(t, []string{"compensating", "compensated"}, e.states)
}

func requireType(t *testing.T, err error, failureType string) {
	t.Helper()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, failureType, failure.Type())
}
