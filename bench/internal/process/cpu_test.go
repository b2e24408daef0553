package process

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	t.Parallel()

	s, err := parseStat([]byte("42 (a (b) c) S 7 42 42 0 -1 4194560 100 200 3 4 10 20 300 4000 20 0 9 0 12345 1000 200 18446744073709551615\n"))

	require.NoError(t, err)
	require.Equal(t, stat{pid: 42, parent: 7, used: 4330 * tick}, s)

	for _, line := range []string{"", "42", "42 (name) S 7", "x (name) S 7 0 0 0 0 0 0 0 0 0 1 2 3 4", "42 (name) S 7 0 0 0 0 0 0 0 0 0 1 2 3 x"} {
		_, err := parseStat([]byte(line))
		require.Error(t, err, line)
	}
}

func TestTreeIsAllGenerations(t *testing.T) {
	t.Parallel()

	all := stats{{1, 0, time.Second}, {2, 1, 2 * time.Second}, {3, 2, 4 * time.Second}, {4, 1, 8 * time.Second}, {5, 9, 16 * time.Second}}

	require.Equal(t, 6*time.Second, all.tree(2))
	require.Equal(t, 15*time.Second, all.tree(1))
	require.Zero(t, all.tree(7))
}

func TestReadStats(t *testing.T) {
	t.Parallel()

	if runtime.GOOS != "linux" {
		t.Skip("skipped, because processor times are read from /proc")
	}
	all, err := readStats()
	require.NoError(t, err)
	require.Contains(t, parents(all), os.Getpid())
}

func parents(all stats) map[int]int {
	m := make(map[int]int)
	for _, s := range all {
		m[s.pid] = s.parent
	}
	return m
}
