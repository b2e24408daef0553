package compensation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// five are steps that together take longer than a workflow task without a heartbeat, and a pivot.
var five = inOrder{
	beside(compensatable("A")), beside(compensatable("B")), beside(compensatable("C")), beside(compensatable("D")),
	beside(compensatable("E")), beside(pivot()), beside(retriable("X")),
}

// lasting runs the saga with steps that take that long each.
func lasting(t *testing.T, saga inOrder, each time.Duration) (env *sagatest.Env, run func() error) {
	t.Helper()
	plan := saga.plan()
	env = sagatest.New(t, plan)
	for _, st := range plan.Steps() {
		env.Takes(st.Name, each)
	}
	return env, func() error {
		return env.Run(func(ctx workflow.Context) (string, error) { return saga.run(ctx, plan) })
	}
}

// A heartbeat completes the task while a step's call is on its way, then the worker dies. The next one calls the step for
// the first time as far as it knows, but in a later task: behind its refusal, the first call may still arrive.
func TestRefusalAfterAHeartbeatIsDoubtful(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		step   string
		each   time.Duration
		faults func(*sagatest.Env)
	}{
		"after four seconds": {"E", 900 * time.Millisecond, func(*sagatest.Env) {}},
		"at the first step":  {"A", 0, func(e *sagatest.Env) { e.HeartbeatAt("A") }},
		"at two steps": {"C", 0, func(e *sagatest.Env) {
			e.HeartbeatAt("A")
			e.HeartbeatAt("C")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env, run := lasting(t, five, tt.each)
			tt.faults(env)
			env.CrashInFlight(tt.step, func() { env.Refuse(tt.step) })
			requireType(t, run(), compensation.ErrTypeRefused)
			env.RequireState(compensation.Compensated)
			env.RequireEffects()
			env.RequireSound(nil)
		})
	}
}

// The heartbeat comes within the refused call itself: before it the saga was certain, afterwards it is not.
func TestSagaIsUncertainAfterAHeartbeat(t *testing.T) {
	t.Parallel()

	env, run := lasting(t, five, 0)
	env.HeartbeatAt("B")
	env.Refuse("B")
	requireType(t, run(), compensation.ErrTypeRefused)
	require.Contains(t, env.Calls(), "undo B")
	env.RequireSound(nil)
}

// A saga whose steps take long enough for a person's request looks for one before it starts its pivot.
func TestCancelDuringExpressSteps(t *testing.T) {
	t.Parallel()

	ask := map[string]func(*sagatest.Env) (accepted func() bool){
		"by update": func(e *sagatest.Env) func() bool {
			reply := e.CancelAfter(300 * time.Millisecond)
			return func() bool { return reply.Accepted && reply.Err == nil }
		},
		"through Temporal": func(e *sagatest.Env) func() bool {
			e.At(300*time.Millisecond, e.RequestCancel)
			return func() bool { return true }
		},
	}
	for name, saga := range map[string]inOrder{
		"one step":    {beside(compensatable("A")), beside(pivot()), beside(retriable("X"))},
		"three steps": {beside(compensatable("A")), beside(compensatable("B")), beside(compensatable("C")), beside(pivot()), beside(retriable("X"))},
		"five steps":  five,
	} {
		for how, cancel := range ask {
			for _, each := range []time.Duration{500 * time.Millisecond, 700 * time.Millisecond} {
				t.Run(name+" of "+each.String()+", "+how, func(t *testing.T) {
					t.Parallel()

					env, run := lasting(t, saga, each)
					accepted := cancel(env)
					err := run()
					require.NotContains(t, env.Calls(), "Pay", "the cancel came before the pivot, but the saga did not look")
					require.True(t, temporal.IsCanceledError(err), "%v", err)
					require.True(t, accepted())
					env.RequireEffects()
					env.RequireSound(nil)
				})
			}
		}
	}
	t.Run("steps of 300ms", func(t *testing.T) {
		t.Parallel()

		env, run := lasting(t, inOrder{beside(compensatable("A")), beside(compensatable("B")), beside(pivot())}, 300*time.Millisecond)
		reply := env.CancelAfter(350 * time.Millisecond)
		err := run()
		require.NotContains(t, env.Calls(), "Pay", "the cancel came before the pivot, but the saga did not look")
		require.True(t, temporal.IsCanceledError(err), "%v", err)
		require.True(t, reply.Accepted)
	})
}

// A fast saga does not look: it would pay with a workflow task of its own.
func TestFastSagaDoesNotLook(t *testing.T) {
	t.Parallel()

	plan := five.plan()
	env := sagatest.New(t, plan, sagatest.Configure(func(e *testsuite.TestWorkflowEnvironment) {
		e.SetOnTimerScheduledListener(func(string, time.Duration) { t.Error("a timer was started") })
	}))
	for _, st := range plan.Steps() {
		env.Takes(st.Name, 20*time.Millisecond)
	}
	require.NoError(t, env.Run(func(ctx workflow.Context) (string, error) { return five.run(ctx, plan) }))
	env.RequireState(compensation.Completed)
}
