package compensation_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// A teller is a participant that notes why its steps are undone.
type teller struct {
	mu      sync.Mutex
	reasons map[string]compensation.Reason
	// refuse makes the refusals of Second.
	refuse func(context.Context) error
}

func (p *teller) first(context.Context, compensation.Key, string) (string, error) { return "", nil }

func (p *teller) second(ctx context.Context, _ compensation.Key, _ string) (string, error) {
	return "", p.refuse(ctx)
}

func (p *teller) undo(ctx context.Context, key compensation.Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reasons[key.Step] = compensation.UndoReason(ctx)
	return nil
}

// run runs a saga of two steps, the second of which the participant refuses.
func (p *teller) run(t *testing.T, durable bool, before func(*testsuite.TestWorkflowEnvironment), body func(workflow.Context) error) error {
	t.Helper()
	p.reasons = map[string]compensation.Reason{}
	first := compensation.Step[string, string]{Name: "First", Do: p.first, Undo: p.undo}
	second := compensation.Step[string, string]{Name: "Second", Do: p.second, Undo: p.undo, Limit: 5 * time.Second}
	plan := compensation.MustPlan("Teller", first, second)
	if durable {
		plan = plan.Durable()
	}
	saga := func(ctx workflow.Context) (string, error) {
		return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
			if _, err := first.Run(ctx, ""); err != nil {
				return "", err
			}
			if body != nil {
				return "", body(ctx)
			}
			return second.Run(ctx, "")
		})
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{
		Plugins: []worker.Plugin{compensation.NewPlugin()}, Interceptors: []interceptor.WorkerInterceptor{compensation.CarryReasons(nil)},
	})
	env.RegisterWorkflowWithOptions(saga, workflow.RegisterOptions{Name: "Teller"})
	env.RegisterActivity(p.first)
	env.RegisterActivity(p.second)
	env.RegisterActivity(p.undo)
	if before != nil {
		before(env)
	}
	env.ExecuteWorkflow("Teller")
	require.True(t, env.IsWorkflowCompleted())
	return env.GetWorkflowError()
}

// TestUndosAreToldWhy: a participant's own words are passed on; people's words, and other errors, are not.
func TestUndosAreToldWhy(t *testing.T) {
	t.Parallel()

	refused := compensation.Reason{Text: "Second refused: no seats left", Step: "Second", Code: "no_seats"}
	noSeats := func(ctx context.Context) error { return compensation.Refuse(ctx, "no_seats", "no seats left", nil) }
	for name, tt := range map[string]struct {
		durable bool
		refuse  func(context.Context) error
		before  func(*testsuite.TestWorkflowEnvironment)
		body    func(workflow.Context) error
		want    compensation.Reason
	}{
		"refused":          {false, noSeats, nil, nil, refused},
		"refused, durable": {true, noSeats, nil, nil, refused},
		"unknown": {
			false, func(context.Context) error { return errors.New("dial ann@example.com: connection reset") }, nil, nil,
			compensation.Reason{Text: "Second gave up, outcome unknown", Step: "Second"},
		},
		"by its own code": {
			false, noSeats, nil, func(workflow.Context) error { return errors.New("ann@example.com is not welcome") },
			compensation.Reason{Text: "the workflow gave up"},
		},
		"canceled": {
			false, noSeats, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					env.UpdateWorkflowNoRejection(compensation.UpdateCancel, "", t, compensation.CancelRequest{By: "ann", Reason: "ann is ill"})
				}, time.Minute)
			}, func(ctx workflow.Context) error { return workflow.Sleep(ctx, time.Hour) },
			compensation.Reason{Text: "the saga was canceled"},
		},
		"long": {
			false, func(ctx context.Context) error {
				return compensation.Refuse(ctx, "long", strings.Repeat("é\n", 200), nil)
			}, nil, nil,
			compensation.Reason{Text: "Second refused: " + strings.Repeat("é ", 79) + "…", Step: "Second", Code: "long"},
		},
		"for a reason that a lost try gave": {
			false, func(ctx context.Context) error {
				return compensation.RefuseUndone(ctx, "undone", "it was undone", compensation.Reason{Text: "Third refused: sold out", Step: "Third", Code: "sold_out"})
			}, nil, nil,
			compensation.Reason{Text: "Third refused: sold out", Step: "Third", Code: "sold_out"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			p := &teller{refuse: tt.refuse}
			require.Error(t, p.run(t, tt.durable, tt.before, tt.body))
			require.Equal(t, tt.want, p.reasons["First"])
			require.LessOrEqual(t, len(p.reasons["First"].Text), compensation.MaxReasonLength)
		})
	}
}

// TestLostReason: a saga that finds its steps undone fails as the lost try would have, if the participant knows why.
func TestLostReason(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		because compensation.Reason
		message string
		code    string
	}{
		"refused":  {compensation.Reason{Text: "Pay refused: declined", Step: "Pay", Code: "card_declined"}, "Pay refused: declined", "card_declined"},
		"canceled": {compensation.Reason{Text: "the saga was canceled"}, "the saga was canceled", "undone"},
		"unknown":  {compensation.Reason{}, "Second refused: it was undone", "undone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			p := &teller{refuse: func(ctx context.Context) error {
				return compensation.RefuseUndone(ctx, "undone", "it was undone", tt.because)
			}}
			err := p.run(t, false, nil, nil)
			var failure *temporal.ApplicationError
			require.ErrorAs(t, err, &failure)
			require.Equal(t, tt.message, failure.Message())
			require.Equal(t, compensation.ErrTypeRefused, failure.Type())
			require.Equal(t, tt.code, compensation.RefusalCode(err))
		})
	}
}
