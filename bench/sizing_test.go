package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
)

// TestQuickSizing is a whole run that is over soon: each table with a row or two.
func TestQuickSizing(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	dir := postgresDir(t)
	doc := filepath.Join(t.TempDir(), "sizing.md")
	require.NoError(t, os.WriteFile(doc, []byte("# Sizing\n\n<!-- Written by make sizing: begin -->\n<!-- Written by make sizing: end -->\n"), 0o600))
	var out, progress strings.Builder
	f := sizingFlags{
		Rounds: 1, Shards: []int{3}, Workers: []int{1, 2}, AtOnce: 2, SlowFlush: time.Millisecond, SlowAtOnce: 3, ResultBytes: []int{1000}, Write: doc, Dir: dir,
	}
	require.NoError(t, measureSizing(t.Context(), f, &out, &lockedWriter{w: &progress}), progress.String())

	var rows [][]string
	for line := range strings.Lines(out.String()) {
		if fields := strings.Fields(strings.ReplaceAll(line, "|", " ")); strings.HasPrefix(line, "| ") {
			rows = append(rows, fields)
		}
	}
	require.Len(t, rows, 7, "three heads, and four rows")
	require.Equal(t, []string{"3", "1"}, rows[1][:2])
	require.Equal(t, []string{"3", "2"}, rows[2][:2])
	require.Equal(t, "3", rows[4][0])
	require.Equal(t, "1000", rows[6][0])
	require.Contains(t, progress.String(), "4/4")
	written, err := os.ReadFile(doc)
	require.NoError(t, err)
	require.Contains(t, string(written), out.String())
}

func TestSizingGroups(t *testing.T) {
	t.Parallel()

	groups := sizingFlags{
		Rounds: 3, Shards: []int{1, 512}, Workers: []int{1, 4, 2}, AtOnce: 50, SlowFlush: 5 * time.Millisecond, SlowAtOnce: 200, ResultBytes: []int{100},
	}.groups()

	require.Len(t, groups, 5)
	for i, n := range []int{1, 512, 1, 512} {
		require.Equal(t, n, groups[i].plan(sizingFlags{}).shared.shards)
	}
	require.Len(t, groups[0].rows, 3)
	require.Empty(t, groups[0].plan(sizingFlags{}).shared.postgres)
	require.Equal(t, []string{"commit_delay=5000", "commit_siblings=0"}, groups[2].plan(sizingFlags{}).shared.postgres)
	require.Equal(t, 200, groups[2].atOnce)
	require.Len(t, groups[2].rows, 1)
	require.Equal(t, settings{workers: 4, queued: true}, groups[2].rows[0].settings)
	require.Equal(t, settings{workers: 1, queued: true, resultBytes: 100}, groups[4].rows[0].settings)
}
