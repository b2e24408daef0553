package compensation_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// parcel is what the last step of the sagas here is asked for. It checks what an operator gives.
type parcel struct {
	To string `json:"to"`
}

func (p parcel) Validate() error {
	if p.To == "" {
		return errors.New("to is missing")
	}
	return nil
}

func someSend(context.Context, compensation.Key, parcel) (parcel, error) { return parcel{}, nil }

// The steps of a saga that can be parked everywhere.
var (
	parkedBefore = onUnknown(compensatable("Hold"), compensation.ParkUnknown)
	sendParcel   = compensation.Step[parcel, parcel]{Name: "Send", Kind: compensation.Retriable, Do: someSend}
	parkable     = compensation.MustPlan("Parkable", compensatable("Book"), parkedBefore, pivot(), sendParcel)
)

func runParkable(ctx workflow.Context) (string, error) {
	return compensation.Run(ctx, parkable.WithDeadline(time.Hour), func(ctx workflow.Context) (string, error) {
		for _, st := range []step{compensatable("Book"), parkedBefore, pivot()} {
			if _, err := st.Run(ctx, st.Name); err != nil {
				return "", err
			}
		}
		sent, err := sendParcel.Run(ctx, parcel{To: "ada"})
		return sent.To, err
	})
}

// What is parked in each of these, and how.
var (
	undoParked = func(e *sagatest.Env) { e.Refuse("Pay"); e.RefuseUndo("Book") }
	sendParked = func(e *sagatest.Env) { e.Refuse("Send") }
	holdParked = func(e *sagatest.Env) { e.Fail("Hold", sagatest.Forever) }
	payUnknown = func(e *sagatest.Env) { e.LoseReply("Pay", sagatest.Forever); e.RefuseUndo("Pay") }
	nobody     = compensation.Act{Reason: "because"}
	grace      = compensation.Act{By: "grace", Reason: "because", Reference: "T-1"}
)

func with(change func(*compensation.Act)) compensation.Act {
	a := grace
	change(&a)
	return a
}

