package compensation

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
)

func bookSeat(context.Context, Key, string) (string, error) { return "", nil }
func releaseSeat(context.Context, Key) error                { return nil }

func TestActivityOptions(t *testing.T) {
	t.Parallel()

	d := MustPlan("Trip", Step[string, string]{
		Name: "BookSeat", Do: bookSeat, Undo: releaseSeat,
		AttemptTimeout: time.Second, Limit: time.Minute, UndoLimit: time.Hour, Retry: temporal.RetryPolicy{MaximumAttempts: 4},
	}).steps[0]
	key := Key{Saga: "s", Step: "BookSeat", Item: "12a"}

	do := d.doOptions(key, false)
	require.Equal(t, "BookSeat.12a/do", do.ActivityID)
	require.Equal(t, "book seat (12a)", do.Summary)
	require.Equal(t, time.Second, do.StartToCloseTimeout)
	require.Equal(t, time.Minute, do.ScheduleToCloseTimeout)
	require.Equal(t, int32(4), do.RetryPolicy.MaximumAttempts)
	require.True(t, do.WaitForCancellation, "what is in flight has an outcome before anything is undone")

	insist := d.doOptions(key, true)
	require.Zero(t, insist.ScheduleToCloseTimeout)
	require.Zero(t, insist.RetryPolicy.MaximumAttempts)

	undo := d.undoOptions(key, false)
	require.Equal(t, "BookSeat.12a/undo", undo.ActivityID)
	require.Equal(t, "UNDO release seat (12a)", undo.Summary)
	require.Equal(t, time.Hour, undo.ScheduleToCloseTimeout)
	require.Zero(t, undo.RetryPolicy.MaximumAttempts)
	require.Zero(t, d.undoOptions(key, true).ScheduleToCloseTimeout, "a parked undo is still tried")
}

func TestDefaults(t *testing.T) {
	t.Parallel()

	compensatable := Step[string, string]{Name: "A"}.definitions()[0].withDefaults()
	require.Equal(t, DefaultLimit, compensatable.limit)
	require.Equal(t, DefaultUndoLimit, compensatable.undoLimit)
	require.Equal(t, DefaultAttemptTimeout, compensatable.attemptTimeout)
	require.Zero(t, Step[string, string]{Name: "A", Kind: Retriable}.definitions()[0].withDefaults().limit)
}
