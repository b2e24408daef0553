package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDemoWithoutASystem(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder

	// Nothing listens at port 1, which is reserved.
	err := run(t.Context(), []string{"demo", "--api", "http://127.0.0.1:1"}, strings.NewReader(""), &stdout, &stderr)

	require.EqualError(t, err, `nothing answers at http://127.0.0.1:1: type "make run" in another terminal first, `+
		`or "make up", or name a running system with --api and --services`)
	require.Empty(t, stdout.String())
	require.Empty(t, stderr.String())
}
