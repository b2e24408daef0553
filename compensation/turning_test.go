package compensation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// body runs f as a saga of the plan.
func body(plan *compensation.Plan, f func(workflow.Context) ([]string, error)) func(workflow.Context) (string, error) {
	return func(ctx workflow.Context) (string, error) {
		return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
			done, err := f(ctx)
			return strings.Join(done, " "), err
		})
	}
}

// requireCounted requires that the saga completed with the effects that its body counts on.
func requireCounted(t sagatest.TB, env *sagatest.Env) {
	t.Helper()
	env.RequireState(compensation.Completed)
	var done string
	env.Result(&done)
	env.RequireSound(strings.Fields(done))
}

// runOrder runs steps in this order, each with its name as input, and returns those that are done.
func runOrder(ctx workflow.Context, steps ...step) (done []string, err error) {
	for _, st := range steps {
		if _, err := st.Run(ctx, st.Name); err != nil {
			return done, err
		}
		done = append(done, st.Name)
	}
	return done, nil
}

// A saga has come to its pivot, but first has to undo a step that it went on without. Until the pivot is really called,
// any request to turn back turns it back.
func TestTurningBackBeforeThePivotIsCalled(t *testing.T) {
	t.Parallel()

	a, b, pay, x := compensatable("A"), compensatable("B"), pivot(), retriable("X")
	plan := compensation.MustPlan("Waits", a, b, pay, x)
	waits := func(plan *compensation.Plan) func(workflow.Context) (string, error) {
		return body(plan, func(ctx workflow.Context) ([]string, error) {
			if _, err := a.Run(ctx, "A"); err != nil {
				return nil, err
			}
			_, _ = b.Run(ctx, "B") // it goes on without
			return runOrder(ctx, pay, x)
		})
	}
	for name, tt := range map[string]struct {
		deadline time.Duration
		ask      func(*sagatest.Env) *sagatest.Reply
	}{
		"cancel": {ask: func(e *sagatest.Env) *sagatest.Reply { return e.CancelAfter(20 * time.Minute) }},
		"Temporal's cancel": {ask: func(e *sagatest.Env) *sagatest.Reply {
			e.At(20*time.Minute, e.RequestCancel)
			return nil
		}},
		"deadline": {deadline: 20 * time.Minute, ask: func(*sagatest.Env) *sagatest.Reply { return nil }},
	} {
		for how, hold := range map[string]func(*sagatest.Env){
			"the undo is tried": func(e *sagatest.Env) {
				e.FailUndo("B", sagatest.Forever)
				e.At(time.Hour, func() { e.Mend("B") })
			},
			"the undo waits for an operator": func(e *sagatest.Env) {
				e.LoseReply("B", 1)
				e.RefuseUndo("B")
				e.UpdateAfter(time.Hour, compensation.UpdateMarkDone, grace)
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()

				plan := plan.WithDeadline(tt.deadline)
				env := sagatest.New(t, plan)
				hold(env)
				env.Fail("B", sagatest.Forever)
				reply := tt.ask(env)
				err := env.Run(waits(plan))
				require.NotContains(t, env.Calls(), "Pay", "it was asked to turn back, and called the pivot")
				require.Equal(t, tt.deadline == 0, temporal.IsCanceledError(err), "%v", err)
				if reply != nil {
					require.True(t, reply.Accepted, "%v", reply.Rejected)
				}
				env.RequireState(compensation.Compensated)
				require.NotContains(t, env.Effects(), "A")
			})
		}
	}
}

