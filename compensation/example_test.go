package compensation_test

import (
	"context"
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// seats is a participant. A real one calls a service, which keeps a ledger of keys.
type seats struct{}

func (seats) BookSeat(_ context.Context, _ compensation.Key, flight string) (string, error) {
	fmt.Println("book a seat on", flight)
	return "12A", nil
}

func (seats) ReleaseSeat(_ context.Context, key compensation.Key) error {
	fmt.Println("release the seat of", key)
	return nil
}

func (seats) Charge(ctx context.Context, _ compensation.Key, _ int64) (string, error) {
	fmt.Println("charge the card")
	return "", compensation.Refuse(ctx, "card_declined", "the card was declined", nil)
}

func (seats) PreventCharge(context.Context, compensation.Key) error { return nil }

var (
	bookSeat = compensation.Step[string, string]{Name: "BookSeat", Do: seats{}.BookSeat, Undo: seats{}.ReleaseSeat}
	charge   = compensation.Step[int64, string]{Name: "Charge", Kind: compensation.Pivot, Do: seats{}.Charge, Undo: seats{}.PreventCharge}

	flightPlan = compensation.MustPlan("BookFlight", bookSeat, charge)
)

// BookFlight is the saga. It returns the seat.
func BookFlight(ctx workflow.Context, flight string) (string, error) {
	return compensation.Run(ctx, flightPlan, func(ctx workflow.Context) (string, error) {
		seat, err := bookSeat.Run(ctx, flight)
		if err != nil {
			return "", err // Run undoes what was started
		}
		_, err = charge.Run(ctx, 12_900)
		return seat, err
	})
}

// A seat is booked, the card is declined, and the seat is released again.
func Example() {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{Plugins: []worker.Plugin{compensation.NewPlugin()}})
	env.RegisterActivity(&seats{})
	env.ExecuteWorkflow(BookFlight, "AM 42")
	fmt.Println(env.GetWorkflowError() != nil)
	// Output:
	// book a seat on AM 42
	// charge the card
	// release the seat of default-test-workflow-id:BookSeat
	// true
}
