package compensation_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// noted runs f as a saga whose workflow takes notes, which are updates of its own.
func noted(plan *compensation.Plan, f func(workflow.Context) ([]string, error)) func(workflow.Context) (string, error) {
	return func(ctx workflow.Context) (string, error) {
		if err := workflow.SetUpdateHandler(ctx, "note", func(workflow.Context, string) error { return nil }); err != nil {
			return "", err
		}
		return body(plan, f)(ctx)
	}
}

// B takes 600 ms, so the task ends before the pivot. The next one brings a note and is ended, too, and so is the one after
// it. A cancel that comes during the last of these ends comes before the pivot is called.
func TestCancelWhileTasksEndBeforeThePivot(t *testing.T) {
	t.Parallel()

	for name, ask := range map[string]func(*sagatest.Env) *sagatest.Reply{
		"cancel": func(e *sagatest.Env) *sagatest.Reply { return e.CancelAfter(602500 * time.Microsecond) },
		"Temporal's cancel": func(e *sagatest.Env) *sagatest.Reply {
			e.At(602500*time.Microsecond, e.RequestCancel)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b, pay, x := compensatable("B"), pivot(), retriable("X")
			plan := compensation.MustPlan("Ends", b, pay, x)
			env := sagatest.New(t, plan)
			env.Takes("B", 600*time.Millisecond)
			env.UpdateAfter(601*time.Millisecond, "note", "1")
			env.UpdateAfter(602*time.Millisecond, "note", "2")
			reply := ask(env)
			require.Error(t, env.Run(noted(plan, func(ctx workflow.Context) ([]string, error) { return runOrder(ctx, b, pay, x) })))
			require.NotContains(t, env.Calls(), "Pay")
			env.RequireSound(nil)
			if reply != nil {
				require.NoError(t, reply.Rejected)
			}
		})
	}
}

// A cancel comes in the task in which a coroutine goes on that ended the task before. What it leads to waits for another end.
func TestCancelInTheTaskAfterAnEnd(t *testing.T) {
	t.Parallel()

	b, pay := compensatable("B"), pivot()
	plan := compensation.MustPlan("Ends", b, pay)
	env := sagatest.New(t, plan)
	env.Garble("B", 1)
	env.Takes("B", 600*time.Millisecond)
	env.UpdateAfter(601*time.Millisecond, "note", "1")
	cancel := env.UpdateAfter(602*time.Millisecond, compensation.UpdateCancel, compensation.CancelRequest{By: "ada"})
	env.CrashAtUndo("Pay", func() { env.GiveUp(cancel) })
	_ = env.Run(noted(plan, func(ctx workflow.Context) ([]string, error) { // either end will do
		_, _ = b.Run(ctx, "B") // goes on without
		return runOrder(ctx, pay)
	}))
	for _, c := range env.Log() {
		require.False(t, c.Worker == 1 && c.String() == "undo Pay" && !cancel.Accepted, "the pivot was fenced because of a cancel that is on no record")
	}
}

// The same for an operator's decision.
func TestDecisionInTheTaskAfterAnEnd(t *testing.T) {
	t.Parallel()

	p := onUnknown(compensatable("P"), compensation.ParkUnknown)
	a, b := compensatable("A"), compensatable("B")
	plan := compensation.MustPlan("Ends", p, compensation.Parallel(a, b))
	mark := func(result string) compensation.Act {
		act := grace
		act.Result = []byte(`"` + result + `"`)
		return act
	}
	env := sagatest.New(t, plan)
	env.Garble("P", 1) // parked, and not tried
	env.UpdateAfter(time.Hour, "note", "")
	first := env.UpdateAfter(time.Hour+time.Millisecond, compensation.UpdateMarkDone, mark("one"))
	env.CrashAt("B", func() { env.GiveUp(first) })
	env.UpdateAfter(2*time.Hour, compensation.UpdateMarkDone, mark("two"))
	err := env.Run(func(ctx workflow.Context) (string, error) {
		approved := false
		if err := workflow.SetUpdateHandler(ctx, "note", func(workflow.Context, string) error { approved = true; return nil }); err != nil {
			return "", err
		}
		return body(plan, func(ctx workflow.Context) ([]string, error) {
			aDone, settle := workflow.NewFuture(ctx)
			workflow.Go(ctx, func(ctx workflow.Context) {
				_ = workflow.Await(ctx, func() bool { return approved }) // nothing cancels it
				_, err := a.Run(ctx, "A")
				settle.SetError(err)
			})
			out, err := p.Run(ctx, "P")
			if err != nil {
				return nil, err
			}
			if _, err = b.Run(ctx, "B for "+out); err != nil {
				return nil, err
			}
			return []string{out}, aDone.Get(ctx, nil)
		})(ctx)
	})
	require.NoError(t, err)
	for _, c := range env.Log() {
		require.False(t, c.Key.Step == "B" && c.Worker == 1 && !first.Accepted, "B ran because of an act that is on no record")
	}
}

