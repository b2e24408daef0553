package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
)

// TestQuickMemory makes a whole, short run.
func TestQuickMemory(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	dir := postgresDir(t)
	var out, progress strings.Builder
	f := memoryFlags{Windows: 2, Window: time.Second, AtOnce: 2, Shards: 3, Workflows: 100, Dir: dir}
	require.NoError(t, measureMemory(t.Context(), f, &out, &lockedWriter{w: &progress}), progress.String())

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 4, "a head, and a row for each window")
	for _, line := range lines[2:] {
		require.NotContains(t, line, " 0 ", "sagas and heap are more than nothing")
	}
	require.Contains(t, progress.String(), "2/2")
}

func TestMemoryPlan(t *testing.T) {
	t.Parallel()

	p := memoryFlags{Windows: 3, Window: time.Minute, AtOnce: 50, Shards: 512}.plan()
	require.Equal(t, 3, p.Rounds)
	require.Equal(t, settings{shards: 512}, p.shared, "the server's own bounds")

	p = memoryFlags{Shards: 4, Workflows: 128_000, Events: 1_000}.plan()
	require.Equal(t, settings{
		shards:  4,
		dynamic: "history.hostLevelCacheMaxSize: [{value: 128000}]\nhistory.eventsHostLevelCacheMaxSizeBytes: [{value: 1000}]\n",
	}, p.shared)
}
