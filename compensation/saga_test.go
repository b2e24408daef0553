package compensation_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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

// errRefused stands in scripts for a refusal.
var errRefused = errors.New("refused")

// errDown stands in scripts for a try without a definite outcome.
var errDown = errors.New("connection reset")

// errIrreversible stands in scripts for an undo that comes too late.
var errIrreversible = errors.New("irreversible")

func (d *desk) do(ctx context.Context, key compensation.Key, in string) (string, error) {
	err := d.answer(key.String())
	if errors.Is(err, errRefused) {
		return "", compensation.Refuse(ctx, "no_seats", "no seats left", nil)
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
	// states are what was written to the search attribute, in order.
	states []string
	cause  string
}

func newRun(t *testing.T, script map[string][]error) *run {
	t.Helper()
	d := &desk{script: script}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	r := &run{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), desk: d, trip: newTrip(d)}
	r.SetStartWorkflowOptions(startOptions)
	r.RegisterActivityWithOptions(d.do, activity.RegisterOptions{Name: "do"})
	r.RegisterActivityWithOptions(d.undo, activity.RegisterOptions{Name: "undo"})
	r.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
		state, _ := args.Get(0).(temporal.SearchAttributes).GetKeyword(compensation.SearchAttributeState)
		r.states = append(r.states, state)
	}).Return(nil).Maybe()
	r.OnUpsertMemo(mock.Anything).Run(func(args mock.Arguments) {
		r.cause, _ = args.Get(0).(map[string]any)[compensation.MemoCause].(string)
	}).Return(nil).Maybe()
	return r
}

// execute runs body as a saga and returns its error.
func (r *run) execute(body func(workflow.Context) (string, error)) error {
	r.ExecuteWorkflow(func(ctx workflow.Context) (string, error) {
		return compensation.Run(ctx, r.trip.plan, body)
	})
	return r.GetWorkflowError()
}

// ran is every call, in order, without the saga's ID.
func (r *run) ran() []string { return r.desk.calls }

func TestSagaRunsForward(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	require.NoError(t, r.execute(r.trip.book))
	require.Equal(t, keys("BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket", "SendMail"), r.ran())
	require.Empty(t, r.states, "a saga in which all goes well writes nothing")
}