// A deadline passes while no timer runs: before the task that is seen through, and while express steps run.
func TestDeadlineWithoutATimer(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		steps  inOrder
		faults func(*sagatest.Env)
	}{
		"before the task": {five, func(e *sagatest.Env) { e.CrashAt("A", nil) }},
		"at a heartbeat": {five, func(e *sagatest.Env) {
			for _, name := range []string{"A", "B", "C", "D"} {
				e.Takes(name, 950*time.Millisecond)
			}
			e.Takes("E", 300*time.Millisecond)
		}},
		"without a pivot": {five[:5], func(e *sagatest.Env) { e.CrashAt("A", nil) }},
		"in the last step without a pivot": {five[:5], func(e *sagatest.Env) {
			for _, name := range []string{"A", "B", "C", "D", "E"} {
				e.Takes(name, 500*time.Millisecond)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			plan := tt.steps.plan().WithDeadline(2 * time.Second)
			env := sagatest.New(t, plan)
			tt.faults(env)
			require.Error(t, env.Run(func(ctx workflow.Context) (string, error) { return tt.steps.run(ctx, plan) }))
			require.NotContains(t, env.Calls(), "Pay")
			env.RequireState(compensation.Compensated)
			env.RequireSound(nil)
		})
	}
}

// A coroutine of the body starts a step when the body has returned and the saga undoes what it went on without.
func TestStepThatStartsAfterTheBody(t *testing.T) {
	t.Parallel()

	x, b := compensatable("X"), durably(compensatable("B"))
	plan := compensation.MustPlan("Late", x, b)
	env := sagatest.New(t, plan)
	env.Fail("X", sagatest.Forever)
	env.FailUndo("X", 10)
	env.Takes("B", 9*time.Second)
	env.LoseReply("B", sagatest.Forever)
	require.NoError(t, env.Run(body(plan, func(ctx workflow.Context) ([]string, error) {
		workflow.Go(ctx, func(ctx workflow.Context) {
			_ = workflow.Sleep(ctx, 5*time.Minute+10*time.Second) // nothing cancels it
			_, _ = b.Run(ctx, "B")                                // nobody waits for it
		})
		_, _ = x.Run(ctx, "X") // goes on without
		return nil, nil
	})))
	env.RequireSound([]string{})
}

// A pivot has one key, by which the saga asks whether it happened.
func TestPivotForAnItem(t *testing.T) {
	t.Parallel()

	plan := compensation.MustPlan("Items", compensatable("A"), pivot())
	env := sagatest.New(t, plan)
	var why any
	_ = env.Run(body(plan, func(ctx workflow.Context) (_ []string, err error) { // it fails for what the body makes of the panic
		defer func() {
			why = recover()
			err = errors.New("no")
		}()
		_, err = pivot().For("card").Run(ctx, "1")
		return nil, err
	}))
	require.Contains(t, fmt.Sprint(why), "pivot Pay runs for an item")
	require.NotContains(t, env.Calls(), "Pay.card")
}

// A body recovers from the panic about a step at the wrong place.
func TestBodyThatRecovers(t *testing.T) {
	t.Parallel()

	plan := compensation.MustPlan("Recovers", compensatable("A"), pivot(), retriable("X"))
	env := sagatest.New(t, plan)
	require.ErrorContains(t, env.Run(body(plan, func(ctx workflow.Context) (_ []string, err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%v", r)
			}
		}()
		return runOrder(ctx, compensatable("A"), retriable("X"))
	})), "X is retriable")
	env.RequireState(compensation.Compensated)
	env.RequireSound(nil)
}

// An operator has a parked step tried again while its service is still down: it is parked again.
func TestRetryOfAStepThatStaysUnknown(t *testing.T) {
	t.Parallel()

	a := onUnknown(compensatable("A"), compensation.ParkUnknown)
	plan := compensation.MustPlan("Unknown", a, pivot())
	env := sagatest.New(t, plan)
	env.Fail("A", sagatest.Forever)
	env.UpdateAfter(time.Hour, compensation.UpdateRetry, grace)
	_ = env.Run(body(plan, func(ctx workflow.Context) ([]string, error) { return runOrder(ctx, a, pivot()) })) // it stays parked
	env.RequireState(compensation.Parked)
	env.RequireSound(nil)
}

