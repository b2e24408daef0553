package compensation_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// paying is a saga whose pivot has a result that its last step needs.
var paying = inOrder{beside(compensatable("Hold")), beside(pivot()), beside(retriable("Ship"))}

func runPaying(ctx workflow.Context) (string, error) {
	return compensation.Run(ctx, paying.plan(), func(ctx workflow.Context) (string, error) {
		if _, err := compensatable("Hold").Run(ctx, ""); err != nil {
			return "", err
		}
		paid, err := pivot().Run(ctx, "")
		if err != nil {
			return "", err
		}
		return retriable("Ship").Run(ctx, paid)
	})
}

// If nobody can find out what became of the pivot, an operator decides it, with an act of only one meaning.
func TestPivotThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()

	lost := func(e *sagatest.Env) { e.LoseReply("Pay", sagatest.Forever); e.RefuseUndo("Pay") }
	crashed := func(e *sagatest.Env) {
		e.CrashAt("Pay", func() { e.Fail("Hold", sagatest.Forever); e.RefuseUndo("Pay") })
	}
	for name, tt := range map[string]struct {
		faults func(*sagatest.Env)
		update string
		act    compensation.Act
		state  compensation.State
		// shipped is the input of the step after the pivot.
		shipped string
		effects []string
	}{
		"it happened": {
			lost, compensation.UpdateMarkHappened, with(func(a *compensation.Act) { a.Result = json.RawMessage(`"receipt-7"`) }),
			compensation.Completed, "receipt-7",
			[]string{"Hold", "Pay", "Ship"},
		},
		"it happened, and nobody has the receipt": {
			lost, compensation.UpdateMarkHappened, grace, compensation.Completed, "", []string{"Hold", "Pay", "Ship"},
		},
		"it happened in a try that was lost": {
			crashed, compensation.UpdateMarkHappened, with(func(a *compensation.Act) { a.Result = json.RawMessage(`"receipt-7"`) }),
			compensation.Completed, "receipt-7",
			[]string{"Hold", "Pay", "Ship"},
		},
		"it never will": {
			func(e *sagatest.Env) { e.Fail("Pay", sagatest.Forever); e.RefuseUndo("Pay") },
			compensation.UpdateMarkPrevented, grace, compensation.Compensated, "",
			[]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, paying.plan())
			tt.faults(env)
			asked := ""
			sagatest.Answer(env, "Ship", func(in string) string { asked = in; return in })
			var reply *sagatest.Reply
			env.WhenParked(func(parked []compensation.ParkedStep) {
				if reply == nil && parked[0].Step == "Pay" {
					env.Mend("Hold")
					reply = env.Act(tt.update, tt.act)
				}
			})
			_ = env.Run(runPaying) // the next lines check how it ends
			require.NotNil(t, reply, "the pivot's undo is not parked: %v", env.Calls())
			require.NoError(t, reply.Rejected)
			require.NoError(t, reply.Err)
			env.RequireState(tt.state)
			require.Equal(t, tt.shipped, asked)
			env.RequireEffects(tt.effects...)
		})
	}
}

// Acts with two meanings are refused for a pivot's undo, and the acts for it everywhere else.
func TestWordsForAPivotsUndo(t *testing.T) {
	t.Parallel()

	fenceParked := func(e *sagatest.Env) { e.LoseReply("Pay", sagatest.Forever); e.RefuseUndo("Pay") }
	for name, tt := range map[string]struct {
		faults func(*sagatest.Env)
		update string
		act    compensation.Act
		why    string
		kind   string
	}{
		"done":              {fenceParked, compensation.UpdateMarkDone, grace, "then say mark-happened or mark-prevented", compensation.ErrTypeActRefused},
		"skipped":           {fenceParked, compensation.UpdateSkip, grace, "then say mark-happened or mark-prevented", compensation.ErrTypeActRefused},
		"no reference":      {fenceParked, compensation.UpdateMarkHappened, compensation.Act{By: "grace", Reason: "seen"}, "reference is missing", compensation.ErrTypeActInvalid},
		"a result of none":  {fenceParked, compensation.UpdateMarkPrevented, with(func(a *compensation.Act) { a.Result = json.RawMessage(`"x"`) }), "what did not happen has none", compensation.ErrTypeActInvalid},
		"a result of other": {fenceParked, compensation.UpdateMarkHappened, with(func(a *compensation.Act) { a.Result = json.RawMessage(`7`) }), "result: ", compensation.ErrTypeActInvalid},
		"of a step":         {sendParked, compensation.UpdateMarkHappened, grace, "mark it done", compensation.ErrTypeActRefused},
		"of a step's undo":  {undoParked, compensation.UpdateMarkPrevented, grace, "mark it done", compensation.ErrTypeActRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, parkable)
			tt.faults(env)
			var reply *sagatest.Reply
			env.WhenParked(func([]compensation.ParkedStep) {
				if reply == nil {
					reply = env.Act(tt.update, tt.act)
				}
			})
			_ = env.Run(runParkable) // it stays parked
			require.NotNil(t, reply, "nothing is parked")
			require.ErrorContains(t, reply.Rejected, tt.why)
			requireType(t, reply.Rejected, tt.kind)
		})
	}
}

