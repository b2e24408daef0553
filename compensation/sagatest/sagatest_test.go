package sagatest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// The participants of the saga here. Its steps share them, as they may. Fakes stand in for them.
func do(context.Context, compensation.Key, string) (string, error) { panic("it is faked") }
func undo(context.Context, compensation.Key) error                 { panic("it is faked") }

type step = compensation.Step[string, string]

var (
	flight = step{Name: "BookFlight", Do: do, Undo: undo}
	hotel  = step{Name: "BookHotel", Do: do, Undo: undo}
	car    = step{Name: "BookCar", Do: do, Undo: undo, Durable: true}
	pay    = step{Name: "Pay", Kind: compensation.Pivot, Do: do, Undo: undo}
	ticket = step{Name: "SendTicket", Kind: compensation.Retriable, Do: do}
	trip   = compensation.MustPlan("Trip", compensation.Parallel(flight, hotel), car, pay, ticket)
)

// Trip is the saga. It books for as long as it is not refused.
func Trip(ctx workflow.Context) (string, error) {
	return compensation.Run(ctx, trip, func(ctx workflow.Context) (string, error) {
		bookedFlight, bookedHotel := flight.Start(ctx, "AM 42"), hotel.Start(ctx, "Ritz")
		seat, err := bookedFlight.Get(ctx)
		if err != nil {
			return "", err
		}
		if _, err := bookedHotel.Get(ctx); err != nil {
			return "", err
		}
		for _, st := range []step{car, pay, ticket} {
			if _, err := st.Run(ctx, st.Name); err != nil {
				return "", err
			}
		}
		return seat, nil
	})
}

var forward = []string{"BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket"}

func TestForward(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip, sagatest.ID("trip-7"))
	sagatest.Answer(env, "BookFlight", func(flight string) string { return "12A on " + flight })
	require.NoError(t, env.Run(Trip))
	env.RequireCalls(forward...)
	env.RequireEffects(forward...)
	env.RequireState(compensation.Completed)
	env.RequireSound(forward)
	var seat string
	env.Result(&seat)
	require.Equal(t, "12A on AM 42", seat)

	log := env.Log()
	require.Equal(t, sagatest.Call{
		Key: compensation.Key{Saga: "trip-7", Step: "BookFlight"}, Part: compensation.PartDo, Express: true, Worker: 1,
		Outcome: sagatest.Done, Effect: true,
	}, log[0])
	require.False(t, log[2].Express)
}

func TestFaultsFollowEachOther(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Fail("BookHotel", 1)
	env.LoseReply("BookHotel", 1)
	env.Refuse("BookHotel") // but by then it is done
	require.NoError(t, env.Run(Trip))
	require.Equal(t, []string{"BookHotel", "BookHotel", "BookHotel"}, slices.DeleteFunc(env.Calls(), func(c string) bool { return c != "BookHotel" }))
	env.RequireEffects(forward...)
}

func TestLateDoIsFenced(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.LateDo("BookHotel")
	env.Refuse("BookHotel")
	require.Error(t, env.Run(Trip))
	require.Contains(t, env.Calls(), "undo BookHotel")
	env.RequireEffects()
}

func TestSagaThatComesNoFurtherIsLeft(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults  func(*sagatest.Env)
		state   compensation.State
		parked  int
		effects []string
	}{
		"refused after the pivot":    {func(e *sagatest.Env) { e.Refuse("SendTicket") }, compensation.Parked, 1, forward[:4]},
		"unanswered after the pivot": {func(e *sagatest.Env) { e.Fail("SendTicket", sagatest.Forever) }, compensation.Running, 0, forward[:4]},
		"undo refused":               {func(e *sagatest.Env) { e.Refuse("Pay"); e.RefuseUndo("BookHotel") }, compensation.Parked, 1, forward[1:2]},
		"undo unanswered":            {func(e *sagatest.Env) { e.Refuse("Pay"); e.FailUndo("BookCar", sagatest.Forever) }, compensation.Parked, 1, forward[2:3]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, trip)
			tt.faults(env)
			require.NoError(t, env.Run(Trip))
			require.False(t, env.Ended())
			env.RequireState(tt.state)
			require.Len(t, env.Parked(), tt.parked)
			env.RequireEffects(tt.effects...)
			env.RequireSound(forward)
		})
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Refuse("SendTicket")
	var unsigned, skipped *sagatest.Reply
	env.WhenParked(func(parked []compensation.ParkedStep) {
		require.Equal(t, "SendTicket", parked[0].Step)
		unsigned = env.Act(compensation.UpdateSkip, compensation.Act{})
		skipped = env.Act(compensation.UpdateSkip, compensation.Act{By: "ada", Reason: "the printer is broken"})
	})
	require.NoError(t, env.Run(Trip))
	env.RequireState(compensation.Completed)
	env.RequireEffects(forward[:4]...)
	require.ErrorContains(t, unsigned.Rejected, "by is missing")
	require.True(t, skipped.Accepted)
	require.Equal(t, compensation.Completed, skipped.Result)
}