func TestSagaTurnsBack(t *testing.T) {
	t.Parallel()

	down := slices.Repeat([]error{errDown}, 1000)
	for name, tt := range map[string]struct {
		script      map[string][]error
		want        []string
		failureType string
		cause       string
	}{
		"first step refused": {
			script:      map[string][]error{key("BookFlight"): {errRefused}},
			want:        keys("BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookFlight refused: no seats left",
		},
		"third step refused": {
			script:      map[string][]error{key("BookCar"): {errRefused}},
			want:        keys("BookFlight", "BookHotel", "BookCar", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookCar refused: no seats left",
		},
		"refused after a try that may still arrive": {
			script:      map[string][]error{key("BookHotel"): {errDown, errRefused}},
			want:        keys("BookFlight", "BookHotel", "BookHotel", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookHotel refused: no seats left",
		},
		"pivot refused": {
			script:      map[string][]error{key("Pay"): {errRefused}},
			want:        keys("BookFlight", "BookHotel", "BookCar", "Pay", "undo BookCar", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "Pay refused: no seats left",
		},
		"undo needs retries": {
			script: map[string][]error{key("BookCar"): {errRefused}, key("undo BookHotel"): {errDown, errDown}},
			want: keys("BookFlight", "BookHotel", "BookCar",
				"undo BookHotel", "undo BookHotel", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookCar refused: no seats left",
		},
		"undo fails for good, then is mended": {
			script: map[string][]error{key("BookCar"): {errRefused}, key("undo BookHotel"): {errIrreversible, errIrreversible}},
			want: keys("BookFlight", "BookHotel", "BookCar",
				"undo BookHotel", "undo BookFlight", "undo BookHotel", "undo BookHotel"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookCar refused: no seats left",
		},
		"unknown pivot that never happens": {
			script: map[string][]error{key("Pay"): down},
			want: slices.Concat(keys("BookFlight", "BookHotel", "BookCar"), tries("Pay", payTries),
				keys("undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight")),
			failureType: compensation.ErrTypeUnknown,
			cause:       "Pay gave up, outcome unknown: connection reset",
		},
		"pivot refused after a try that may still arrive": {
			script: map[string][]error{key("Pay"): {errDown, errRefused}},
			want: keys("BookFlight", "BookHotel", "BookCar", "Pay", "Pay",
				"undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "Pay refused: no seats left",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newRun(t, tt.script)
			err := r.execute(r.trip.book)
			require.Equal(t, tt.want, r.ran())
			require.Equal(t, []string{"compensating", "compensated"}, r.states)
			require.Equal(t, tt.cause, r.cause)

			require.Equal(t, tt.cause, requireType(t, err, tt.failureType).Message())
			if tt.failureType == compensation.ErrTypeRefused {
				require.Equal(t, "no_seats", compensation.RefusalCode(err))
			} else {
				require.Empty(t, compensation.RefusalCode(err))
			}
		})
	}
}

func TestUnknownOutcomeIsUndone(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel"): slices.Repeat([]error{errDown}, 1000)})
	err := r.execute(r.trip.book)
	require.ErrorContains(t, err, "BookHotel gave up, outcome unknown")
	// The test suite gives up after ten tries; a server after the step's limit (see options_test.go).
	require.Equal(t, slices.Concat(keys("BookFlight"), tries("BookHotel", 10), keys("undo BookHotel", "undo BookFlight")), r.ran())
}

func TestPivotThatHappenedGoesForward(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{
		key("Pay"):      slices.Repeat([]error{errDown}, payTries),
		key("undo Pay"): {errIrreversible},
	})
	require.NoError(t, r.execute(r.trip.book))
	require.Equal(t, slices.Concat(keys("BookFlight", "BookHotel", "BookCar"), tries("Pay", payTries),
		keys("undo Pay", "Pay", "SendTicket", "SendMail")), r.ran())
	require.Empty(t, r.states)
}

// While its undo decides about a pivot, the pivot is in flight: nothing is undone, whatever the body returns.
func TestBodyDoesNotOvertakeThePivot(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{
		key("Pay"):      slices.Repeat([]error{errDown}, payTries),
		key("undo Pay"): {errDown, errIrreversible},
	})
	err := r.execute(func(ctx workflow.Context) (string, error) {
		if _, err := r.trip.flight.Run(ctx, ""); err != nil {
			return "", err
		}
		r.trip.pay.Start(ctx, "")
		return "", errDown
	})
	require.ErrorContains(t, err, "the body of Trip failed after its pivot Pay")
	require.Equal(t, slices.Concat(keys("BookFlight"), tries("Pay", payTries), tries("undo Pay", 2), keys("Pay")), r.ran())
	require.Empty(t, r.states)
}

func TestSagaWaitsForARetriableStepThatRests(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("SendTicket"): {errRefused, errRefused}})
	require.NoError(t, r.execute(func(ctx workflow.Context) (string, error) {
		if _, err := r.trip.pay.Run(ctx, ""); err != nil {
			return "", err
		}
		r.trip.ticket.Start(ctx, "")
		return "booked", nil
	}))
	require.Equal(t, slices.Concat(keys("Pay"), tries("SendTicket", 3)), r.ran())
}

func TestRetriableStepIsNeverGivenUp(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("SendTicket"): {errDown, errRefused, errDown, errRefused}})
	require.NoError(t, r.execute(r.trip.book))
	require.Equal(t, slices.Concat(keys("BookFlight", "BookHotel", "BookCar", "Pay"), tries("SendTicket", 5), keys("SendMail")), r.ran())
}

