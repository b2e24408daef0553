package compensation_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

func perform(context.Context, compensation.Key, string) (string, error) { return "", nil }
func takeBack(context.Context, compensation.Key) error                  { return nil }

// voyage is a plan of three compensatable steps, of which the second runs for items, the pivot and two retriable steps.
var voyage = compensation.MustPlan("Voyage",
	compensation.Step[string, string]{Name: "BookFlight", Do: perform, Undo: takeBack},
	compensation.Step[string, string]{Name: "BookHotel", Do: perform, Undo: takeBack, Repeats: true},
	compensation.Step[string, string]{Name: "BookCar", Do: perform, Undo: takeBack},
	compensation.Step[string, string]{Name: "Pay", Kind: compensation.Pivot, Do: perform, Undo: takeBack},
	compensation.Step[string, string]{Name: "SendTicket", Kind: compensation.Retriable, Do: perform},
	compensation.Step[string, string]{Name: "SendMail", Kind: compensation.Retriable, Do: perform},
)

// ofVoyage returns keys of the ended saga's steps, such as "BookHotel.rome".
func ofVoyage(steps ...string) []compensation.Key {
	var keys []compensation.Key
	for _, st := range steps {
		name, item, _ := strings.Cut(st, ".")
		keys = append(keys, compensation.Key{Saga: "voyage-7", Step: name, Item: item})
	}
	return keys
}

// An endedVoyage is a saga that was ended after it had done these steps, which its history shows.
type endedVoyage struct {
	plan *compensation.Plan
	done []string
	// unrecorded are further steps that it had done.
	unrecorded []string
	// gone are steps that it had started and the plan no longer has.
	gone []string
}

// recover runs the steps that the saga had done in env, and recovers it.
func (e endedVoyage) recover(ctx workflow.Context) (compensation.Recovery, error) {
	options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Second})
	for _, k := range ofVoyage(append(e.done, e.unrecorded...)...) {
		if err := workflow.ExecuteActivity(options, "perform", k, "").Get(ctx, nil); err != nil {
			return compensation.Recovery{}, err
		}
	}
	return compensation.Recover(ctx, e.plan, compensation.Ended{
		SagaID: "voyage-7", How: "terminated: by mistake", Started: append(ofVoyage(e.gone...), ofVoyage(e.done...)...),
	})
}

// env runs the recovery.
func (e endedVoyage) env(t *testing.T) *sagatest.Env {
	t.Helper()
	return sagatest.New(t, e.plan, sagatest.ID("recover-voyage-7"))
}

// undos returns the calls of env that are undos.
func undos(env *sagatest.Env) []string {
	calls := []string{}
	for _, call := range env.Log() {
		if call.Part == compensation.PartUndo {
			calls = append(calls, call.String())
		}
	}
	return calls
}

// settled is the result of settling what was parked.
type settled struct {
	// reasons are the reasons for parking.
	reasons []string
	*sagatest.Reply
}

// settle sends the act as soon as something is parked.
func settle(env *sagatest.Env, name string, act compensation.Act) *settled {
	s := &settled{}
	act.By, act.Reason, act.Reference = "grace", "seen to", "T-19"
	env.WhenParked(func(parked []compensation.ParkedStep) {
		if s.Reply == nil {
			for _, p := range parked {
				s.reasons = append(s.reasons, p.Reason)
			}
			s.Reply = env.Act(name, act)
		}
	})
	return s
}

