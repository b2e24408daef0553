package compensation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

func TestSagaRunsForward(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	require.NoError(t, r.execute(r.trip.book))
	require.Equal(t, keys("BookFlight", "BookHotel", "BookCar", "Pay", "SendTicket", "SendMail"), r.ran())
	require.Empty(t, r.states, "a saga in which all goes well writes nothing")
}

func TestSagaTurnsBack(t *testing.T) {
	t.Parallel()

	down := slices.Repeat([]error{errDown}, 1000)
	for name, tt := range map[string]struct {
		script      map[string][]error
		want        []string
		failureType string
		cause       string
	}{
		"first step refused": {
			script:      map[string][]error{key("BookFlight"): {errRefused}},
			want:        keys("BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookFlight refused: no seats left",
		},
		"third step refused": {
			script:      map[string][]error{key("BookCar"): {errRefused}},
			want:        keys("BookFlight", "BookHotel", "BookCar", "undo Pay", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookCar refused: no seats left",
		},
		"refused after a try that may still arrive": {
			script:      map[string][]error{key("BookHotel"): {errDown, errRefused}},
			want:        keys("BookFlight", "BookHotel", "BookHotel", "undo Pay", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookHotel refused: no seats left",
		},
		"pivot refused": {
			script:      map[string][]error{key("Pay"): {errRefused}},
			want:        keys("BookFlight", "BookHotel", "BookCar", "Pay", "undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "Pay refused: no seats left",
		},
		"undo needs retries": {
			script: map[string][]error{key("BookCar"): {errRefused}, key("undo BookHotel"): {errDown, errDown}},
			want: keys("BookFlight", "BookHotel", "BookCar", "undo Pay",
				"undo BookHotel", "undo BookHotel", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "BookCar refused: no seats left",
		},
		"unknown pivot that never happens": {
			script: map[string][]error{key("Pay"): down},
			want: slices.Concat(keys("BookFlight", "BookHotel", "BookCar"), tries("Pay", expressTries+payTries),
				keys("undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight")),
			failureType: compensation.ErrTypeUnknown,
			cause:       "Pay gave up, outcome unknown: connection reset",
		},
		"pivot refused after a try that may still arrive": {
			script: map[string][]error{key("Pay"): {errDown, errRefused}},
			want: keys("BookFlight", "BookHotel", "BookCar", "Pay", "Pay",
				"undo Pay", "undo BookCar", "undo BookHotel", "undo BookFlight"),
			failureType: compensation.ErrTypeRefused,
			cause:       "Pay refused: no seats left",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newRun(t, tt.script)
			err := r.execute(r.trip.book)
			require.Equal(t, tt.want, r.ran())
			require.Equal(t, []string{"compensated"}, r.states)
			require.Equal(t, strings.Fields(tt.cause)[:1], r.steps)
			require.Equal(t, tt.cause, r.cause)

			require.Equal(t, tt.cause, requireType(t, err, tt.failureType).Message())
			if tt.failureType == compensation.ErrTypeRefused {
				require.Equal(t, "no_seats", compensation.RefusalCode(err))
			} else {
				require.Empty(t, compensation.RefusalCode(err))
			}
		})
	}
}

func TestUnknownOutcomeIsUndone(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel"): slices.Repeat([]error{errDown}, 1000)})
	err := r.execute(r.trip.book)
	require.ErrorContains(t, err, "BookHotel gave up, outcome unknown")
	// The test suite gives up after ten durable tries; a server after the step's limit (see options_test.go).
	require.Equal(t, slices.Concat(keys("BookFlight"), tries("BookHotel", expressTries+10), keys("undo Pay", "undo BookHotel", "undo BookFlight")), r.ran())
}

func TestPivotThatHappenedGoesForward(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{
		key("Pay"):      slices.Repeat([]error{errDown}, expressTries+payTries),
		key("undo Pay"): {errIrreversible},
	})
	require.NoError(t, r.execute(r.trip.book))
	require.Equal(t, slices.Concat(keys("BookFlight", "BookHotel", "BookCar"), tries("Pay", expressTries+payTries),
		keys("undo Pay", "Pay", "SendTicket", "SendMail")), r.ran())
	require.Empty(t, r.states)
}

// While its undo decides about a pivot, the pivot is in flight: nothing is undone, whatever the body returns.
func TestBodyDoesNotOvertakeThePivot(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{
		key("Pay"):      slices.Repeat([]error{errDown}, expressTries+payTries),
		key("undo Pay"): {errDown, errIrreversible},
	})
	err := r.execute(func(ctx workflow.Context) (string, error) {
		if _, err := r.trip.flight.Run(ctx, ""); err != nil {
			return "", err
		}
		r.trip.pay.Start(ctx, "")
		return "", errDown
	})
	require.ErrorContains(t, err, "the body of Trip failed after its pivot Pay")
	require.Equal(t, slices.Concat(keys("BookFlight"), tries("Pay", expressTries+payTries), tries("undo Pay", 2), keys("Pay")), r.ran())
	require.Empty(t, r.states)
}

func TestParallelStepsAreUndoneInReverseOrderOfStart(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookFlight"): {errRefused}})
	err := r.execute(func(ctx workflow.Context) (string, error) {
		flight, hotel, car := r.trip.flight.Start(ctx, ""), r.trip.hotel.Start(ctx, ""), r.trip.car.Start(ctx, "")
		for _, f := range []*compensation.Future[string]{car, hotel, flight} {
			if _, err := f.Get(ctx); err != nil {
				return "", err
			}
		}
		return "", nil
	})
	require.ErrorContains(t, err, "BookFlight refused")
	ran := r.ran()
	require.ElementsMatch(t, keys("BookFlight", "BookHotel", "BookCar"), ran[:3])
	require.Equal(t, keys("undo Pay", "undo BookCar", "undo BookHotel"), ran[3:])
}

func TestTurningBackStopsWhatIsInFlight(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{
		key("BookFlight"): {errRefused},
		key("BookHotel"):  slices.Repeat([]error{errDown}, 1000),
	})
	began := r.Now()
	err := r.execute(func(ctx workflow.Context) (string, error) {
		r.trip.hotel.Start(ctx, "")
		return r.trip.flight.Run(ctx, "")
	})
	requireType(t, err, compensation.ErrTypeRefused)
	require.Less(t, r.Now().Sub(began), 10*time.Second, "the hotel is not tried until its limit")
	require.Equal(t, key("undo BookHotel"), r.ran()[len(r.ran())-1])
}

func TestItemsHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel.b"): {errRefused}})
	r.trip.hotel.Repeats = true
	r.trip.plan = compensation.MustPlan("Trip", r.trip.flight, r.trip.hotel, r.trip.pay)
	err := r.execute(func(ctx workflow.Context) (string, error) {
		for _, item := range []string{"a", "b"} {
			if _, err := r.trip.hotel.For(item).Run(ctx, ""); err != nil {
				return "", err
			}
		}
		return "", nil
	})
	require.ErrorContains(t, err, "BookHotel.b refused")
	require.Equal(t, keys("BookHotel.a", "BookHotel.b", "undo Pay", "undo BookHotel.b", "undo BookHotel.a"), r.ran())
}