// The body returns without the pivot that its plan requires, which is its defect; a cancel turns the saga back all the same.
func TestCancelOfASagaWithoutTheRequiredPivot(t *testing.T) {
	t.Parallel()

	plan := compensation.MustPlan("Required", compensatable("A"), pivot()).RequirePivot()
	env := sagatest.New(t, plan)
	env.RefuseUndo("Pay")
	env.CrashAt("A", nil)
	cancel := env.UpdateAfter(time.Hour, compensation.UpdateCancel, compensation.CancelRequest{By: "ada"})
	env.UpdateAfter(2*time.Hour, compensation.UpdateMarkPrevented, grace)
	require.Error(t, env.Run(body(plan, func(ctx workflow.Context) ([]string, error) { return runOrder(ctx, compensatable("A")) })))
	env.RequireState(compensation.Compensated)
	requireAnswered(t, env, []*sagatest.Reply{cancel})
	env.RequireEffects()
}

// The run before turned back and undid A. The one that goes on from before that has A on record as done.
func TestResetToBeforeAnUndo(t *testing.T) {
	t.Parallel()

	for name, pay := range map[string]step{
		"express pivot": pivot(), "durable pivot": durably(pivot()), "no pivot": compensatable("Pay"), "no pivot, durable": durably(compensatable("Pay")),
	} {
		for what, a := range map[string]step{"express step": compensatable("A"), "durable step": durably(compensatable("A"))} {
			for task := range 5 {
				t.Run(fmt.Sprintf("%s, %s, to task %d", name, what, task+1), func(t *testing.T) {
					t.Parallel()

					plan := compensation.MustPlan("Reset", a, pay)
					env := sagatest.New(t, plan)
					no := env.UpdateAfter(time.Minute, "decide", false)
					env.ResetAtUndo("A", task+1, func() {
						env.GiveUp(no)
						env.Update("decide", true)
					})
					_ = env.Run(func(ctx workflow.Context) (string, error) { // either end is sound
						var decided []bool
						if err := workflow.SetUpdateHandler(ctx, "decide", func(_ workflow.Context, yes bool) error {
							decided = append(decided, yes)
							return nil
						}); err != nil {
							return "", err
						}
						return body(plan, func(ctx workflow.Context) ([]string, error) {
							if _, err := a.Run(ctx, "A"); err != nil {
								return nil, err
							}
							_ = workflow.Await(ctx, func() bool { return len(decided) > 0 }) // nothing cancels it
							if !decided[0] {
								return nil, errors.New("somebody said no")
							}
							return runOrder(ctx, pay)
						})(ctx)
					})
					env.RequireSound(nil)
				})
			}
		}
	}
}

// A reset comes while a try is on its way: it may last for AttemptTimeout, and its request for Settle after that.
func TestSettleAfterAReset(t *testing.T) {
	t.Parallel()

	b := durably(onUnknown(compensatable("B"), compensation.ParkUnknown))
	b.Settle, b.AttemptTimeout = time.Minute, 10*time.Minute
	plan := compensation.MustPlan("Settle", b)
	cancel := compensation.CancelRequest{By: "ada"}

	t.Run("of a try that is forgotten", func(t *testing.T) {
		t.Parallel()

		env := sagatest.New(t, plan)
		env.Takes("B", 8*time.Minute)
		env.ResetAfter(30*time.Second, 1, func() { env.Update(compensation.UpdateCancel, cancel) })
		require.Error(t, env.Run(body(plan, func(ctx workflow.Context) ([]string, error) { return runOrder(ctx, b) })))
		require.GreaterOrEqual(t, env.Elapsed(), 9*time.Minute)
	})
	t.Run("of a later try than the one on record", func(t *testing.T) {
		t.Parallel()

		env := sagatest.New(t, plan)
		env.Garble("B", 1)
		env.At(2*time.Hour-time.Second, func() { env.Takes("B", 5*time.Minute) })
		retry := env.UpdateAfter(2*time.Hour, compensation.UpdateRetry, grace)
		env.ResetAfter(2*time.Hour+time.Second, 3, func() {
			env.GiveUp(retry)
			env.Update(compensation.UpdateCancel, cancel)
		})
		require.Error(t, env.Run(body(plan, func(ctx workflow.Context) ([]string, error) { return runOrder(ctx, b) })))
		require.GreaterOrEqual(t, env.Elapsed(), 2*time.Hour+6*time.Minute)
	})
}

// A body fails with a text that no memo and no event could hold.
func TestLargeCause(t *testing.T) {
	t.Parallel()

	a, pay := durably(compensatable("A")), durably(pivot())
	plan := compensation.MustPlan("Large", a, pay)
	env := sagatest.New(t, plan)
	err := env.Run(body(plan, func(ctx workflow.Context) ([]string, error) {
		if _, err := runOrder(ctx, a); err != nil {
			return nil, err
		}
		return nil, errors.New(strings.Repeat("x", 3<<20))
	}))
	require.Less(t, len(env.Cause()), 8<<10)
	require.Less(t, len(err.Error()), 64<<10)
	env.RequireEffects()
}
