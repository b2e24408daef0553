package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDemoWithoutASystem(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder

	// Nothing listens at port 1, which is reserved.
	err := run(t.Context(), []string{"demo", "--api", "http://127.0.0.1:1"}, &stdout, &stderr)

	require.EqualError(t, err, `nothing answers at http://127.0.0.1:1: type "make run" in another terminal first, `+
		`or name a running system with --api and --services`)
	require.Empty(t, stdout.String())
	require.Empty(t, stderr.String())
}

func TestTerminalWidthOfWhatIsNone(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	require.Nil(t, terminalWidth(file))
	require.NoError(t, file.Close())
	require.Nil(t, terminalWidth(&strings.Builder{}))
}
