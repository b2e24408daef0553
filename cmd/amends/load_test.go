package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoadCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]answer{
		"POST /v1/orders": {201, viewOf("42", "completed", links, ended), nil},
	})
	out, complaints, code := d.run("load", "--rate=50", "--duration=100ms", "--mix=good=1;card-declined=1")
	require.Zero(t, code, complaints)
	require.Contains(t, out, "5 orders asked for, ")
	require.Contains(t, out, "  5 completed\n")
	require.Contains(t, out, "1500.0 ms", "from start to end, as the API tells")

	for want, args := range map[string][]string{
		"there is no example nothing":         {"--mix=nothing=1"},
		"--mix: nothing is in it":             {"--mix=good=0"},
		"--mix good=-1: a share is 0 or more": {"--mix=good=-1"},
		"--rate: from 0.01 to 100000":         {"--rate=0"},
	} {
		_, complaints, code := d.run(append([]string{"load"}, args...)...)
		require.Equal(t, exitUsage, code, complaints)
		require.Contains(t, complaints, want)
	}
}
