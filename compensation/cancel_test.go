package compensation_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// answerTo records what became of an update.
type answerTo struct {
	rejected error
	result   any
	err      error
}

func (a *answerTo) Accept()                        {}
func (a *answerTo) Reject(err error)               { a.rejected = err }
func (a *answerTo) Complete(result any, err error) { a.result, a.err = result, err }

// cancelBy sends the cancel update now.
func (r *run) cancelBy(by, reason string) *answerTo {
	a := &answerTo{}
	r.UpdateWorkflow(compensation.UpdateCancel, "", a, compensation.CancelRequest{By: by, Reason: reason})
	return a
}

// waits books flight and hotel, waits for a day, and books the rest.
func (t trip) waits(ctx workflow.Context) (string, error) {
	for _, st := range []compensation.Step[string, string]{t.flight, t.hotel} {
		if _, err := st.Run(ctx, ""); err != nil {
			return "", err
		}
	}
	if err := workflow.Sleep(ctx, 24*time.Hour); err != nil {
		return "", err
	}
	for _, st := range []compensation.Step[string, string]{t.car, t.pay, t.ticket} {
		if _, err := st.Run(ctx, ""); err != nil {
			return "", err
		}
	}
	return "booked", nil
}

func TestCancelTurnsBack(t *testing.T) {
	t.Parallel()

	undone := keys("BookFlight", "BookHotel", "undo Pay", "undo BookHotel", "undo BookFlight")
	for name, tt := range map[string]struct {
		cancel func(*run)
		cause  string
	}{
		"by update": {
			cancel: func(r *run) { r.cancelBy("ada", "wrong date") },
			cause:  "canceled by ada: wrong date",
		},
		"by update, twice": {
			cancel: func(r *run) { r.cancelBy("ada", "wrong date"); r.cancelBy("bob", "") },
			cause:  "canceled by ada: wrong date",
		},
		"through Temporal": {
			cancel: func(r *run) { r.CancelWorkflow() },
			cause:  "canceled by Temporal",
		},
		"through Temporal, then by update": {
			cancel: func(r *run) { r.CancelWorkflow(); r.cancelBy("ada", "") },
			cause:  "canceled by Temporal",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newRun(t, nil)
			r.RegisterDelayedCallback(func() { tt.cancel(r) }, time.Hour)
			began := r.Now()
			err := r.execute(r.trip.waits)
			require.True(t, temporal.IsCanceledError(err), "%v", err)
			require.Less(t, r.Now().Sub(began), 2*time.Hour, "the wait ends with the cancel")
			require.Equal(t, undone, r.ran())
			require.Equal(t, []string{"compensated"}, r.states)
			require.Equal(t, []string{""}, r.steps, "no step turned it back")
			require.Equal(t, tt.cause, r.cause)
		})
	}
}

func TestCancelBeforeTheFirstStep(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	r.RegisterDelayedCallback(func() { r.cancelBy("ada", "") }, 0)
	err := r.execute(func(ctx workflow.Context) (string, error) {
		if err := workflow.Sleep(ctx, time.Minute); err != nil {
			return "", err
		}
		return r.trip.book(ctx)
	})
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Empty(t, r.ran())
	require.Equal(t, []string{"compensated"}, r.states)
}

func TestCancelThatBodySwallowsTurnsBack(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	r.RegisterDelayedCallback(func() { r.cancelBy("ada", "") }, time.Hour)
	err := r.execute(func(ctx workflow.Context) (string, error) {
		_, err := r.trip.waits(ctx)
		require.Error(t, err)
		_, err = r.trip.car.Run(ctx, "")
		require.True(t, temporal.IsCanceledError(err), "no step starts any more")
		return "as if nothing had happened", nil
	})
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, keys("BookFlight", "BookHotel", "undo Pay", "undo BookHotel", "undo BookFlight"), r.ran())
}

func TestCancelWhileAStepIsTriedAgain(t *testing.T) {
	t.Parallel()

	for name, cancel := range map[string]func(*run){
		"by update":        func(r *run) { r.cancelBy("ada", "") },
		"through Temporal": func(r *run) { r.CancelWorkflow() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newRun(t, map[string][]error{key("BookHotel"): slices.Repeat([]error{errDown}, 1000)})
			r.RegisterDelayedCallback(func() { cancel(r) }, time.Minute)
			err := r.execute(func(ctx workflow.Context) (string, error) {
				r.trip.flight.Start(ctx, "")
				r.trip.hotel.Start(ctx, "")
				return "", workflow.Sleep(ctx, time.Hour)
			})
			require.True(t, temporal.IsCanceledError(err), "%v", err)
			ran := r.ran()
			require.Equal(t, keys("undo BookHotel", "undo BookFlight"), ran[len(ran)-2:], "a canceled step may have happened")
		})
	}
}

