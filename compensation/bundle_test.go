package compensation_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// desk is a participant whose answers a test scripts, and that notes what was asked of it, in order.
type desk struct {
	mu    sync.Mutex
	calls []string
	// script gives the errors of the tries of an activity, in order; later tries succeed.
	script map[string][]error
}

func (d *desk) answer(call string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, call)
	script := d.script[call]
	if len(script) == 0 {
		return nil
	}
	d.script[call] = script[1:]
	return script[0]
}

// errRefused stands in scripts for a refusal; what wraps it can give it another text.
var errRefused = errors.New("refused")

// errDown stands in scripts for a try without a definite outcome.
var errDown = errors.New("connection reset")

// errIrreversible stands in scripts for an undo that comes too late.
var errIrreversible = errors.New("irreversible")

func (d *desk) do(ctx context.Context, key compensation.Key, in string) (string, error) {
	err := d.answer(key.String())
	if errors.Is(err, errRefused) {
		return "", compensation.Refuse(ctx, "no_seats", cmp.Or(strings.TrimPrefix(err.Error(), errRefused.Error()), "no seats left"), nil)
	}
	return "done " + in, err
}

func (d *desk) undo(_ context.Context, key compensation.Key) error {
	err := d.answer("undo " + key.String())
	if errors.Is(err, errIrreversible) {
		return compensation.Irreversible("it happened", nil)
	}
	return err
}

// trip is a saga of three compensatable steps, the pivot and two retriable steps.
type trip struct {
	flight, hotel, car, pay, ticket, mail compensation.Step[string, string]
	plan                                  *compensation.Plan
}

func newTrip(d *desk) trip {
	step := func(name string, kind compensation.Kind) compensation.Step[string, string] {
		st := compensation.Step[string, string]{Name: name, Kind: kind, Do: d.do}
		if kind != compensation.Retriable {
			st.Undo = d.undo
		}
		return st
	}
	t := trip{
		flight: step("BookFlight", compensation.Compensatable),
		hotel:  step("BookHotel", compensation.Compensatable),
		car:    step("BookCar", compensation.Compensatable),
		pay:    step("Pay", compensation.Pivot),
		ticket: step("SendTicket", compensation.Retriable),
		mail:   step("SendMail", compensation.Retriable),
	}
	t.pay.Retry.MaximumAttempts = payTries
	t.plan = compensation.MustPlan("Trip", t.flight, t.hotel, t.car, t.pay, t.ticket, t.mail)
	return t
}

// book runs every step in order.
func (t trip) book(ctx workflow.Context) (string, error) {
	for _, st := range []compensation.Step[string, string]{t.flight, t.hotel, t.car, t.pay, t.ticket, t.mail} {
		if _, err := st.Run(ctx, st.Name); err != nil {
			return "", err
		}
	}
	return "booked", nil
}

// run is one saga on the SDK's test suite.
type run struct {
	*testsuite.TestWorkflowEnvironment
	desk *desk
	trip trip
	// states and steps are what was written to the search attributes, in order; a step is empty where none was. lastStep is
	// what lists show of a saga that has ended.
	states   []string
	steps    []string
	lastStep string
	cause    string
	// largestMemo is the size of the largest memo that the saga wrote, in bytes of JSON.
	largestMemo int
}

func newRun(t *testing.T, script map[string][]error) *run {
	t.Helper()
	d := &desk{script: script}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	r := &run{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), desk: d, trip: newTrip(d)}
	r.SetWorkerOptions(sagaWorker)
	r.SetStartWorkflowOptions(startOptions)
	r.SetCurrentHistoryLength(3) // the first try of the first workflow task
	r.RegisterActivityWithOptions(d.do, activity.RegisterOptions{Name: "do"})
	r.RegisterActivityWithOptions(d.undo, activity.RegisterOptions{Name: "undo"})
	r.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
		attributes, _ := args.Get(0).(temporal.SearchAttributes)
		state, _ := attributes.GetKeyword(compensation.SearchAttributeState)
		r.states = append(r.states, state)
		step, _ := attributes.GetKeyword(compensation.SearchAttributeStep)
		r.steps = append(r.steps, step)
	}).Return(nil).Maybe()
	r.OnUpsertMemo(mock.Anything).Run(func(args mock.Arguments) {
		memo, _ := args.Get(0).(map[string]any)
		r.cause, _ = memo[compensation.MemoCause].(string)
		text, _ := json.Marshal(memo) // a memo that is no JSON fails the saga
		r.largestMemo = max(r.largestMemo, len(text))
	}).Return(nil).Maybe()
	return r
}

// execute runs body as a saga and returns its error.
func (r *run) execute(body func(workflow.Context) (string, error)) error {
	r.ExecuteWorkflow(func(ctx workflow.Context) (string, error) {
		out, err := compensation.Run(ctx, r.trip.plan, body)
		r.lastStep, _ = workflow.GetTypedSearchAttributes(ctx).GetKeyword(compensation.SearchAttributeStep)
		return out, err
	})
	return r.GetWorkflowError()
}

// ran is every call, in order, without the saga's ID.
func (r *run) ran() []string { return r.desk.calls }

// requireType requires that the saga failed so, and returns the failure.
func requireType(t *testing.T, err error, failureType string) *temporal.ApplicationError {
	t.Helper()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, failureType, failure.Type())
	return failure
}

// expressTries is how often the engine tries a step express.
const expressTries = 3

// payTries is how often the pivot is tried durably before its outcome counts as unknown.
const payTries = 3

// sagaWorker are the options that a worker of sagas needs.
var sagaWorker = sdkworker.Options{Plugins: []sdkworker.Plugin{compensation.NewPlugin()}}

// startOptions give the saga its ID.
var startOptions = client.StartWorkflowOptions{ID: "trip-1"}

func key(call string) string {
	if name, undo := strings.CutPrefix(call, "undo "); undo {
		return "undo trip-1:" + name
	}
	return "trip-1:" + call
}

func keys(calls ...string) []string {
	out := make([]string, len(calls))
	for i, c := range calls {
		out[i] = key(c)
	}
	return out
}

func tries(call string, n int) []string { return slices.Repeat(keys(call), n) }