// A worker that the server took for lost has decided to turn back. Another one completes the saga without its pivot,
// which the first one does not notice. When the first one wakes up, it must not undo what the other one counts on.
func TestSagaWithoutItsPivotIsNotUndoneByAFrozenWorker(t *testing.T) {
	t.Parallel()

	a, b, later, pay := compensatable("A"), compensatable("B"), compensatable("BillLater"), pivot()
	plan := compensation.MustPlan("Branches", a, b, later, pay)
	free := func(ctx workflow.Context) ([]string, error) { return runOrder(ctx, a, b) }
	fallback := func(ctx workflow.Context) ([]string, error) {
		done, err := runOrder(ctx, a, b)
		if err != nil {
			return nil, err
		}
		if _, err := pay.Run(ctx, "Pay"); err == nil {
			return append(done, "Pay"), nil
		}
		more, err := runOrder(ctx, later)
		return append(done, more...), err
	}
	for name, f := range map[string]func(workflow.Context) ([]string, error){"pivot on a condition": free, "fallback after a refused pivot": fallback} {
		for how, freeze := range map[string]func(e *sagatest.Env, pace []int){
			"frozen at the refused step": func(e *sagatest.Env, pace []int) { e.SlowAt("B", pace, func() { e.Mend("B"); e.Refuse("Pay") }) },
			"frozen at the fence":        func(e *sagatest.Env, pace []int) { e.SlowAtUndo("Pay", pace, func() { e.Mend("B"); e.Refuse("Pay") }) },
			"frozen in a later task": func(e *sagatest.Env, pace []int) {
				e.HeartbeatAt("A")
				e.SlowAt("B", pace, func() { e.Mend("B"); e.Refuse("Pay") })
			},
		} {
			for when, pace := range map[string][]int{"wakes at the end": {0}, "wakes in between": {0, 1}} {
				t.Run(name+", "+how+", "+when, func(t *testing.T) {
					t.Parallel()

					env := sagatest.New(t, plan)
					env.Refuse("B")
					freeze(env, pace)
					_ = env.Run(body(plan, f)) // both ends are sound
					if env.State() == compensation.Completed {
						requireCounted(t, env)
					}
					env.RequireSound(nil)
				})
			}
		}
	}
}

// An uncertain saga falls back to a step that it has not seen so far.
func TestFallbackToAStepThatWasNotSeen(t *testing.T) {
	t.Parallel()

	a, b, pay := compensatable("A"), compensatable("B"), pivot()
	plan := compensation.MustPlan("FallsBack", a, b, pay)
	var got string
	env := sagatest.New(t, plan)
	sagatest.Answer(env, "B", func(string) string { return "the result of B" })
	env.CrashAt("A", nil)
	env.Refuse("Pay")
	err := env.Run(body(plan, func(ctx workflow.Context) (done []string, err error) {
		if done, err = runOrder(ctx, a); err != nil {
			return nil, err
		}
		if _, err = pay.Run(ctx, "Pay"); err == nil {
			return append(done, "Pay"), nil
		}
		if got, err = b.Run(ctx, "B"); err != nil {
			return nil, err
		}
		return append(done, "B"), nil
	}))
	if err != nil {
		env.RequireSound(nil)
		return
	}
	require.Equal(t, "the result of B", got, "the body was told that B is done")
	requireCounted(t, env)
}

// A step that a saga has never seen does not hold up its pivot, and is undone in the end.
func TestStepThatWasNotSeenIsUndoneAfterThePivot(t *testing.T) {
	t.Parallel()

	a, b, pay, x := compensatable("A"), compensatable("B"), pivot(), retriable("X")
	plan := compensation.MustPlan("GoesWithout", a, b, pay, x)
	env := sagatest.New(t, plan)
	first := true
	env.FailUndo("B", 20)
	env.CrashAt("B", func() { first = false })
	require.NoError(t, env.Run(body(plan, func(ctx workflow.Context) ([]string, error) {
		if first { // as if it were a matter of the time
			return runOrder(ctx, a, b, pay, x)
		}
		return runOrder(ctx, a, pay, x)
	})))
	requireCounted(t, env)
	calls := strings.Join(env.Calls(), ", ")
	require.Regexp(t, `Pay, .*undo B`, calls)
	require.NotRegexp(t, `undo B.*, Pay`, calls, "the pivot waited for a service that the saga does not use")
}