func TestCancelAfterARefusedPivot(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("Pay"): {errRefused}})
	r.RegisterDelayedCallback(func() { r.cancelBy("ada", "") }, time.Hour)
	err := r.execute(func(ctx workflow.Context) (string, error) {
		_, err := r.trip.pay.Run(ctx, "")
		require.ErrorContains(t, err, "Pay refused")
		return "", workflow.Sleep(ctx, 24*time.Hour) // for another card
	})
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, "canceled by ada", r.cause)
}

func TestCancelAfterThePivotIsTooLate(t *testing.T) {
	t.Parallel()

	// The ticket office is away when the cancels come.
	r := newRun(t, map[string][]error{key("SendTicket"): slices.Repeat([]error{errDown}, expressTries+9)})
	var answer *answerTo
	r.RegisterDelayedCallback(func() { answer = r.cancelBy("ada", ""); r.CancelWorkflow() }, time.Minute)
	require.NoError(t, r.execute(r.trip.book))
	require.Equal(t, key("SendMail"), r.ran()[len(r.ran())-1])
	require.Empty(t, r.states)

	require.Contains(t, requireType(t, answer.rejected, compensation.ErrTypeTooLate).Message(), "Pay")
}

func TestCancelAfterThePivotDoesNotReachTheBody(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	r.RegisterDelayedCallback(r.CancelWorkflow, time.Hour)
	require.NoError(t, r.execute(func(ctx workflow.Context) (string, error) {
		if _, err := r.trip.pay.Run(ctx, ""); err != nil {
			return "", err
		}
		return "paid", workflow.Sleep(ctx, 24*time.Hour)
	}))
}

// A workflow that cancels a step of its own accord was not canceled itself.
func TestStepCanceledByTheBody(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel"): slices.Repeat([]error{errDown}, 1000)})
	err := r.execute(func(ctx workflow.Context) (string, error) {
		hotelCtx, cancel := workflow.WithCancel(ctx)
		hotel := r.trip.hotel.Start(hotelCtx, "")
		if err := workflow.Sleep(ctx, time.Minute); err != nil {
			return "", err
		}
		cancel()
		return hotel.Get(ctx)
	})
	require.False(t, temporal.IsCanceledError(err), "%v", err)
	requireType(t, err, compensation.ErrTypeUnknown)
	require.Equal(t, key("undo BookHotel"), r.ran()[len(r.ran())-1])
}

// Nobody knows yet which way the saga goes; the pivot decides.
func TestCancelThroughTemporalWhileThePivotIsTriedAgain(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("Pay"): slices.Repeat([]error{errDown}, expressTries+1)})
	r.RegisterDelayedCallback(r.CancelWorkflow, 400*time.Millisecond)
	require.NoError(t, r.execute(r.trip.book))
	require.Equal(t, key("SendMail"), r.ran()[len(r.ran())-1])

	r = newRun(t, map[string][]error{key("Pay"): append(slices.Repeat([]error{errDown}, expressTries+1), errRefused)})
	r.RegisterDelayedCallback(r.CancelWorkflow, 400*time.Millisecond)
	err := r.execute(r.trip.book)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, slices.Concat(keys("BookFlight", "BookHotel", "BookCar"), tries("Pay", expressTries+2),
		keys("undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight")), r.ran())
}

func TestCancelWhileCompensatingChangesNothing(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{
		key("BookCar"):        {errRefused},
		key("undo BookHotel"): slices.Repeat([]error{errDown}, 5),
	})
	var answer *answerTo
	r.RegisterDelayedCallback(func() { answer = r.cancelBy("ada", ""); r.CancelWorkflow() }, time.Second)
	err := r.execute(r.trip.book)
	require.False(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, "BookCar refused: no seats left", r.cause)
	requireType(t, answer.rejected, compensation.ErrTypeTurnsBack)
	require.Equal(t, slices.Concat(keys("BookFlight", "BookHotel", "BookCar", "undo Pay"), tries("undo BookHotel", 6), keys("undo BookFlight")), r.ran())
}
