package workflows_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// registerSagas is for environments in which sagas run by name.
var registerSagas = sagatest.Configure(func(env *testsuite.TestWorkflowEnvironment) { workflows.Register(env) })

func newOrderEnv(t sagatest.TB) *sagatest.Env {
	t.Helper()
	env := sagatest.New(t, workflows.PlaceOrderPlan, sagatest.ID(workflows.OrderWorkflowID(goodOrder().ID)), registerSagas)
	answerOrders(env)
	return env
}

func newReturnEnv(t sagatest.TB) *sagatest.Env {
	t.Helper()
	env := sagatest.New(t, workflows.ReturnOrderPlan, sagatest.ID(workflows.ReturnWorkflowID("r7")), registerSagas)
	answerReturns(env)
	return env
}

// answerOrders gives PlaceOrder's steps answers that tie together: each step must pass on what an earlier one answered.
func answerOrders(env *sagatest.Env) {
	sagatest.Answer(env, "PriceOrder", func(in activities.PriceOrder) activities.Quote {
		q := activities.Quote{Total: order.Money{Currency: in.Currency}}
		for _, l := range in.Lines {
			q.Lines = append(q.Lines, activities.QuotedLine{SKU: l.SKU, Quantity: l.Quantity, UnitPrice: 1000, Amount: 1000 * l.Quantity})
			q.Total.Amount += 1000 * l.Quantity
		}
		return q
	})
	screen(env, activities.Accept)
	sagatest.Answer(env, "ReserveStock", func(activities.ReserveStock) activities.Reservation {
		return activities.Reservation{ID: "r1"}
	})
	sagatest.Answer(env, "RedeemVoucher", func(in activities.RedeemVoucher) activities.Redemption {
		return activities.Redemption{Code: in.Code, Discount: order.Money{Amount: 500, Currency: in.Amount.Currency}}
	})
	sagatest.Answer(env, "HoldPoints", func(in activities.HoldPoints) activities.Hold {
		return activities.Hold{ID: "h1", Points: in.Points, Value: order.Money{Amount: in.Points, Currency: in.Currency}}
	})
	sagatest.Answer(env, "AuthorizePayment", func(in activities.AuthorizePayment) activities.Authorization {
		return activities.Authorization{ID: "a1", Amount: in.Amount}
	})
	sagatest.Answer(env, "BookShipment", func(activities.BookShipment) activities.Shipment {
		return activities.Shipment{ID: "s1", Carrier: "parcel", Tracking: "T1"}
	})
	sagatest.Answer(env, "CapturePayment", func(in activities.CapturePayment) activities.Capture {
		return activities.Capture{ID: "c-of-" + in.AuthorizationID, Amount: in.Amount}
	})
	sagatest.Answer(env, "AwardPoints", func(activities.AwardPoints) activities.PointsChange {
		return activities.PointsChange{Points: 7}
	})
	sagatest.Answer(env, "IssueInvoice", func(in activities.IssueInvoice) activities.Invoice {
		return activities.Invoice{Number: "I-of-" + in.CaptureID}
	})
}

// screen lets fraud screening find that.
func screen(env *sagatest.Env, verdict activities.Verdict) {
	sagatest.Answer(env, "ScreenFraud", func(activities.ScreenFraud) activities.Screening {
		return activities.Screening{Verdict: verdict}
	})
}

// answerReturns does for ReturnOrder what answerOrders does for PlaceOrder.
func answerReturns(env *sagatest.Env) {
	sagatest.Answer(env, "ApproveReturn", func(activities.ApproveReturn) activities.ReturnApproval {
		return activities.ReturnApproval{
			ID: "ra1", Customer: goodOrder().Customer, Lines: goodOrder().Lines, CaptureID: "c1",
			Refund: order.Money{Amount: 3000, Currency: "EUR"}, PointsToTakeBack: 30, ShipFrom: goodOrder().ShipTo,
		}
	})
	sagatest.Answer(env, "BookReturn", func(activities.BookReturn) activities.ReturnShipment {
		return activities.ReturnShipment{ID: "rs1", Carrier: "parcel", Tracking: "T2"}
	})
	sagatest.Answer(env, "RefundPayment", func(in activities.RefundPayment) activities.Refund {
		return activities.Refund{ID: "f-of-" + in.CaptureID, Amount: in.Amount}
	})
	sagatest.Answer(env, "TakeBackPoints", func(in activities.TakeBackPoints) activities.PointsChange {
		return activities.PointsChange{Points: in.Points}
	})
	sagatest.Answer(env, "IssueCreditNote", func(in activities.IssueCreditNote) activities.CreditNote {
		return activities.CreditNote{Number: "N-of-" + in.RefundID}
	})
}

// goodOrder costs 3000, 500 of it paid by voucher and 200 by points.
func goodOrder() order.Order {
	return order.Order{
		ID:       "42",
		Customer: order.Customer{ID: "c-1001", Name: "Ada Lovelace", Email: "ada@example.com"},
		Lines:    []order.Line{{SKU: "TEA-SENCHA", Quantity: 2}, {SKU: "CUP-PORCELAIN", Quantity: 1}},
		Currency: "EUR", Voucher: "SPRING-0001", Points: 200,
		Payment: order.Payment{Token: "tok_visa"},
		ShipTo:  order.Address{Name: "Ada Lovelace", Street: "Kai 1", PostalCode: "20457", City: "Hamburg", Country: "DE"},
	}
}

// until are the steps up to and including last.
func until(last string, steps []string) []string {
	return steps[:slices.Index(steps, last)+1]
}

// undosOf are the undos of these steps, in the order in which they run.
func undosOf(steps ...string) []string {
	var undos []string
	for _, st := range slices.Backward(steps) {
		undos = append(undos, "undo "+st)
	}
	return undos
}

// requireCompensated requires that the saga ended undone, for that cause.
func requireCompensated(t *testing.T, env *sagatest.Env, err error, failureType, cause string) {
	t.Helper()
	requireType(t, err, failureType)
	require.Equal(t, cause, env.Cause())
	env.RequireState(compensation.Compensated)
	require.Empty(t, env.Effects())
}

func requireType(t *testing.T, err error, failureType string) {
	t.Helper()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, failureType, failure.Type())
}