// A cancel that changes nothing is rejected, so it leaves no event, however often it is sent; and no other act suffers.
func TestCancelsOfASagaOnItsWayBack(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, parkable)
	undoParked(env)
	var cancels []*sagatest.Reply
	var skip *sagatest.Reply
	env.WhenParked(func([]compensation.ParkedStep) {
		if skip != nil {
			return
		}
		for range 20 {
			cancels = append(cancels, env.Update(compensation.UpdateCancel, compensation.CancelRequest{By: "ada"}))
		}
		skip = env.Act(compensation.UpdateSkip, grace)
	})
	require.Error(t, env.Run(runParkable))
	env.RequireState(compensation.CompensatedWithExceptions)
	require.NoError(t, skip.Err)
	for _, c := range cancels {
		require.False(t, c.Accepted)
		failure := requireType(t, c.Rejected, compensation.ErrTypeTurnsBack)
		var state compensation.State
		require.NoError(t, failure.Details(&state))
		require.Equal(t, compensation.Parked, state)
	}
}

// One cancel waits for an uncertain saga's fence; more of them would take the places that Temporal has for acts.
func TestCancelsOfASagaThatDoesNotKnowItsPivot(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		update string
		state  compensation.State
	}{
		"it never happens": {compensation.UpdateMarkPrevented, compensation.Compensated},
		"it has happened":  {compensation.UpdateMarkHappened, compensation.Completed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, parkable)
			env.CrashAt("Pay", func() {
				env.CancelBetween()
				env.RefuseUndo("Pay")
			})
			var cancels []*sagatest.Reply
			var act *sagatest.Reply
			env.WhenParked(func([]compensation.ParkedStep) {
				if act != nil {
					return
				}
				for range 20 {
					cancels = append(cancels, env.Update(compensation.UpdateCancel, compensation.CancelRequest{By: "ada"}))
				}
				act = env.Act(tt.update, compensation.Act{By: "grace", Reason: "seen", Reference: "T-1"})
			})
			_ = env.Run(runParkable) // the state shows it
			require.NotNil(t, act)
			require.NoError(t, act.Rejected)
			require.NoError(t, act.Err)
			env.RequireState(tt.state)
			for _, c := range cancels {
				require.False(t, c.Accepted)
				requireType(t, c.Rejected, compensation.ErrTypeUndecided)
			}
		})
	}
}

// Steps that started together are undone together: a dead service of one does not hold up the other's undo. The undo of
// the step before both waits its turn.
func TestUndosThatDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()

	saga := inOrder{beside(compensatable("A")), beside(compensatable("B"), compensatable("C"), compensatable("D")), beside(pivot())}
	plan := saga.plan()
	env := sagatest.New(t, plan)
	env.Refuse("Pay")
	env.FailUndo("C", 12)
	env.FailUndo("D", 12)
	require.Error(t, env.Run(func(ctx workflow.Context) (string, error) { return saga.run(ctx, plan) }))
	env.RequireState(compensation.Compensated)
	log := env.Log()
	at := func(step string, outcome sagatest.Outcome) int {
		for i, c := range log {
			if c.Part == compensation.PartUndo && c.Key.Step == step && c.Outcome == outcome {
				return i
			}
		}
		t.Fatalf("the undo of %s is never %s", step, outcome)
		return 0
	}
	require.Less(t, at("D", sagatest.Unknown), at("C", sagatest.Unknown), "undos begin in reverse order of start")
	require.Less(t, at("B", sagatest.Done), at("D", sagatest.Done), "B does not wait for D")
	require.Less(t, at("B", sagatest.Done), at("C", sagatest.Done), "B does not wait for C")
	require.Greater(t, at("A", sagatest.Done), at("D", sagatest.Done), "A waits for D, which may have counted on it")
	require.Greater(t, at("A", sagatest.Done), at("C", sagatest.Done), "A waits for C")
}

// n steps at a dead service park after one limit, not after n.
func TestUndosAtADeadServicePark(t *testing.T) {
	t.Parallel()

	saga := inOrder{beside(compensatable("B"), compensatable("C"), compensatable("D")), beside(pivot())}
	plan := saga.plan()
	env := sagatest.New(t, plan)
	env.Refuse("Pay")
	for _, st := range []string{"B", "C", "D"} {
		env.FailUndo(st, sagatest.Forever)
	}
	_ = env.Run(func(ctx workflow.Context) (string, error) { return saga.run(ctx, plan) }) // it is parked
	env.RequireState(compensation.Parked)
	require.Len(t, env.Parked(), 3)
	since := env.Parked()[0].Since
	for _, p := range env.Parked() {
		require.WithinDuration(t, since, p.Since, time.Minute)
	}
}