// An act that does not fit is rejected, and says why.
func TestActsThatDoNotFit(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults func(*sagatest.Env)
		update string
		act    compensation.Act
		why    string
		kind   string
	}{
		"nobody":                     {sendParked, compensation.UpdateRetry, nobody, "by is missing", compensation.ErrTypeActInvalid},
		"no reason":                  {sendParked, compensation.UpdateSkip, compensation.Act{By: "grace"}, "reason is missing", compensation.ErrTypeActInvalid},
		"no reference":               {sendParked, compensation.UpdateMarkDone, compensation.Act{By: "grace", Reason: "done"}, "reference is missing", compensation.ErrTypeActInvalid},
		"another step":               {sendParked, compensation.UpdateRetry, with(func(a *compensation.Act) { a.Step = "Book" }), "Book is not parked; parked is Send", compensation.ErrTypeActRefused},
		"another item":               {sendParked, compensation.UpdateRetry, with(func(a *compensation.Act) { a.Step, a.Item = "Send", "x" }), "Send.x is not parked", compensation.ErrTypeActRefused},
		"input of another shape":     {sendParked, compensation.UpdateRetryWithInput, with(func(a *compensation.Act) { a.Input = json.RawMessage(`{"too":"x"}`) }), `input: json: unknown field "too"`, compensation.ErrTypeActInvalid},
		"input with a name twice":    {sendParked, compensation.UpdateRetryWithInput, with(func(a *compensation.Act) { a.Input = json.RawMessage(`{"to":"x","to":"y"}`) }), `input: the name "to" stands twice`, compensation.ErrTypeActInvalid},
		"input of two meanings":      {sendParked, compensation.UpdateRetryWithInput, with(func(a *compensation.Act) { a.Input = json.RawMessage(`{"to":"x","To":"y"}`) }), `input: the names "to" and "To" mean one field`, compensation.ErrTypeActInvalid},
		"input that is not valid":    {sendParked, compensation.UpdateRetryWithInput, with(func(a *compensation.Act) { a.Input = json.RawMessage(`{}`) }), "input: to is missing", compensation.ErrTypeActInvalid},
		"input with something after": {sendParked, compensation.UpdateRetryWithInput, with(func(a *compensation.Act) { a.Input = json.RawMessage(`[{"to":"x"}]`) }), "input: ", compensation.ErrTypeActInvalid},
		"no input":                   {sendParked, compensation.UpdateRetryWithInput, grace, "input: ", compensation.ErrTypeActInvalid},
		"result of another shape":    {sendParked, compensation.UpdateMarkDone, with(func(a *compensation.Act) { a.Result = json.RawMessage(`7`) }), "result: ", compensation.ErrTypeActInvalid},
		"compensate after the pivot": {sendParked, compensation.UpdateCompensate, grace, "past its pivot", compensation.ErrTypeActRefused},
		"input of an undo":           {undoParked, compensation.UpdateRetryWithInput, grace, "the undo of Book is not a retriable step", compensation.ErrTypeActRefused},
		"result with a name twice":   {sendParked, compensation.UpdateMarkDone, with(func(a *compensation.Act) { a.Result = json.RawMessage(`{"to":"x","to":"y"}`) }), `result: the name "to" stands twice`, compensation.ErrTypeActInvalid},
		"result of an undo":          {undoParked, compensation.UpdateMarkDone, with(func(a *compensation.Act) { a.Result = json.RawMessage(`"x"`) }), "an undo has none", compensation.ErrTypeActInvalid},
		"compensate on the way back": {undoParked, compensation.UpdateCompensate, grace, "on its way back", compensation.ErrTypeActRefused},
		"deadline on the way back":   {undoParked, compensation.UpdateExtendDeadline, with(func(a *compensation.Act) { a.Deadline = time.Now().Add(time.Hour) }), "turned back already", compensation.ErrTypeActRefused},
		"skip before the pivot":      {holdParked, compensation.UpdateSkip, grace, "compensate, or mark it done", compensation.ErrTypeActRefused},
		"input before the pivot":     {holdParked, compensation.UpdateRetryWithInput, grace, "Hold is not a retriable step", compensation.ErrTypeActRefused},
		"done, of a pivot":           {payUnknown, compensation.UpdateMarkDone, grace, "nobody knows whether Pay happened", compensation.ErrTypeActRefused},
		"skip a pivot":               {payUnknown, compensation.UpdateSkip, grace, "ask its service, then say mark-happened or mark-prevented", compensation.ErrTypeActRefused},
		"no reference of a pivot":    {payUnknown, compensation.UpdateMarkHappened, compensation.Act{By: "grace", Reason: "seen"}, "reference is missing", compensation.ErrTypeActInvalid},
		"result of no pivot":         {payUnknown, compensation.UpdateMarkPrevented, with(func(a *compensation.Act) { a.Result = json.RawMessage(`"x"`) }), "what did not happen has none", compensation.ErrTypeActInvalid},
		"no result of the pivot":     {payUnknown, compensation.UpdateMarkHappened, with(func(a *compensation.Act) { a.Result = json.RawMessage(`7`) }), "result: ", compensation.ErrTypeActInvalid},
		"happened, of a step":        {sendParked, compensation.UpdateMarkHappened, grace, "Send is not what a pivot's undo could not find out: mark it done", compensation.ErrTypeActRefused},
		"prevented, of an undo":      {undoParked, compensation.UpdateMarkPrevented, grace, "the undo of Book is not what a pivot's undo", compensation.ErrTypeActRefused},
		"deadline beyond Temporal's": {holdParked, compensation.UpdateExtendDeadline, with(func(a *compensation.Act) { a.Deadline = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }), "is too far away: the latest that Temporal keeps is 21", compensation.ErrTypeActInvalid},
		"deadline that has passed":   {holdParked, compensation.UpdateExtendDeadline, with(func(a *compensation.Act) { a.Deadline = time.Unix(0, 0) }), "not in the future", compensation.ErrTypeActInvalid},
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
			_ = env.Run(runParkable) // it stays parked, or turns back at its deadline
			require.NotNil(t, reply, "nothing is parked")
			require.ErrorContains(t, reply.Rejected, tt.why)
			requireType(t, reply.Rejected, tt.kind)
		})
	}
}

func TestActs(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults  func(*sagatest.Env)
		update  string
		act     compensation.Act
		state   compensation.State
		effects []string
	}{
		"skip an undo": {undoParked, compensation.UpdateSkip, grace, compensation.CompensatedWithExceptions, []string{"Book"}},
		"mark an undo done": {
			undoParked, compensation.UpdateMarkDone, grace, compensation.Compensated, []string{"Book"}, // nobody told the fake
		},
		"retry an undo": {
			func(e *sagatest.Env) { undoParked(e); e.WhenParked(func([]compensation.ParkedStep) { e.Mend("Book") }) },
			compensation.UpdateRetry, grace, compensation.Compensated, nil,
		},
		"skip a step":                   {sendParked, compensation.UpdateSkip, grace, compensation.Completed, []string{"Book", "Hold", "Pay"}},
		"mark a step done":              {sendParked, compensation.UpdateMarkDone, grace, compensation.Completed, []string{"Book", "Hold", "Pay"}},
		"the pivot happened":            {payUnknown, compensation.UpdateMarkHappened, grace, compensation.Completed, []string{"Book", "Hold", "Pay", "Send"}},
		"the pivot was prevented":       {payUnknown, compensation.UpdateMarkPrevented, grace, compensation.Compensated, []string{"Pay"}}, // the fake does not know of it
		"compensate":                    {holdParked, compensation.UpdateCompensate, grace, compensation.Compensated, nil},
		"mark a step before pivot done": {holdParked, compensation.UpdateMarkDone, grace, compensation.Completed, []string{"Book", "Pay", "Send"}},
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
			_ = env.Run(runParkable) // the state says how it ends
			require.NotNil(t, reply, "nothing is parked")
			require.NoError(t, reply.Rejected)
			require.NoError(t, reply.Err)
			env.RequireState(tt.state)
			require.Empty(t, env.Parked())
			require.ElementsMatch(t, tt.effects, env.Effects())
		})
	}
}

