package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
)

// What the command prints is what `go test -bench` does.
func TestMeasureREST(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	const line = "BenchmarkREST-2   1   0 ns/op   31.71 rest-cpu-ms/order   1.241 rest/sdk   26.94 sdk-cpu-ms/order\n"
	var progress strings.Builder
	goal, err := measureREST(t.Context(), []string{"echo", line}, &progress)
	require.NoError(t, err)
	require.Equal(t, "Processor time of an order over REST to one straight from the SDK: 1.24 (at most 1.25): reached", goal.String())
	require.Contains(t, progress.String(), line)

	goal, err = measureREST(t.Context(), []string{"echo", "1.26 rest/sdk"}, &progress)
	require.NoError(t, err)
	require.False(t, goal.Reached())

	for _, command := range []string{"echo PASS", "echo rest/sdk", "echo a rest/sdk", "false", "echo 1 rest/sdk; exit 1"} {
		_, err := measureREST(t.Context(), []string{"sh", "-c", command}, &progress)
		require.ErrorContains(t, err, "orders over REST: ", command)
	}
}

// The goal stands beside the others.
func TestPublishREST(t *testing.T) {
	t.Parallel()

	goal, err := measureREST(t.Context(), []string{"echo", "1.2 rest/sdk"}, &strings.Builder{})
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, publish(plan{}, environment{}, nil, &out, goal))
	require.Contains(t, out.String(), "\n- Processor time of an order over REST")
}