func TestRecoverFencesThePivotAndUndoesThePlan(t *testing.T) {
	t.Parallel()

	const fence = "undo Pay"
	for name, tt := range map[string]struct {
		ended endedVoyage
		want  []string
	}{
		"of which nobody saw a step": {
			endedVoyage{}, []string{fence, "undo BookCar", "undo BookHotel", "undo BookFlight"},
		},
		"that did what no history tells": {
			endedVoyage{unrecorded: []string{"BookFlight"}}, []string{fence, "undo BookCar", "undo BookHotel", "undo BookFlight"},
		},
		"in the order of its steps": {
			endedVoyage{done: []string{"BookFlight", "BookHotel", "BookCar"}}, []string{fence, "undo BookCar", "undo BookHotel", "undo BookFlight"},
		},
		"in another order than the plan's": {
			endedVoyage{done: []string{"BookCar", "BookFlight"}}, []string{fence, "undo BookFlight", "undo BookCar", "undo BookHotel"},
		},
		"of which only a later step is known": {
			endedVoyage{done: []string{"BookHotel"}, unrecorded: []string{"BookFlight"}},
			[]string{fence, "undo BookCar", "undo BookHotel", "undo BookFlight"},
		},
		"for items, and without one": {
			endedVoyage{done: []string{"BookFlight", "BookHotel.rome", "BookHotel.oslo"}, unrecorded: []string{"BookHotel"}},
			[]string{fence, "undo BookCar", "undo BookHotel", "undo BookHotel.oslo", "undo BookHotel.rome", "undo BookFlight"},
		},
		"that ran for an item and without one": {
			endedVoyage{done: []string{"BookHotel", "BookHotel.rome"}},
			[]string{fence, "undo BookCar", "undo BookHotel.rome", "undo BookHotel", "undo BookFlight"},
		},
	} {
		t.Run("a saga "+name, func(t *testing.T) {
			t.Parallel()

			tt.ended.plan = voyage
			env := tt.ended.env(t)
			require.NoError(t, env.Run(tt.ended.recover))
			require.Equal(t, tt.want, undos(env))
			require.Empty(t, env.Effects())
			var r compensation.Recovery
			env.Result(&r)
			require.False(t, r.PastPivot)
			require.Empty(t, r.Exceptions)
			var all []string
			for _, undo := range tt.want {
				all = append(all, strings.TrimPrefix(undo, "undo "))
			}
			require.ElementsMatch(t, ofVoyage(all...), r.Undone)
		})
	}
}

func TestRecoverGoesPastAnUndoThatParks(t *testing.T) {
	t.Parallel()

	ended := endedVoyage{plan: voyage, done: []string{"BookFlight", "BookHotel", "BookCar"}}
	env := ended.env(t)
	env.RefuseUndo("BookHotel")
	settled := settle(env, compensation.UpdateSkip, compensation.Act{Step: "BookHotel"})
	require.NoError(t, env.Run(ended.recover))
	require.True(t, settled.Accepted, "%v", settled.Rejected)
	require.Equal(t, []string{sagatest.RefusalText}, settled.reasons)
	require.Equal(t, []string{"BookHotel"}, env.Effects())
	var r compensation.Recovery
	env.Result(&r)
	require.ElementsMatch(t, ofVoyage("Pay", "BookCar", "BookFlight"), r.Undone)
	require.Equal(t, ofVoyage("BookHotel"), r.Exceptions)
	require.Len(t, r.Acts, 1)
	require.Equal(t, "grace", r.Acts[0].By)
}

func TestRecoverPastThePivot(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		ended endedVoyage
		also  string
	}{
		"that its service tells of": {ended: endedVoyage{done: []string{"BookFlight"}, unrecorded: []string{"Pay"}}},
		"that only what follows it tells of": {
			ended: endedVoyage{done: []string{"BookFlight", "SendTicket"}},
		},
		"with a step that is gone": {
			endedVoyage{done: []string{"BookFlight", "Pay"}, gone: []string{"BuyInsurance.hull"}},
			". It had also started steps that the plan does not have any more: voyage-7:BuyInsurance.hull",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			tt.ended.plan = voyage
			env := tt.ended.env(t)
			settled := settle(env, compensation.UpdateMarkDone, compensation.Act{})
			require.NoError(t, env.Run(tt.ended.recover))
			require.True(t, settled.Accepted, "%v", settled.Rejected)
			require.Equal(t, []string{
				"Pay had happened, so nothing was undone. See to what should follow it and may be missing: SendTicket, SendMail" + tt.also,
			}, settled.reasons)
			require.Equal(t, []string{"undo Pay"}, undos(env))
			require.Contains(t, env.Effects(), "BookFlight")
			var r compensation.Recovery
			env.Result(&r)
			require.True(t, r.PastPivot)
			require.Empty(t, r.Exceptions)
			require.Equal(t, "T-19", r.Acts[0].Reference)
		})
	}
}

