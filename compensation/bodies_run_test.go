package compensation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// drawTimes draws how long steps take.
func drawTimes(t *rapid.T, env *sagatest.Env, plan *compensation.Plan) {
	times := []time.Duration{0, 0, 0, 10 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond, 950 * time.Millisecond, 1500 * time.Millisecond, 11 * time.Second}
	for _, st := range plan.Steps() {
		env.Takes(st.Name, rapid.SampledFrom(times).Draw(t, st.Name+" takes"))
		if st.Undo != "" {
			env.TakesUndo(st.Name, rapid.SampledFrom(times).Draw(t, st.Name+" undo takes"))
		}
		switch rapid.IntRange(0, 9).Draw(t, "heartbeat") {
		case 0:
			env.HeartbeatAt(st.Name)
		case 1:
			if st.Undo != "" {
				env.HeartbeatAtUndo(st.Name)
			}
		}
	}
}

// drawLoss loses workers, freezes them, and resets the workflow and its activities.
func drawLoss(t *rapid.T, env *sagatest.Env, plan *compensation.Plan, decisions []*sagatest.Reply) {
	st := drawStep(t, plan)
	faults := rapid.IntRange(0, 2).Draw(t, "faults then")
	task := rapid.IntRange(1, 6).Draw(t, "task")
	pace := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 6).Draw(t, "pace")
	next := func() {
		for _, st := range plan.Steps() {
			if rapid.IntRange(0, 2).Draw(t, "mend") == 0 {
				env.Mend(st.Name)
			}
		}
		drawFaults(t, env, plan, faults)
		for _, r := range decisions {
			if rapid.IntRange(0, 2).Draw(t, "gives up") == 0 {
				env.GiveUp(r)
			}
		}
		switch rapid.IntRange(0, 7).Draw(t, "between") {
		case 0:
			env.CancelBetween()
		case 1:
			env.RequestCancel()
		case 2, 3:
			env.Update("decide", rapid.Bool().Draw(t, "approved"))
		}
	}
	undo := st.Undo != "" && rapid.Bool().Draw(t, "at the undo")
	kind := rapid.SampledFrom([]string{"lost", "in flight", "slow", "slow", "reset", "reset later", "reset at the end", "activity reset"}).Draw(t, "loss")
	t.Logf("%s at %s, undo %v, to task %d, pace %v", kind, st.Name, undo, task, pace)
	switch kind {
	case "lost":
		if undo {
			env.CrashAtUndo(st.Name, next)
		} else {
			env.CrashAt(st.Name, next)
		}
	case "in flight":
		env.CrashInFlight(st.Name, next)
	case "slow":
		if undo {
			env.SlowAtUndo(st.Name, pace, next)
		} else {
			env.SlowAt(st.Name, pace, next)
		}
	case "reset":
		if undo {
			env.ResetAtUndo(st.Name, task, next)
		} else {
			env.ResetAt(st.Name, task, next)
		}
	case "reset later":
		env.ResetAfter(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 2 * time.Hour}).Draw(t, "after"), task, next)
	case "reset at the end":
		env.ResetAtEnd(task, next)
	case "activity reset":
		env.ResetActivity(st.Name)
	}
}

// runDrama runs the saga with faults of any sort. decisions are the updates that it gets.
func runDrama(t *rapid.T, d *drama, also func(*sagatest.Env)) *sagatest.Env {
	plan := compensation.MustPlan("Drama", d.steps...)
	t.Logf("%s; pivot %v, conditional %v (%d), then %s", d.before, d.hasPivot, d.conditional, d.when, d.fallback)
	if rapid.IntRange(0, 3).Draw(t, "deadline") == 0 {
		plan = plan.WithDeadline(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 20 * time.Minute}).Draw(t, "within"))
	}
	env := sagatest.New(t, plan)
	drawFaults(t, env, plan, rapid.IntRange(0, 3).Draw(t, "faults"))
	drawTimes(t, env, plan)
	var decisions []*sagatest.Reply
	for range rapid.IntRange(0, 2).Draw(t, "decisions") {
		after := rapid.SampledFrom([]time.Duration{0, 300 * time.Millisecond, 2 * time.Second, time.Minute, 30 * time.Minute}).Draw(t, "after")
		decisions = append(decisions, env.UpdateAfter(after, "decide", rapid.Bool().Draw(t, "approved")))
	}
	switch rapid.IntRange(0, 6).Draw(t, "cancel") {
	case 0:
		decisions = append(decisions, env.CancelAt(drawStep(t, plan).Name))
	case 1:
		decisions = append(decisions, env.CancelAfter(rapid.SampledFrom([]time.Duration{0, 400 * time.Millisecond, 3 * time.Second, time.Minute}).Draw(t, "after")))
	case 2:
		env.RequestCancelAt(drawStep(t, plan).Name)
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2, 2, 3}).Draw(t, "losses") {
		drawLoss(t, env, plan, decisions)
	}
	also(env)
	_ = env.Run(d.run(plan)) // any sound end will do
	return env
}

// Any body and any faults, also in pairs: what holds for every saga holds, and the effects that stand are those that the
// body counts on.
func TestAnyBody(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		env := runDrama(t, drawDrama(t), func(*sagatest.Env) {})
		if env.State() == compensation.Completed {
			requireCounted(t, env)
		}
		env.RequireSound(nil)
	})
}

// Operators do anything at any moment, also two things at once: everybody has an answer, and no saga hangs.
func TestAnyBodyWithOperators(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		acts := rapid.SliceOfN(rapid.SampledFrom([]string{
			compensation.UpdateRetry, compensation.UpdateSkip, compensation.UpdateMarkDone, compensation.UpdateCompensate, compensation.UpdateCancel,
		}), 1, 4).Draw(t, "acts")
		delays := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, time.Second, 3 * time.Second, time.Hour}), len(acts), len(acts)).Draw(t, "delays")
		mend := rapid.Bool().Draw(t, "mend")
		rounds := rapid.IntRange(1, 4).Draw(t, "rounds")
		d := drawDrama(t)
		env := runDrama(t, d, func(env *sagatest.Env) {
			env.WhenParked(func([]compensation.ParkedStep) {
				if rounds--; rounds < 0 {
					return
				}
				for i, act := range acts {
					env.At(env.Elapsed()+delays[i], func() {
						if mend {
							for _, p := range env.Parked() {
								if p.Step != "" {
									env.Mend(p.Step)
								}
							}
						}
						if act == compensation.UpdateCancel {
							env.Update(act, compensation.CancelRequest{By: "grace"})
							return
						}
						a := grace
						if parked := env.Parked(); len(parked) > 0 {
							a.Step, a.Item = parked[i%len(parked)].Step, parked[i%len(parked)].Item
						}
						env.Act(act, a)
					})
				}
			})
		})
		env.RequireSettled()
		require.NotEqual(t, compensation.Terminated, env.State())
	})
}
