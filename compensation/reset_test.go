package compensation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// runResettable runs the steps before the pivot, waits for a decision, and runs the rest.
func runResettable(plan *compensation.Plan, before, after []leg) func(workflow.Context) (string, error) {
	return func(ctx workflow.Context) (string, error) {
		wait, err := decide(ctx)
		if err != nil {
			return "", err
		}
		return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
			for _, l := range before {
				if _, err := l.start(ctx).Get(ctx); err != nil {
					return "", err
				}
			}
			if _, err := wait(ctx); err != nil {
				return "", err
			}
			for _, l := range after {
				if _, err := l.start(ctx).Get(ctx); err != nil {
					return "", err
				}
			}
			return "done", nil
		})
	}
}

// A run that goes on after a reset has forgotten steps that the services still have. It undoes them all the same.
func TestCancelAfterAReset(t *testing.T) {
	t.Parallel()

	a, b, pay, x := compensatable("A"), compensatable("B"), pivot(), retriable("X")
	for name, before := range map[string][]leg{
		"express steps":                 {{step: a}, {step: b}},
		"a durable step":                {{step: durably(a)}, {step: b}},
		"durable steps":                 {{step: durably(a)}, {step: durably(b)}},
		"a durable step after express ": {{step: a}, {step: durably(b)}},
	} {
		for _, task := range []int{1, 2, 3} {
			t.Run(name+", to task "+string(rune('0'+task)), func(t *testing.T) {
				t.Parallel()

				plan := compensation.MustPlan("Resettable", before[0].step, before[1].step, pay, x)
				env := sagatest.New(t, plan)
				env.ResetAfter(time.Hour, task, func() { env.CancelBetween() })
				err := env.Run(runResettable(plan, before, beside(pay, x)))
				require.True(t, temporal.IsCanceledError(err), "%v", err)
				env.RequireEffects()
				env.RequireSound(nil)
			})
		}
	}
}

// A run that has forgotten a step's items cannot know which there were: it undoes them, or parks.
func TestCancelAfterAResetThatForgotItems(t *testing.T) {
	t.Parallel()

	a, pay := compensatable("A"), pivot()
	a.Repeats = true
	plan := compensation.MustPlan("Resettable", a, pay)
	env := sagatest.New(t, plan)
	env.ResetAfter(time.Hour, 1, func() { env.CancelBetween() })
	_ = env.Run(runResettable(plan, []leg{{a, "1"}, {a, "2"}}, beside(pay))) // it is parked
	env.RequireState(compensation.Parked)
	require.Equal(t, compensation.PartSaga, env.Parked()[0].Part)
	require.Contains(t, env.Parked()[0].Reason, "for which items it ran A")
}

// The pivot happened, but the run that goes on after a reset has forgotten it. It goes forward, whatever the request.
func TestCancelAfterAResetBehindThePivot(t *testing.T) {
	t.Parallel()

	a, b, x := compensatable("A"), compensatable("B"), retriable("X")
	for name, pay := range map[string]step{"express": pivot(), "durable": durably(pivot())} {
		for how, reset := range map[string]func(*sagatest.Env, func()){
			"at the pivot":     func(e *sagatest.Env, next func()) { e.ResetAt("Pay", 1, next) },
			"after the pivot":  func(e *sagatest.Env, next func()) { e.ResetAt("X", 1, next) },
			"when it is ended": func(e *sagatest.Env, next func()) { e.ResetAtEnd(1, next) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()

				plan := compensation.MustPlan("Resettable", a, durably(b), pay, x)
				env := sagatest.New(t, plan)
				decision := env.UpdateAfter(time.Minute, "decide", true)
				var cancel *sagatest.Reply
				reset(env, func() {
					env.GiveUp(decision)
					cancel = env.CancelBetween()
					env.UpdateAfter(time.Hour, "decide", true)
				})
				require.NoError(t, env.Run(runResettable(plan, []leg{{step: a}, {step: durably(b)}}, beside(pay, x))))
				require.NotNil(t, cancel, "nothing was reset")
				require.Error(t, cancel.Err, "the pivot has happened")
				env.RequireSound([]string{"A", "B", "Pay", "X"})
			})
		}
	}
}

// A reset in the middle of the way back begins another one, on which nothing refuses any more. What is undone stays undone.
func TestResetOnTheWayBack(t *testing.T) {
	t.Parallel()

	for name, b := range map[string]step{"express": compensatable("B"), "durable": durably(compensatable("B"))} {
		for _, at := range []string{"A", "B", "Pay"} {
			for _, task := range []int{1, 2, 9} {
				t.Run(name+", at the undo of "+at+", to task "+string(rune('0'+task)), func(t *testing.T) {
					t.Parallel()

					a, pay, x := compensatable("A"), pivot(), retriable("X")
					plan := compensation.MustPlan("Resettable", a, b, pay, x)
					env := sagatest.New(t, plan)
					env.Fail("Pay", sagatest.Forever)
					env.UpdateAfter(time.Minute, "decide", true)
					env.ResetAtUndo(at, task, func() { env.Mend("Pay") })
					_ = env.Run(runResettable(plan, []leg{{step: a}, {step: b}}, beside(pay, x))) // both ends are sound
					env.RequireSound([]string{"A", "B", "Pay", "X"})
				})
			}
		}
	}
}

// A durable step is refused in its first try in a later run. A try of an earlier run may still be on its way.
func TestRefusalAfterAReset(t *testing.T) {
	t.Parallel()

	a, pay := compensatable("A"), pivot()
	b := durably(compensatable("B"))
	plan := compensation.MustPlan("Resettable", a, b, pay)
	env := sagatest.New(t, plan)
	env.LateDo("B")
	env.Fail("B", sagatest.Forever)
	env.ResetAfter(10*time.Second, 1, func() {
		env.Mend("B")
		env.Refuse("B")
	})
	requireType(t, env.Run(runResettable(plan, []leg{{step: a}, {step: b}}, beside(pay))), compensation.ErrTypeRefused)
	env.RequireEffects()
	env.RequireSound(nil)
}

// A reset of an activity makes a later try the first. An earlier one may still be on its way.
func TestRefusalAfterAResetOfItsActivity(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		b       step
		express int
	}{
		"durable": {durably(compensatable("B")), 0},
		"express": {compensatable("B"), 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			a, pay := compensatable("A"), pivot()
			plan := compensation.MustPlan("Resettable", a, tt.b, pay)
			env := sagatest.New(t, plan)
			env.Fail("B", tt.express)
			env.LateDo("B")
			env.Refuse("B")
			env.ResetActivity("B")
			requireType(t, env.Run(runResettable(plan, []leg{{step: a}, {step: tt.b}}, beside(pay))), compensation.ErrTypeRefused)
			env.RequireEffects()
			env.RequireSound(nil)
		})
	}
}
