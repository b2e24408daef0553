package workflows_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// env runs a saga on the SDK's test suite with a fake for every activity, and notes what ran, in order.
type env struct {
	*testsuite.TestWorkflowEnvironment

	mu  sync.Mutex
	ran []string
	// refused are the activities that refuse, down those that never answer.
	refused, down map[string]bool
	// verdict is what fraud screening finds.
	verdict activities.Verdict
	// keys are the keys that each activity got.
	keys map[string][]string

	states []string
	cause  string
}

func newEnv(t *testing.T, workflowID string) *env {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	e := &env{
		TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(),
		refused:                 map[string]bool{}, down: map[string]bool{}, keys: map[string][]string{},
		verdict: activities.Accept,
	}
	e.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflowID})
	workflows.Register(e)
	e.participants()
	e.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
		state, _ := args.Get(0).(temporal.SearchAttributes).GetKeyword(compensation.SearchAttributeState)
		e.states = append(e.states, state)
	}).Return(nil).Maybe()
	e.OnUpsertMemo(mock.Anything).Run(func(args mock.Arguments) {
		e.cause, _ = args.Get(0).(map[string]any)[compensation.MemoCause].(string)
	}).Return(nil).Maybe()
	return e
}

// participants registers the fakes. Their answers tie together: each step must pass on what an earlier one answered.
func (e *env) participants() {
	fake(e, "PriceOrder", "WithdrawQuote", func(in activities.PriceOrder) activities.Quote {
		q := activities.Quote{Total: order.Money{Currency: in.Currency}}
		for _, l := range in.Lines {
			q.Lines = append(q.Lines, activities.QuotedLine{SKU: l.SKU, Quantity: l.Quantity, UnitPrice: 1000, Amount: 1000 * l.Quantity})
			q.Total.Amount += 1000 * l.Quantity
		}
		return q
	})
	fake(e, "ScreenFraud", "WithdrawScreening", func(activities.ScreenFraud) activities.Screening {
		return activities.Screening{Verdict: e.verdict}
	})
	fake(e, "ReserveStock", "ReleaseStock", func(activities.ReserveStock) activities.Reservation {
		return activities.Reservation{ID: "r1"}
	})
	fake(e, "RedeemVoucher", "RestoreVoucher", func(in activities.RedeemVoucher) activities.Redemption {
		return activities.Redemption{Code: in.Code, Discount: order.Money{Amount: 500, Currency: in.Amount.Currency}}
	})
	fake(e, "HoldPoints", "ReleasePoints", func(in activities.HoldPoints) activities.Hold {
		return activities.Hold{ID: "h1", Points: in.Points, Value: order.Money{Amount: in.Points, Currency: in.Currency}}
	})
	fake(e, "AuthorizePayment", "VoidAuthorization", func(in activities.AuthorizePayment) activities.Authorization {
		return activities.Authorization{ID: "a1", Amount: in.Amount}
	})
	fake(e, "BookShipment", "CancelShipment", func(activities.BookShipment) activities.Shipment {
		return activities.Shipment{ID: "s1", Carrier: "parcel", Tracking: "T1"}
	})
	fake(e, "CapturePayment", "PreventCapture", func(in activities.CapturePayment) activities.Capture {
		return activities.Capture{ID: "c-of-" + in.AuthorizationID, Amount: in.Amount}
	})
	fake(e, "CommitStock", "", func(activities.CommitStock) activities.Commitment { return activities.Commitment{ID: "k1"} })
	fake(e, "AwardPoints", "", func(activities.AwardPoints) activities.PointsChange { return activities.PointsChange{Points: 7} })
	fake(e, "IssueInvoice", "", func(in activities.IssueInvoice) activities.Invoice {
		return activities.Invoice{Number: "I-of-" + in.CaptureID}
	})
	fake(e, "DispatchShipment", "", func(activities.DispatchShipment) activities.Dispatch { return activities.Dispatch{Tracking: "T1"} })
	fake(e, "NotifyCustomer", "", func(activities.Mail) activities.SentMail { return activities.SentMail{ID: "m1"} })

	fake(e, "ApproveReturn", "WithdrawApproval", func(activities.ApproveReturn) activities.ReturnApproval {
		return activities.ReturnApproval{
			ID: "ra1", Customer: goodOrder().Customer, Lines: goodOrder().Lines, CaptureID: "c1",
			Refund: order.Money{Amount: 3000, Currency: "EUR"}, PointsToTakeBack: 30, ShipFrom: goodOrder().ShipTo,
		}
	})
	fake(e, "BookReturn", "CancelReturnShipment", func(activities.BookReturn) activities.ReturnShipment {
		return activities.ReturnShipment{ID: "rs1", Carrier: "parcel", Tracking: "T2"}
	})
	fake(e, "RemindCustomer", "DropReminder", func(activities.Mail) activities.SentMail { return activities.SentMail{ID: "m2"} })
	fake(e, "InspectGoods", "WithdrawInspection", func(activities.InspectGoods) activities.Inspection { return activities.Inspection{ID: "i1"} })
	fake(e, "RefundPayment", "PreventRefund", func(in activities.RefundPayment) activities.Refund {
		return activities.Refund{ID: "f-of-" + in.CaptureID, Amount: in.Amount}
	})
	fake(e, "RestockGoods", "", func(activities.RestockGoods) activities.Restock { return activities.Restock{ID: "rk1"} })
	fake(e, "TakeBackPoints", "", func(in activities.TakeBackPoints) activities.PointsChange {
		return activities.PointsChange{Points: in.Points}
	})
	fake(e, "IssueCreditNote", "", func(in activities.IssueCreditNote) activities.CreditNote {
		return activities.CreditNote{Number: "N-of-" + in.RefundID}
	})
}