func TestActsChangeInputAndResult(t *testing.T) {
	t.Parallel()

	for update, act := range map[string]compensation.Act{
		compensation.UpdateRetryWithInput: with(func(a *compensation.Act) { a.Input = json.RawMessage(`{"to":"bob"}`) }),
		compensation.UpdateMarkDone:       with(func(a *compensation.Act) { a.Result = json.RawMessage(`{"to":"bob"}`) }),
	} {
		t.Run(update, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, parkable)
			sagatest.Answer(env, "Send", func(in parcel) parcel { return in })
			env.Refuse("Send")
			env.WhenParked(func([]compensation.ParkedStep) { env.Mend("Send"); env.Act(update, act) })
			require.NoError(t, env.Run(runParkable))
			var to string
			env.Result(&to)
			require.Equal(t, "bob", to)
		})
	}
}

// An extension to the deadline that the saga already has is no decision, and leaves no event.
func TestExtensionThatChangesNothing(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, parkable)
	sendParked(env)
	extend := func(at time.Time) *sagatest.Reply {
		return env.Act(compensation.UpdateExtendDeadline, with(func(a *compensation.Act) { a.Deadline = at }))
	}
	var first, same, other *sagatest.Reply
	env.WhenParked(func([]compensation.ParkedStep) {
		if first != nil {
			return
		}
		at := env.Environment().Now().Add(2 * time.Hour)
		first, same, other = extend(at), extend(at.In(time.FixedZone("", 3600))), extend(at.Add(time.Hour))
		env.Act(compensation.UpdateSkip, grace)
	})
	require.NoError(t, env.Run(runParkable))
	require.NoError(t, first.Rejected)
	require.NoError(t, other.Rejected)
	var state compensation.State
	require.NoError(t, requireType(t, same.Rejected, compensation.ErrTypeUnchanged).Details(&state))
	require.Equal(t, compensation.Parked, state)
}

// Of several acts decided on without knowledge of each other, one is taken.
func TestOneOfSeveralActs(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, parkable)
	env.Fail("Send", sagatest.Forever)
	var replies []*sagatest.Reply
	env.WhenParked(func([]compensation.ParkedStep) {
		if replies != nil {
			return
		}
		for i, seen := range []int{1, 0, 0, 0, 0, 1, 1, 3} {
			replies = append(replies, env.Act(compensation.UpdateExtendDeadline, with(func(a *compensation.Act) {
				a.Deadline, a.IfActs = env.Environment().Now().Add(time.Duration(i+1)*time.Hour), &seen
			})))
		}
		env.At(30*time.Minute, func() { env.Mend("Send") })
	})
	require.NoError(t, env.Run(runParkable))
	env.RequireState(compensation.Completed)
	for i, reply := range replies {
		if i == 1 || i == 5 {
			require.NoError(t, reply.Rejected)
			continue
		}
		requireType(t, reply.Rejected, compensation.ErrTypeActStale)
	}
	require.Len(t, replies, 8)
}

// What may still succeed is tried while it is parked.
func TestParkedSagaGoesOnByItself(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, parkable)
	env.Refuse("Pay")
	env.FailUndo("Book", sagatest.Forever)
	trying := false
	env.WhenParked(func(parked []compensation.ParkedStep) {
		trying = parked[0].Trying
		env.Mend("Book")
	})
	require.Error(t, env.Run(runParkable))
	require.True(t, trying)
	env.RequireState(compensation.Compensated)
	require.Empty(t, env.Effects())
	require.Equal(t, []compensation.State{
		compensation.Compensating, compensation.Parked, compensation.Compensating, compensation.Compensated,
	}, env.States())
}

// A deadline that passes after the pivot parks the saga, and what it does goes on.
func TestDeadlineAfterThePivot(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, parkable)
	env.Fail("Send", sagatest.Forever)
	extended := false
	env.WhenParked(func(parked []compensation.ParkedStep) {
		if extended {
			return
		}
		extended = true
		require.True(t, parked[0].Trying)
		require.NoError(t, env.Act(compensation.UpdateExtendDeadline, with(func(a *compensation.Act) {
			a.Deadline = env.Environment().Now().Add(time.Hour)
		})).Rejected)
		env.At(30*time.Minute, func() {
			require.Empty(t, env.Parked(), "extending the deadline unparks")
			env.Mend("Send")
		})
	})
	require.NoError(t, env.Run(runParkable))
	require.True(t, extended)
	env.RequireState(compensation.Completed)
}

func TestDeadlineBeforeThePivot(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, parkable)
	holdParked(env)
	err := env.Run(runParkable)
	requireType(t, err, compensation.ErrTypeDeadline)
	env.RequireState(compensation.Compensated)
	require.Empty(t, env.Effects())
}

// A saga that ends in its first workflow task leaves no trace of its deadline.
func TestDeadlineOfAQuickSaga(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, parkable, sagatest.Configure(func(e *testsuite.TestWorkflowEnvironment) {
		e.SetOnTimerScheduledListener(func(string, time.Duration) { t.Error("a timer was started") })
	}))
	require.NoError(t, env.Run(runParkable))
	env.RequireState(compensation.Completed)
}