func TestMend(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Fail("SendTicket", sagatest.Forever)
	env.At(24*time.Hour, func() { env.Mend("SendTicket") })
	require.NoError(t, env.Run(Trip))
	env.RequireState(compensation.Completed)
}

func TestCancel(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	reply := env.CancelAt("BookHotel")
	err := env.Run(Trip)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.True(t, reply.Accepted)
	// The saga hears of it at the end of the workflow task in which both are booked.
	env.RequireCalls("BookFlight", "BookHotel", "BookCar", "undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight")

	env = sagatest.New(t, trip)
	env.HeartbeatAt("BookHotel")
	reply = env.CancelAt("BookHotel")
	err = env.Run(Trip)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.True(t, reply.Accepted)
	env.RequireCalls("BookFlight", "BookHotel", "undo Pay", "undo BookHotel", "undo BookFlight")

	env = sagatest.New(t, trip)
	env.Fail("SendTicket", 20)
	reply = env.CancelAfter(time.Minute)
	require.NoError(t, env.Run(Trip))
	require.ErrorContains(t, reply.Rejected, "too late")
}

func TestLostWorker(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults func(*sagatest.Env)
		want   []string
	}{
		"in the first task, of which nothing is recorded": {
			func(e *sagatest.Env) { e.CrashAt("BookHotel", nil) },
			[]string{"BookFlight", "BookHotel", "BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket"},
		},
		"in a later task": {
			func(e *sagatest.Env) { e.CrashAt("Pay", nil) },
			[]string{"BookFlight", "BookHotel", "BookCar", "Pay", "Pay", "SendTicket"},
		},
		"while an ordinary activity runs": {
			func(e *sagatest.Env) { e.CrashAt("BookCar", nil) },
			[]string{"BookFlight", "BookHotel", "BookCar", "BookCar", "Pay", "SendTicket"},
		},
		"the next one finds another world": {
			func(e *sagatest.Env) { e.CrashAt("BookHotel", func() { e.Refuse("BookCar") }) },
			[]string{"BookFlight", "BookHotel", "BookFlight", "BookHotel", "BookCar", "undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight"},
		},
		"the next one finds a cancel": {
			func(e *sagatest.Env) { e.CrashAt("BookHotel", func() { e.CancelBetween() }) },
			[]string{"BookFlight", "BookHotel", "undo Pay", "undo BookHotel", "undo BookFlight"},
		},
		"the first one goes on as far as it can": {
			func(e *sagatest.Env) { e.SlowAt("BookFlight", nil, nil) },
			[]string{"BookFlight", "BookHotel", "BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket"},
		},
		"the first one goes on when all is over": {
			func(e *sagatest.Env) { e.SlowAt("BookFlight", []int{0}, nil) },
			[]string{"BookFlight", "BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket", "BookHotel"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, trip)
			tt.faults(env)
			_ = env.Run(Trip) // how it ends is for the next lines
			env.RequireCalls(tt.want...)
			env.RequireSound(forward)
		})
	}
}

// A saga that knows that nothing was lost undoes only what it did: the fakes' history has the length of a first task's.
func TestSagaIsCertainInItsFirstTask(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Refuse("BookFlight")
	require.Error(t, env.Run(Trip))
	env.RequireCalls("BookFlight", "BookHotel", "undo Pay", "undo BookHotel")

	env = sagatest.New(t, trip)
	env.CrashAt("BookHotel", nil)
	env.Refuse("BookFlight")
	require.Error(t, env.Run(Trip))
	env.RequireCalls("BookFlight", "BookHotel", "BookFlight", "BookHotel", "undo Pay", "undo BookHotel", "undo BookFlight")
}

func TestMatrix(t *testing.T) {
	t.Parallel()

	sagatest.Matrix(t, func(t sagatest.TB) *sagatest.Env { return sagatest.New(t, trip) },
		func(env *sagatest.Env) error { return env.Run(Trip) })
}
