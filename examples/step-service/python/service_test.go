// Package python holds a step service in Python. Only its test is Go.
package python_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/programtest"
)

// maxLines is what docs/step-contract.md promises of the example.
const maxLines = 60

func TestService(t *testing.T) {
	t.Parallel()

	source, err := os.ReadFile("service.py")
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(source), "\n"), maxLines)

	fencetest.Run(t, fencetest.Step{
		Name: "TakeSeats",
		URL:  start(t),
		Body: func(n int) any { return map[string]any{"show": "Hamlet", "count": n} },
	})
}

// start runs the service on a free port until t ends and returns the URL it prints.
func start(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(programtest.Path(t, "python3"), "service.py", "0", filepath.Join(t.TempDir(), "seats.db"))
	cmd.Stderr = t.Output() // a line for each request
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait()) // killed
	})
	lines := bufio.NewScanner(output)
	require.True(t, lines.Scan(), "the service ended before it was ready")
	url, ready := strings.CutPrefix(lines.Text(), "ready: ")
	require.True(t, ready, lines.Text())
	return url
}
