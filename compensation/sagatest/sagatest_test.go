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

// The participants of the sagas here. Several steps share them, as they may.
func do(context.Context, compensation.Key, string) (string, error) { panic("a fake stands in for it") }

func undo(context.Context, compensation.Key) error { panic("a fake stands in for it") }

type step = compensation.Step[string, string]

var (
	flight = step{Name: "BookFlight", Do: do, Undo: undo}
	hotel  = step{Name: "BookHotel", Do: do, Undo: undo}
	car    = step{Name: "BookCar", Do: do, Undo: undo, Durable: true}
	pay    = step{Name: "Pay", Kind: compensation.Pivot, Do: do, Undo: undo}
	ticket = step{Name: "SendTicket", Kind: compensation.Retriable, Do: do}
	trip   = compensation.MustPlan("Trip", compensation.Parallel(flight, hotel), car, pay, ticket)
)

// Trip runs the plan's steps in order.
func Trip(ctx workflow.Context) (string, error) {
	return compensation.Run(ctx, trip, func(ctx workflow.Context) (string, error) {
		f, h := flight.Start(ctx, "LH1"), hotel.Start(ctx, "Ritz")
		if _, err := f.Get(ctx); err != nil {
			return "", err
		}
		if _, err := h.Get(ctx); err != nil {
			return "", err
		}
		for _, st := range []step{car, pay, ticket} {
			if _, err := st.Run(ctx, st.Name); err != nil {
				return "", err
			}
		}
		return "booked", nil
	})
}

func TestForward(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	require.NoError(t, env.Run(Trip))
	env.RequireCalls("BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket")
	require.Equal(t, []string{"BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket"}, env.Effects())
	env.RequireState(compensation.Completed)
	var out string
	env.Result(&out)
	require.Equal(t, "booked", out)
}

func TestRefuse(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Refuse("BookCar")
	require.Error(t, env.Run(Trip))
	env.RequireCalls("BookFlight", "BookHotel", "BookCar", "undo Pay", "undo BookHotel", "undo BookFlight")
	require.Empty(t, env.Effects())
	env.RequireState(compensation.Compensated)
	require.Equal(t, "BookCar refused: not today", env.Cause())
}

func TestParkedSagaIsLeft(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Refuse("SendTicket")
	require.NoError(t, env.Run(Trip))
	env.RequireState(compensation.Parked)
	require.Len(t, env.Parked(), 1)
	env.RequireCalls("BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket")

	env = sagatest.New(t, trip)
	env.Fail("SendTicket", sagatest.Forever)
	require.NoError(t, env.Run(Trip))
	env.RequireState(compensation.Running)
	require.False(t, env.Ended())

	env = sagatest.New(t, trip)
	env.Refuse("Pay")
	env.FailUndo("BookHotel", sagatest.Forever)
	require.NoError(t, env.Run(Trip))
	env.RequireState(compensation.Parked)
	require.Equal(t, []string{"BookHotel"}, env.Effects())
}

func TestOperator(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Refuse("SendTicket")
	var reply *sagatest.Reply
	env.WhenParked(func(parked []compensation.ParkedStep) {
		reply = env.Act(compensation.UpdateSkip, compensation.Act{By: "ada", Reason: "no printer"})
	})
	require.NoError(t, env.Run(Trip))
	env.RequireState(compensation.Completed)
	require.True(t, reply.Accepted)
	require.Equal(t, compensation.Running, reply.Result)
}

func TestCancel(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	reply := env.CancelAt("BookHotel")
	err := env.Run(Trip)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.True(t, reply.Accepted)
	require.Empty(t, env.Effects())
	t.Log(env.Calls())
}

func TestCrash(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.CrashAt("BookHotel", func() { env.Refuse("BookCar") })
	require.Error(t, env.Run(Trip))
	require.Empty(t, env.Effects())
	t.Log(env.Calls())

	env = sagatest.New(t, trip)
	env.CrashAt("Pay", func() { env.Refuse("BookCar") })
	require.NoError(t, env.Run(Trip))
	t.Log(env.Calls())
	env = sagatest.New(t, trip.Durable())
	env.CrashAt("Pay", nil)
	require.NoError(t, env.Run(Trip))
	t.Log(env.Calls())
	env = sagatest.New(t, trip)
	env.SlowAt("BookFlight", []int{1}, func() { env.Refuse("Pay") })
	require.Error(t, env.Run(Trip))
	require.Empty(t, env.Effects())
	t.Log(env.Calls())
}

func TestRetries(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Fail("BookHotel", sagatest.Forever)
	began := time.Now()
	require.Error(t, env.Run(Trip))
	t.Log(time.Since(began), len(env.Calls()), slices.Compact(env.Calls()))
}
