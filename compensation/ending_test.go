package compensation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// A deadline is a promise to those who start the saga, also when a worker took it up late.
func TestDeadlineCountsFromTheStart(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	start := r.Now()
	var ended time.Time
	r.ExecuteWorkflow(func(ctx workflow.Context) (string, error) {
		if err := workflow.Sleep(ctx, time.Hour); err != nil {
			return "", err
		}
		out, err := compensation.Run(ctx, r.trip.plan.WithDeadline(90*time.Minute), r.trip.waits)
		ended = workflow.Now(ctx)
		return out, err
	})
	requireType(t, r.GetWorkflowError(), compensation.ErrTypeDeadline)
	require.WithinDuration(t, start.Add(90*time.Minute), ended, time.Minute, "on the suite's clock")
	require.Equal(t, keys("BookFlight", "BookHotel", "undo Pay", "undo BookHotel", "undo BookFlight"), r.ran())
}

// A saga that was undone has ended: a retry policy somewhere above must not begin it again.
func TestCompensatedSagasAreNotRetried(t *testing.T) {
	t.Parallel()

	own := errors.New("the customer is unknown")
	for name, tt := range map[string]struct {
		script map[string][]error
		body   func(*run) func(workflow.Context) (string, error)
	}{
		"a refusal": {
			map[string][]error{key("BookCar"): {errRefused}},
			func(r *run) func(workflow.Context) (string, error) { return r.trip.book },
		},
		"an outcome that stays unknown": {
			map[string][]error{key("Pay"): {errDown, errDown, errDown, errDown, errDown, errDown}},
			func(r *run) func(workflow.Context) (string, error) { return r.trip.book },
		},
		"its own code": {
			nil, func(r *run) func(workflow.Context) (string, error) {
				return func(ctx workflow.Context) (string, error) {
					_, err := r.trip.flight.Run(ctx, "")
					return "", errors.Join(err, own)
				}
			},
		},
		"its own code, of another mind": {
			nil, func(r *run) func(workflow.Context) (string, error) {
				return func(ctx workflow.Context) (string, error) {
					if _, err := r.trip.flight.Run(ctx, ""); err != nil {
						return "", err
					}
					return "", temporal.NewApplicationError("try again", "Retryable")
				}
			},
		},
		"the deadline": {
			nil, func(r *run) func(workflow.Context) (string, error) {
				r.trip.plan = r.trip.plan.WithDeadline(time.Hour)
				return r.trip.waits
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newRun(t, tt.script)
			err := r.execute(tt.body(r))
			var failure *temporal.ApplicationError
			require.ErrorAs(t, err, &failure)
			require.True(t, failure.NonRetryable(), "%v", err)
			require.Contains(t, r.ran(), key("undo BookFlight"))
		})
	}
}

// Every sender of an update has an answer before the saga ends, also where the handler is the workflow's own.
func TestTheEndWaitsForHandlers(t *testing.T) {
	t.Parallel()

	for name, script := range map[string]map[string][]error{
		"completed": nil, "turned back": {key("BookHotel"): {errRefused}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newRun(t, script)
			answer := &answerTo{}
			r.RegisterDelayedCallback(func() { r.UpdateWorkflow("photograph", "", answer) }, time.Minute)
			err := r.execute(func(ctx workflow.Context) (string, error) {
				err := workflow.SetUpdateHandler(ctx, "photograph", func(ctx workflow.Context) (string, error) {
					return "developed", workflow.Sleep(ctx, time.Hour)
				})
				if err != nil {
					return "", err
				}
				if err := workflow.Sleep(ctx, 2*time.Minute); err != nil {
					return "", err
				}
				return r.trip.book(ctx)
			})
			require.Equal(t, script != nil, err != nil)
			require.NoError(t, answer.rejected)
			require.Equal(t, "developed", answer.result)
		})
	}
}
