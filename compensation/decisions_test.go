package compensation_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// decidable is a saga that waits for a decision between two steps.
var decidable = inOrder{beside(compensatable("A")), beside(compensatable("B")), beside(pivot()), beside(retriable("X"))}

// decide lets the workflow take one decision, and waits for it in the context that it is given.
func decide(ctx workflow.Context) (wait func(workflow.Context) (approved bool, err error), _ error) {
	var decided, approved bool
	err := workflow.SetUpdateHandlerWithOptions(ctx, "decide",
		func(_ workflow.Context, yes bool) error {
			decided, approved = true, yes
			return nil
		},
		workflow.UpdateHandlerOptions{Validator: func(bool) error {
			if decided {
				return errors.New("it is decided already")
			}
			return nil
		}})
	return func(ctx workflow.Context) (bool, error) {
		err := workflow.Await(ctx, func() bool { return decided })
		return approved, err
	}, err
}

// runDecidable runs A, waits for a decision, and runs the rest.
func runDecidable(plan *compensation.Plan) func(workflow.Context) (string, error) {
	return func(ctx workflow.Context) (string, error) {
		wait, err := decide(ctx)
		if err != nil {
			return "", err
		}
		return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
			if _, err := compensatable("A").Run(ctx, "A"); err != nil {
				return "", err
			}
			switch approved, err := wait(ctx); {
			case err != nil:
				return "", err
			case !approved:
				return "", temporal.NewNonRetryableApplicationError("turned down", "TurnedDown", nil)
			}
			for _, st := range []step{compensatable("B"), pivot(), retriable("X")} {
				if _, err := st.Run(ctx, st.Name); err != nil {
					return "", err
				}
			}
			return "done", nil
		})
	}
}

// A task takes a rejection, undoes everything, and is lost. Its sender is gone; the next task takes an approval, if the
// rejection is not on record.
func TestDecisionIsOnRecordBeforeItIsActedOn(t *testing.T) {
	t.Parallel()

	for name, lose := range map[string]func(*sagatest.Env, func()){
		"lost at the undo":          func(e *sagatest.Env, next func()) { e.CrashAtUndo("A", next) },
		"lost at the pivot's fence": func(e *sagatest.Env, next func()) { e.CrashAtUndo("Pay", next) },
		"slow at the pivot's fence": func(e *sagatest.Env, next func()) { e.SlowAtUndo("Pay", []int{0}, next) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			plan := decidable.plan()
			env := sagatest.New(t, plan)
			rejection := env.UpdateAfter(time.Hour, "decide", false)
			var approval *sagatest.Reply
			lose(env, func() {
				env.GiveUp(rejection)
				approval = env.Update("decide", true)
			})
			err := env.Run(runDecidable(plan))
			require.NotNil(t, approval, "nothing was lost")
			require.ErrorContains(t, approval.Rejected, "decided already",
				"the approval was taken, and the saga is %s: it acted on a rejection that was not on record", env.State())
			requireType(t, err, "TurnedDown")
			env.RequireEffects()
			env.RequireSound(nil)
		})
	}
	t.Run("an approval", func(t *testing.T) {
		t.Parallel()

		plan := decidable.plan()
		env := sagatest.New(t, plan)
		approval := env.UpdateAfter(time.Hour, "decide", true)
		var rejection *sagatest.Reply
		env.CrashAt("Pay", func() {
			env.GiveUp(approval)
			rejection = env.Update("decide", false)
		})
		err := env.Run(runDecidable(plan))
		require.NotNil(t, rejection, "nothing was lost")
		require.ErrorContains(t, rejection.Rejected, "decided already",
			"the rejection was taken, but %v stand: the saga acted on an approval that was not on record", env.Effects())
		require.NoError(t, err)
		env.RequireSound([]string{"A", "B", "Pay", "X"})
	})
}

// A cancel that has undone something is on record.
func TestCancelIsOnRecordBeforeItIsActedOn(t *testing.T) {
	t.Parallel()

	plan := decidable.plan()
	env := sagatest.New(t, plan)
	cancel := env.CancelAfter(time.Hour)
	env.UpdateAfter(2*time.Hour, "decide", true)
	env.CrashAtUndo("A", func() { env.GiveUp(cancel) })
	err := env.Run(runDecidable(plan))
	require.True(t, temporal.IsCanceledError(err), "the cancel that undid %v is forgotten: %v", env.Calls(), err)
	env.RequireEffects()
	env.RequireSound(nil)
}

// So is an operator's act.
func TestActIsOnRecordBeforeItIsActedOn(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		first, second string
		lose          func(*sagatest.Env, func())
		end           compensation.State
	}{
		"compensate": {
			compensation.UpdateCompensate, compensation.UpdateMarkDone,
			func(e *sagatest.Env, next func()) { e.CrashAtUndo("Book", next) }, compensation.Compensated,
		},
		"mark done": {
			compensation.UpdateMarkDone, compensation.UpdateCompensate,
			func(e *sagatest.Env, next func()) { e.CrashAt("Pay", next) }, compensation.Completed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, parkable)
			env.Garble("Hold", 1) // nobody tries it while it is parked, so the act's effect follows at once
			var first, second *sagatest.Reply
			env.WhenParked(func([]compensation.ParkedStep) {
				if first == nil {
					first = env.Act(tt.first, grace)
				}
			})
			tt.lose(env, func() {
				env.GiveUp(first)
				second = env.Act(tt.second, grace)
			})
			_ = env.Run(runParkable) // the state shows how it ends
			require.NotNil(t, second, "nothing was lost")
			require.Error(t, second.Rejected, "the saga is %s: it acted on %s, which was not on record", env.State(), tt.first)
			env.RequireState(tt.end)
		})
	}
}

