package deployment

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
)

// Every saga of every page is moved once. One that has ended meanwhile is none that stayed.
func TestMove(t *testing.T) {
	t.Parallel()

	f := afterThree()
	f.running = []string{"a", "b", "c", "d", "e"}
	f.refuses = map[string]error{
		"b": serviceerror.NewNotFound("workflow execution already completed"), "d": serviceerror.NewFailedPrecondition("it will not"),
	}
	m, err := f.deployment().NewMove(t.Context(), Selection{From: "v2"}, "v3", 0)
	require.NoError(t, err)
	n, err := m.Count(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 7, n)
	require.Empty(t, f.rerouted, "to count is not to move")

	moved, err := m.Run(t.Context(), "ada")
	require.NoError(t, err)
	require.Equal(t, Moved{To: "v3", Moved: 3, Ended: 1, Stayed: []Stayed{{ID: "d", Error: "it will not"}}}, moved)
	require.ElementsMatch(t, []string{"a to amends:v3 by ada", "c to amends:v3 by ada", "e to amends:v3 by ada"}, f.rerouted)
	done, found := m.Progress()
	require.EqualValues(t, 3, done)
	require.EqualValues(t, 4, found, "with the one that stayed")
}

// What Temporal is too busy for is tried again, as long as others get through.
func TestMoveAgain(t *testing.T) {
	t.Parallel()

	f := afterThree()
	f.running = []string{"a", "b"}
	f.refuses = map[string]error{"b": serviceerror.NewUnavailable("busy")}
	f.afterList = func(lists int) {
		if lists == 2 {
			delete(f.refuses, "b")
			f.running = append(f.running, "late")
		}
	}
	m, err := f.deployment().NewMove(t.Context(), Selection{From: "v2"}, "v3", 0)
	require.NoError(t, err)
	moved, err := m.Run(t.Context(), "ada")
	require.NoError(t, err)
	require.Equal(t, Moved{To: "v3", Moved: 3, Stayed: []Stayed{}}, moved)
}

func TestMoveInterrupted(t *testing.T) {
	t.Parallel()

	f := afterThree()
	f.running = []string{"a", "b"}
	ctx, stop := context.WithCancel(t.Context())
	f.afterList = func(int) { stop() }
	m, err := f.deployment().NewMove(ctx, Selection{From: "v2"}, "v3", 0)
	require.NoError(t, err)
	moved, err := m.Run(ctx, "ada")
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, Moved{To: "v3", Stayed: []Stayed{}}, moved)
}

func TestMoveWhere(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		which Selection
		to    string
		// goes is where they go; bad is what is said if they go nowhere.
		goes, query, bad string
	}{
		"to the current version": {
			which: Selection{From: "v2"}, goes: "v3",
			query: "TemporalWorkerDeploymentVersion = 'amends:v2' AND TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'",
		},
		"a query": {
			which: Selection{Query: "A = 1 OR B = 2"}, to: "v2", goes: "v2",
			query: "TemporalWorkerDeployment = 'amends' AND TemporalWorkerDeploymentVersion != 'amends:v2' AND " +
				"TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running' AND (A = 1 OR B = 2)",
		},
		"both": {
			which: Selection{From: "v1", Query: "A = 1"}, to: "v2", goes: "v2",
			query: "TemporalWorkerDeploymentVersion = 'amends:v1' AND TemporalWorkflowVersioningBehavior = 'Pinned' AND " +
				"ExecutionStatus = 'Running' AND (A = 1)",
		},
		"nobody polls":      {which: Selection{From: "v2"}, to: "v4", bad: "version v4 of deployment amends: no worker of it polls"},
		"of none":           {which: Selection{From: "v9"}, to: "v3", bad: "deployment amends has no version v9"},
		"of the current":    {which: Selection{From: "v3"}, to: "v2", bad: "version v3 is current: it gets sagas that start"},
		"of one that ramps": {which: Selection{From: "v4"}, to: "v3", bad: "version v4 is ramping: it gets sagas that start"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			m, err := afterThree().deployment().NewMove(t.Context(), tt.which, tt.to, 0)
			if tt.bad != "" {
				require.ErrorContains(t, err, tt.bad)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.goes, m.To)
			require.Equal(t, tt.query, m.Query)
		})
	}
}

func TestMoveNowhere(t *testing.T) {
	t.Parallel()

	f := afterThree()
	f.routing = &routing{}
	_, err := f.deployment().NewMove(t.Context(), Selection{From: "v2"}, "", 0)
	require.ErrorIs(t, err, ErrNoCurrent)

	_, err = (&fake{}).deployment().NewMove(t.Context(), Selection{From: "v2"}, "", 0)
	require.ErrorContains(t, err, "no worker has polled for it yet")
}

// The version that sagas go to may be about to start.
func TestMoveWaits(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f := afterThree()
		_, err := f.deployment().NewMove(t.Context(), Selection{From: "v2"}, "v5", time.Second)
		require.ErrorIs(t, err, ErrNoWorker)
		time.AfterFunc(3*time.Second, func() { f.change(func() { f.seen["v5"] = time.Now() }) })
		_, err = f.deployment().NewMove(t.Context(), Selection{From: "v2"}, "v5", time.Minute)
		require.NoError(t, err)
	})
}

func TestQuote(t *testing.T) {
	t.Parallel()

	require.Equal(t, "'it''s'", quote("it's"))
}
