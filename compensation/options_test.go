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

	d := Step[string, string]{
		Name: "BookSeat", Do: bookSeat, Undo: releaseSeat,
		AttemptTimeout: time.Second, Limit: time.Minute, Retry: temporal.RetryPolicy{MaximumAttempts: 4},
	}.definition().withDefaults()
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

	undo := d.undoOptions(key)
	require.Equal(t, "BookSeat.12a/undo", undo.ActivityID)
	require.Equal(t, "UNDO release seat (12a)", undo.Summary)
	require.Zero(t, undo.ScheduleToCloseTimeout, "an undo has no limit")
	require.Zero(t, undo.RetryPolicy.MaximumAttempts)
}

func TestDefaults(t *testing.T) {
	t.Parallel()

	compensatable := Step[string, string]{Name: "A"}.definition().withDefaults()
	require.Equal(t, DefaultLimit, compensatable.limit)
	require.Equal(t, DefaultAttemptTimeout, compensatable.attemptTimeout)
	require.Zero(t, Step[string, string]{Name: "A", Kind: Retriable}.definition().withDefaults().limit)
}

func TestEscapeMarkdown(t *testing.T) {
	t.Parallel()

	require.Equal(t, `\| x \|  \[a\]\(b\) \<b\> \*\*`, EscapeMarkdown("| x |\n [a](b) <b> **"))
}