func TestBodyErrorTurnsBack(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	err := r.execute(func(ctx workflow.Context) (string, error) {
		if _, err := r.trip.flight.Run(ctx, ""); err != nil {
			return "", err
		}
		return "", temporal.NewNonRetryableApplicationError("the dog is ill", "DogIll", nil)
	})
	requireType(t, err, "DogIll")
	require.Equal(t, "the dog is ill", r.cause)
	require.Equal(t, keys("BookFlight", "undo Pay", "undo BookFlight"), r.ran())
}

func TestOutcomeNobodyAskedForTurnsBack(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel"): {errRefused}})
	err := r.execute(func(ctx workflow.Context) (string, error) {
		r.trip.flight.Start(ctx, "")
		r.trip.hotel.Start(ctx, "")
		return "booked", nil
	})
	require.ErrorContains(t, err, "BookHotel refused")
	require.Equal(t, keys("undo Pay", "undo BookFlight"), r.ran()[2:])
}

func TestUnknownStepThatBodyIgnoresIsUndone(t *testing.T) {
	t.Parallel()

	r := newRun(t, map[string][]error{key("BookHotel"): slices.Repeat([]error{errDown}, 1000)})
	require.NoError(t, r.execute(func(ctx workflow.Context) (string, error) {
		if _, err := r.trip.flight.Run(ctx, ""); err != nil {
			return "", err
		}
		_, err := r.trip.hotel.Run(ctx, "")
		require.Error(t, err)
		return "booked without a hotel", nil
	}))
	ran := r.ran()
	require.Equal(t, key("undo BookHotel"), ran[len(ran)-1])
	require.NotContains(t, ran, key("undo BookFlight"))
}

// Lists show the step at which a saga waits, and when it waits no more, the one that turned it back.
func TestStepThatWaits(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		script map[string][]error
		states []string
		steps  []string
		last   string
	}{
		"an undo": {
			script: map[string][]error{key("BookCar"): {errRefused}, key("undo BookHotel"): {errIrreversible}},
			states: []string{"parked", "compensating", "compensated_with_exceptions"},
			steps:  []string{"BookHotel", "BookCar", "BookCar"},
			last:   "BookCar",
		},
		"a step after the pivot": {
			script: map[string][]error{key("SendMail"): {errRefused}},
			states: []string{"parked", "running"},
			steps:  []string{"SendMail", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newRun(t, tt.script)
			r.RegisterDelayedCallback(func() {
				r.UpdateWorkflow(compensation.UpdateSkip, "", &answerTo{}, compensation.Act{By: "grace", Reason: "because"})
			}, time.Hour)
			err := r.execute(r.trip.book)
			require.Equal(t, tt.last != "", err != nil)
			require.Equal(t, tt.states, r.states)
			require.Equal(t, tt.steps, r.steps)
			require.Equal(t, tt.last, r.lastStep)
		})
	}
}