// Two acts at once, in either order, and a cancel among them: each is answered, and the saga ends.
func TestActsAtOnce(t *testing.T) {
	t.Parallel()

	acts := []string{
		compensation.UpdateRetry, compensation.UpdateSkip, compensation.UpdateMarkDone, compensation.UpdateCompensate, compensation.UpdateCancel,
	}
	for _, first := range acts {
		for _, second := range acts {
			t.Run(first+", "+second, func(t *testing.T) {
				t.Parallel()

				env := sagatest.New(t, parkable)
				holdParked(env)
				env.Takes("Hold", 8*time.Second)
				replies := actAtOnce(env, first, second)
				env.At(50*time.Minute, func() { env.Mend("Hold") })
				_ = env.Run(runParkable) // at the latest, it turns back at its deadline
				requireAnswered(t, env, *replies)
			})
		}
	}
}

// actAtOnce sends these when something is first parked, all at once and, for tries in flight, once more two seconds
// later.
func actAtOnce(env *sagatest.Env, acts ...string) *[]*sagatest.Reply {
	var replies []*sagatest.Reply
	send := func() {
		for _, act := range acts {
			if act == compensation.UpdateCancel {
				replies = append(replies, env.Update(act, compensation.CancelRequest{By: "grace"}))
			} else {
				replies = append(replies, env.Act(act, grace))
			}
		}
	}
	env.WhenParked(func([]compensation.ParkedStep) {
		if replies == nil {
			send()
			env.At(env.Elapsed()+2*time.Second, send)
		}
	})
	return &replies
}

// requireAnswered requires that the saga ended and every update has an answer.
func requireAnswered(t sagatest.TB, env *sagatest.Env, replies []*sagatest.Reply) {
	t.Helper()
	require.True(t, env.Ended(), "the saga hangs: it is %s, and parked is %v", env.State(), env.Parked())
	require.False(t, slices.ContainsFunc(replies, func(r *sagatest.Reply) bool { return !r.Answered && r.Rejected == nil }),
		"somebody has no answer")
}

// An act comes while a step that is given up is still on its way.
func TestActWhileAStepIsGivenUp(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, parkable)
	holdParked(env)
	env.Takes("Hold", 8*time.Second)
	var cancel, act *sagatest.Reply
	env.WhenParked(func([]compensation.ParkedStep) {
		if cancel != nil {
			return
		}
		cancel = env.Update(compensation.UpdateCancel, compensation.CancelRequest{By: "ada"})
		env.At(env.Elapsed()+time.Second, func() { act = env.Act(compensation.UpdateMarkDone, grace) })
	})
	err := env.Run(runParkable)
	require.NotNil(t, act, "nothing was parked")
	requireAnswered(t, env, []*sagatest.Reply{cancel, act})
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	env.RequireEffects()
}

// An act comes together with the success of what is parked.
func TestActThatMeetsASuccess(t *testing.T) {
	t.Parallel()

	saga := inOrder{beside(compensatable("A")), beside(compensatable("B")), beside(pivot())}
	plan := saga.plan()
	for _, name := range []string{compensation.UpdateRetry, compensation.UpdateSkip, compensation.UpdateMarkDone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, plan)
			env.Refuse("Pay")
			env.FailUndo("B", sagatest.Forever)
			// The undo of A begins when that of B is parked, and holds both up, the success and the act.
			env.TakesUndo("A", 900*time.Millisecond)
			env.HeartbeatAtUndo("A")
			var act *sagatest.Reply
			env.WhenParked(func([]compensation.ParkedStep) {
				env.Mend("B")
				env.At(env.Elapsed()+100*time.Millisecond, func() {
					if act == nil {
						act = env.Act(name, grace)
					}
				})
			})
			_ = env.Run(func(ctx workflow.Context) (string, error) { return saga.run(ctx, plan) }) // either end will do
			require.NotNil(t, act, "nothing was parked")
			requireAnswered(t, env, []*sagatest.Reply{act})
			env.RequireEffects()
		})
	}
}

// A certain saga has completed without its pivot, and waits for a handler of the workflow's own, when a cancel comes.
func TestCancelOfASagaThatSkippedItsPivot(t *testing.T) {
	t.Parallel()

	plan := decidable.plan()
	env := sagatest.New(t, plan)
	env.UpdateAfter(0, "nap", nil)
	cancel := env.CancelAfter(30 * time.Second)
	err := env.Run(func(ctx workflow.Context) (string, error) {
		err := workflow.SetUpdateHandler(ctx, "nap", func(ctx workflow.Context) error { return workflow.Sleep(ctx, time.Minute) })
		if err != nil {
			return "", err
		}
		return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
			return compensatable("A").Run(ctx, "A")
		})
	})
	require.NoError(t, err)
	requireAnswered(t, env, []*sagatest.Reply{cancel})
	env.RequireState(compensation.Completed)
	env.RequireEffects("A")
}