func TestParallelStepsAreUndoneInReverseOrderOfStart(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookFlight"): {errRefused}})
	err := r.execute(func(ctx workflow.Context) (string, error) {
		flight, hotel, car := r.trip.flight.Start(ctx, ""), r.trip.hotel.Start(ctx, ""), r.trip.car.Start(ctx, "")
		for _, f := range []*compensation.Future[string]{car, hotel, flight} {
			if _, err := f.Get(ctx); err != nil {
				return "", err
			}
		}
		return "", nil
	})
	require.ErrorContains(t, err, "BookFlight refused")
	ran := r.ran()
	require.ElementsMatch(t, keys("BookFlight", "BookHotel", "BookCar"), ran[:3])
	require.Equal(t, keys("undo BookCar", "undo BookHotel"), ran[3:])
}

func TestTurningBackStopsWhatIsInFlight(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{
		key("BookFlight"): {errRefused},
		key("BookHotel"):  slices.Repeat([]error{errDown}, 1000),
	})
	began := r.Now()
	err := r.execute(func(ctx workflow.Context) (string, error) {
		r.trip.hotel.Start(ctx, "")
		return r.trip.flight.Run(ctx, "")
	})
	requireType(t, err, compensation.ErrTypeRefused)
	require.Less(t, r.Now().Sub(began), 10*time.Second, "the hotel is not tried until its limit")
	require.Equal(t, key("undo BookHotel"), r.ran()[len(r.ran())-1])
}

func TestItemsHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel.b"): {errRefused}})
	err := r.execute(func(ctx workflow.Context) (string, error) {
		for _, item := range []string{"a", "b"} {
			if _, err := r.trip.hotel.For(item).Run(ctx, ""); err != nil {
				return "", err
			}
		}
		return "", nil
	})
	require.ErrorContains(t, err, "BookHotel.b refused")
	require.Equal(t, keys("BookHotel.a", "BookHotel.b", "undo BookHotel.a"), r.ran())
}

func TestBodyErrorTurnsBack(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	err := r.execute(func(ctx workflow.Context) (string, error) {
		if _, err := r.trip.flight.Run(ctx, ""); err != nil {
			return "", err
		}
		return "", temporal.NewNonRetryableApplicationError("the dog is ill", "DogIll", nil)
	})
	requireType(t, err, "DogIll")
	require.Equal(t, "the dog is ill", r.cause)
	require.Equal(t, keys("BookFlight", "undo BookFlight"), r.ran())
}

func TestOutcomeNobodyAskedForTurnsBack(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel"): {errRefused}})
	err := r.execute(func(ctx workflow.Context) (string, error) {
		r.trip.flight.Start(ctx, "")
		r.trip.hotel.Start(ctx, "")
		return "booked", nil
	})
	require.ErrorContains(t, err, "BookHotel refused")
	require.Equal(t, key("undo BookFlight"), r.ran()[2])
}

func TestUnknownStepThatBodyIgnoresIsUndone(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel"): slices.Repeat([]error{errDown}, 1000)})
	require.NoError(t, r.execute(func(ctx workflow.Context) (string, error) {
		if _, err := r.trip.flight.Run(ctx, ""); err != nil {
			return "", err
		}
		_, err := r.trip.hotel.Run(ctx, "")
		require.Error(t, err)
		return "booked without a hotel", nil
	}))
	ran := r.ran()
	require.Equal(t, key("undo BookHotel"), ran[len(ran)-1])
	require.NotContains(t, ran, key("undo BookFlight"))
}

// requireType requires that the saga failed so, and returns the failure.
func requireType(t *testing.T, err error, failureType string) *temporal.ApplicationError {
	t.Helper()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, failureType, failure.Type())
	return failure
}

// payTries is how often the pivot is tried before its outcome counts as unknown.
const payTries = 3

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
