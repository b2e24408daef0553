package compensation_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// A forgetful service has no fence: a request that arrives after its undo still has its effect. Its log has the events,
// by the minute of the saga's clock.
type forgetful struct {
	env *testsuite.TestWorkflowEnvironment

	mu     sync.Mutex
	start  time.Time
	log    []string
	stands map[string]bool
	// answers are the answers to Do, by step, one after the other; the last one stays.
	answers map[string][]error
}

func (f *forgetful) note(what string) {
	f.log = append(f.log, fmt.Sprintf("%s at %d min", what, f.env.Now().Sub(f.start)/time.Minute))
}

func (f *forgetful) do(_ context.Context, key compensation.Key, _ string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if a := f.answers[key.Step]; len(a) > 0 {
		err = a[0]
		f.answers[key.Step] = a[min(1, len(a)-1):]
	}
	if err == nil {
		f.stands[key.Step] = true
	}
	return "", err
}

func (f *forgetful) undo(_ context.Context, key compensation.Key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stands[key.Step] = false
	f.note("undo " + key.Step)
	return nil
}

// arrive schedules a request's effect for that long after the saga's start.
func (f *forgetful) arrive(step string, after time.Duration) {
	f.env.RegisterDelayedCallback(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.stands[step] = true
		f.note("late " + step)
	}, after)
}

// TestSettle: no request of a step has its effect after the step's undo, if no request is on its way for longer than
// Settle.
func TestSettle(t *testing.T) {
	t.Parallel()

	lost := errors.New("connection reset")
	refusal := temporal.NewNonRetryableApplicationError("no", compensation.ErrTypeRefused, nil, compensation.Refusal{Code: "no", Attempt: 2})
	for name, tt := range map[string]struct {
		settle  time.Duration
		answers map[string][]error
		late    string
		want    []string
	}{
		"nothing waits by default": {
			0,
			map[string][]error{"Take": {lost}},
			"",
			[]string{"undo Take at 2 min"},
		},
		"no answer": {
			12 * time.Minute,
			map[string][]error{"Take": {lost}},
			"Take",
			[]string{"late Take at 12 min", "undo Take at 14 min"},
		},
		"done at last": {
			20 * time.Minute,
			map[string][]error{"Take": {lost, nil}, "Next": {refusal}},
			"Take",
			[]string{"undo Next at 0 min", "late Take at 12 min", "undo Take at 20 min"},
		},
		"refused at last": {
			20 * time.Minute,
			map[string][]error{"Take": {lost, refusal}},
			"Take",
			[]string{"late Take at 12 min", "undo Take at 20 min"},
		},
		"done long ago": {
			time.Minute,
			map[string][]error{"Next": {lost}},
			"",
			[]string{"undo Next at 2 min", "undo Take at 2 min"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var suite testsuite.WorkflowTestSuite
			suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			env := suite.NewTestWorkflowEnvironment()
			env.SetWorkerOptions(sagaWorker)
			f := &forgetful{env: env, start: env.Now(), stands: map[string]bool{}, answers: tt.answers}
			take := step{Name: "Take", Do: f.do, Undo: f.undo, Durable: true, Settle: tt.settle}
			next := step{Name: "Next", Do: f.do, Undo: f.undo, Durable: true}
			plan := compensation.MustPlan("Forgetful", take, next)
			if tt.late != "" {
				f.arrive(tt.late, 12*time.Minute)
			}
			env.RegisterActivity(f.do)
			env.RegisterActivity(f.undo)
			saga := func(ctx workflow.Context) (string, error) {
				return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
					if _, err := take.Run(ctx, ""); err != nil {
						return "", err
					}
					return next.Run(ctx, "")
				})
			}
			env.RegisterWorkflowWithOptions(saga, workflow.RegisterOptions{Name: "Forgetful"})
			env.ExecuteWorkflow("Forgetful")
			require.True(t, env.IsWorkflowCompleted())
			require.Error(t, env.GetWorkflowError())
			require.Equal(t, tt.want, f.log)
			require.False(t, f.stands["Take"])
		})
	}
}

// TestSettleOfTheRecovered: a workflow that recovers a saga does not know when the last request was sent: its try may run
// for as long as its limit allows.
func TestSettleOfTheRecovered(t *testing.T) {
	t.Parallel()

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(sagaWorker)
	f := &forgetful{env: env, start: env.Now(), stands: map[string]bool{}}
	take := step{Name: "Take", Do: f.do, Undo: f.undo, Durable: true, Settle: 10 * time.Minute, AttemptTimeout: 5 * time.Minute}
	plan := compensation.MustPlan("Forgetful", take)
	f.arrive("Take", 12*time.Minute)
	env.RegisterActivity(f.undo)
	recovery := func(ctx workflow.Context) (compensation.Recovery, error) {
		key := compensation.Key{Saga: "saga-1", Step: "Take"}
		return compensation.Recover(ctx, plan, compensation.Ended{SagaID: "saga-1", How: "terminated", Started: []compensation.Key{key}})
	}
	env.RegisterWorkflowWithOptions(recovery, workflow.RegisterOptions{Name: "Recovery"})
	env.ExecuteWorkflow("Recovery")
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []string{"late Take at 12 min", "undo Take at 15 min"}, f.log)
	require.False(t, f.stands["Take"])
}

// TestSettleOfThePivot: a pivot of unknown outcome is asked about once it can no longer happen.
func TestSettleOfThePivot(t *testing.T) {
	t.Parallel()

	pay := step{
		Name: "Pay", Kind: compensation.Pivot, Do: someDo, Undo: someUndo, Durable: true, Settle: time.Hour, UndoLimit: time.Minute,
	}
	plan := compensation.MustPlan("Forgetful", step{Name: "Fine", Do: someDo, Undo: someUndo}, pay)
	failure, err := plan.FailAt("Pay")
	require.NoError(t, err)
	require.Equal(t, "Pay", failure.AtMost[0].Step)
	require.Equal(t, time.Hour+time.Minute, failure.AtMost[0].Within)
	require.Equal(t, time.Hour, plan.Steps()[1].Settle)
}
