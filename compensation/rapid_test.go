package compensation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// Any plan and any faults: what holds for every saga holds.
func TestAnySaga(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		saga := drawSaga(t)
		env := runDrawn(t, saga, saga.run)
		env.RequireSound(nil)
	})
}

// Of two steps at once, one gives up, and the other, in flight by then, is parked: what came before stands until somebody says
// what became of it.
func TestParkedInFlightOnTheWayBack(t *testing.T) {
	t.Parallel()

	saga := inOrder{
		beside(compensatable("A")),
		beside(onUnknown(compensatable("B"), compensation.ProbeUnknown), onUnknown(compensatable("C"), compensation.ParkUnknown)),
	}
	plan := saga.plan()
	env := sagatest.New(t, plan)
	env.Fail("B", sagatest.Forever)
	env.Fail("C", sagatest.Forever)
	require.NoError(t, env.Run(func(ctx workflow.Context) (string, error) { return saga.run(ctx, plan) }))
	env.RequireState(compensation.Parked)
	require.Equal(t, compensation.PartDo, env.Parked()[0].Part)
	env.RequireEffects("A")
	env.RequireSound(nil)
}

// A body may go on without a step. Then the step's effect must not stand, and those that the body counts on must.
func TestAnySagaThatGoesOnWithout(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		saga := drawSaga(t)
		env := runDrawn(t, saga, func(ctx workflow.Context, plan *compensation.Plan) (string, error) {
			return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
				var done []string
				for _, l := range slices.Concat(saga...) {
					switch _, err := l.start(ctx).Get(ctx); {
					case err == nil:
						done = append(done, l.label())
					case ctx.Err() != nil, l.Kind != compensation.Compensatable:
						return "", err
					}
				}
				return strings.Join(done, " "), nil
			})
		})
		switch {
		case env.State() == compensation.Completed:
			var done string
			env.Result(&done)
			env.RequireEffects(strings.Fields(done)...)
		case env.Ended():
			env.RequireState(compensation.Compensated)
			env.RequireEffects()
		}
	})
}

func drawSaga(t *rapid.T) inOrder {
	var saga inOrder
	names := "ABCDEFGHI"
	name := func() string {
		n := names[:1]
		names = names[1:]
		return n
	}
	for range rapid.IntRange(1, 3).Draw(t, "groups") {
		var group []leg
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			st := onUnknown(compensatable(name()), rapid.SampledFrom([]compensation.OnUnknown{
				compensation.UndoUnknown, compensation.UndoUnknown, compensation.ProbeUnknown, compensation.ParkUnknown,
			}).Draw(t, "on unknown"))
			st.Durable = rapid.IntRange(0, 3).Draw(t, "durable") == 0
			if rapid.IntRange(0, 5).Draw(t, "items") == 0 {
				st.Repeats = true
				group = append(group, leg{st, "1"}, leg{st, "2"})
			} else {
				group = append(group, leg{step: st})
			}
		}
		saga = append(saga, group)
	}
	if rapid.IntRange(0, 3).Draw(t, "without pivot") == 0 {
		return saga
	}
	pay := pivot()
	pay.Durable = rapid.IntRange(0, 3).Draw(t, "durable pivot") == 0
	saga = append(saga, beside(pay))
	for _, after := range []string{"X", "Y"}[:rapid.IntRange(0, 2).Draw(t, "after")] {
		st := retriable(after)
		st.Durable = rapid.Bool().Draw(t, "durable")
		saga = append(saga, beside(st))
	}
	return saga
}

// runDrawn runs the saga with faults of any sort.
func runDrawn(t *rapid.T, saga inOrder, run func(workflow.Context, *compensation.Plan) (string, error)) *sagatest.Env {
	plan := saga.plan()
	if rapid.IntRange(0, 3).Draw(t, "deadline") == 0 {
		plan = plan.WithDeadline(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 20 * time.Minute}).Draw(t, "within"))
	}
	env := sagatest.New(t, plan)
	drawFaults(t, env, plan, rapid.IntRange(0, 3).Draw(t, "faults"))
	for range rapid.IntRange(0, 2).Draw(t, "crashes") {
		drawCrash(t, env, plan)
	}
	switch rapid.IntRange(0, 5).Draw(t, "cancel") {
	case 0:
		env.CancelAt(drawStep(t, plan).Name)
	case 1:
		env.CancelAfter(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "after"))
	}
	_ = env.Run(func(ctx workflow.Context) (string, error) { return run(ctx, plan) }) // any end will do that is sound
	return env
}

func drawStep(t *rapid.T, plan *compensation.Plan) compensation.StepInfo {
	return rapid.SampledFrom(plan.Steps()).Draw(t, "step")
}

func drawCrash(t *rapid.T, env *sagatest.Env, plan *compensation.Plan) {
	st := drawStep(t, plan)
	faults := rapid.IntRange(0, 2).Draw(t, "faults then")
	next := func() {
		for _, st := range plan.Steps() {
			if rapid.IntRange(0, 2).Draw(t, "mend") == 0 {
				env.Mend(st.Name)
			}
		}
		drawFaults(t, env, plan, faults)
		if rapid.IntRange(0, 3).Draw(t, "cancel between") == 0 {
			env.CancelBetween()
		}
	}
	switch kind := rapid.IntRange(0, 3).Draw(t, "crash"); {
	case kind == 0:
		env.CrashAt(st.Name, next)
	case kind == 1 && st.Undo != "":
		env.CrashAtUndo(st.Name, next)
	default:
		env.SlowAt(st.Name, rapid.SliceOfN(rapid.IntRange(0, 3), 1, 6).Draw(t, "pace"), next)
	}
}

func drawFaults(t *rapid.T, env *sagatest.Env, plan *compensation.Plan, n int) {
	for range n {
		st := drawStep(t, plan)
		times := rapid.SampledFrom([]int{1, 2, 3, 4, 6, sagatest.Forever}).Draw(t, "times")
		faults := []func(){
			func() { env.Refuse(st.Name) },
			func() { env.Fail(st.Name, times) },
			func() { env.LoseReply(st.Name, times) },
			func() { env.LateDo(st.Name) },
		}
		if st.Undo != "" {
			faults = append(faults,
				func() { env.FailUndo(st.Name, times) },
				func() { env.LoseUndoReply(st.Name, times) },
				func() { env.RefuseUndo(st.Name) },
			)
		}
		if st.Probe != "" {
			faults = append(faults, func() { env.FailProbe(st.Name, times) })
		}
		i := rapid.IntRange(0, len(faults)-1).Draw(t, "fault")
		t.Logf("%s: fault %d, %d times", st.Name, i, times)
		faults[i]()
	}
}