// No worker can undo a step that the plan no longer has, so an operator is told its key.
func TestRecoverLeavesStepsThatAreGoneToAnOperator(t *testing.T) {
	t.Parallel()

	ended := endedVoyage{plan: voyage, done: []string{"BookFlight", "BookCar"}, gone: []string{"BuyInsurance.hull", "BuyInsurance.hull", "RentBoat"}}
	env := ended.env(t)
	settled := settle(env, compensation.UpdateMarkDone, compensation.Act{})
	var undone []string
	env.WhenParked(func([]compensation.ParkedStep) { undone = undos(env) })
	require.NoError(t, env.Run(ended.recover))
	require.True(t, settled.Accepted, "%v", settled.Rejected)
	require.Equal(t, []string{"undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight"}, undone, "the rest is undone by then")
	require.Equal(t, []string{
		"the plan does not have these steps any more, which the saga had started: undo them by hand, by key: " +
			"voyage-7:BuyInsurance.hull, voyage-7:RentBoat",
	}, settled.reasons)
	var r compensation.Recovery
	env.Result(&r)
	require.Equal(t, ofVoyage("BuyInsurance.hull", "RentBoat"), r.Exceptions)
	require.ElementsMatch(t, ofVoyage("Pay", "BookCar", "BookHotel", "BookFlight"), r.Undone)
}

// A sentence lists only some of thousands of keys.
func TestRecoverListsSomeOfManyStepsThatAreGone(t *testing.T) {
	t.Parallel()

	ended := endedVoyage{plan: voyage}
	for i := range 1000 {
		ended.gone = append(ended.gone, fmt.Sprintf("BuyInsurance.%d", i))
	}
	env := ended.env(t)
	settled := settle(env, compensation.UpdateMarkDone, compensation.Act{})
	require.NoError(t, env.Run(ended.recover))
	require.True(t, strings.HasSuffix(settled.reasons[0], "voyage-7:BuyInsurance.49 and 950 more, which are in the saga's history"), settled.reasons)
	var r compensation.Recovery
	env.Result(&r)
	require.Len(t, r.Exceptions, 1000)
}

// An operator decides about a pivot that nobody can ask.
func TestRecoverWithAPivotThatNobodyCanAsk(t *testing.T) {
	t.Parallel()

	for act, want := range map[string][]string{
		compensation.UpdateMarkHappened:  {"BookFlight", "Pay"},
		compensation.UpdateMarkPrevented: {"Pay"},
	} {
		t.Run(act, func(t *testing.T) {
			t.Parallel()

			ended := endedVoyage{plan: voyage, done: []string{"BookFlight", "Pay"}}
			env := ended.env(t)
			env.RefuseUndo("Pay")
			settled := settle(env, act, compensation.Act{Step: "Pay"})
			env.WhenParked(func(parked []compensation.ParkedStep) {
				if parked[0].Part == compensation.PartSaga {
					env.Act(compensation.UpdateMarkDone, compensation.Act{By: "grace", Reason: "seen to", Reference: "T-19"})
				}
			})
			require.NoError(t, env.Run(ended.recover))
			require.True(t, settled.Accepted, "%v", settled.Rejected)
			require.True(t, env.Ended())
			require.ElementsMatch(t, want, env.Effects())
			var r compensation.Recovery
			env.Result(&r)
			require.Equal(t, act == compensation.UpdateMarkHappened, r.PastPivot)
		})
	}
}

func TestRecoverWithoutAPivot(t *testing.T) {
	t.Parallel()

	ended := endedVoyage{
		plan: compensation.MustPlan("Walk", compensation.Step[string, string]{Name: "BookFlight", Do: perform, Undo: takeBack}),
		done: []string{"BookFlight"},
	}
	env := ended.env(t)
	require.NoError(t, env.Run(ended.recover))
	require.Equal(t, []string{"undo BookFlight"}, undos(env))
}

// A recovery that began at revision 1 goes on as it began: its history has what that revision did.
func TestRecoverAtRevision1(t *testing.T) {
	t.Parallel()

	ended := endedVoyage{plan: voyage.AtRevision(1), done: []string{"BookHotel.rome", "BookFlight"}, gone: []string{"RentBoat"}}
	env := ended.env(t)
	require.NoError(t, env.Run(ended.recover))
	require.True(t, env.Ended())
	require.Equal(t, []string{"undo Pay", "undo BookCar", "undo BookFlight", "undo BookHotel.rome"}, undos(env))
}