// fake registers a step's activities under their names; undo is empty for a retriable step.
func fake[In, Out any](e *env, do, undo string, answer func(In) Out) {
	e.RegisterActivityWithOptions(func(ctx context.Context, key compensation.Key, in In) (Out, error) {
		if err := e.call(ctx, do, key); err != nil {
			var none Out
			return none, err
		}
		return answer(in), nil
	}, activity.RegisterOptions{Name: do})
	if undo != "" {
		e.RegisterActivityWithOptions(func(ctx context.Context, key compensation.Key) error {
			return e.call(ctx, undo, key)
		}, activity.RegisterOptions{Name: undo})
	}
}

func (e *env) call(ctx context.Context, name string, key compensation.Key) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down[name] {
		return context.DeadlineExceeded
	}
	e.ran = append(e.ran, name)
	e.keys[name] = append(e.keys[name], key.String())
	if e.refused[name] {
		return compensation.Refuse(ctx, "refused_by_test", "not today", nil)
	}
	return nil
}

// up lets an activity answer again.
func (e *env) up(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down[name] = false
}

// answer records what became of an update.
type answer struct {
	rejected error
	accepted bool
}

func (a *answer) Accept()             { a.accepted = true }
func (a *answer) Reject(err error)    { a.rejected = err }
func (a *answer) Complete(any, error) {}

// update sends an update after the workflow ran for that long.
func (e *env) update(after time.Duration, name string, arg any) *answer {
	a := &answer{}
	e.RegisterDelayedCallback(func() { e.UpdateWorkflow(name, "", a, arg) }, after)
	return a
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

// steps are the names of a plan's steps up to and including last.
func steps(plan *compensation.Plan, last string) []string {
	var names []string
	for _, st := range plan.Steps() {
		names = append(names, st.Name)
		if st.Name == last {
			break
		}
	}
	return names
}

// requireBeside requires that want ran, in that order but for the three steps that run beside each other.
func requireBeside(t *testing.T, want, got []string) {
	t.Helper()
	sorted := func(calls []string) []string {
		calls = slices.Clone(calls)
		if i := slices.Index(calls, "ScreenFraud") + 1; len(calls) >= i+3 {
			slices.Sort(calls[i : i+3])
		}
		return calls
	}
	require.Equal(t, sorted(want), sorted(got))
}
