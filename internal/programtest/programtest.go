// Package programtest finds programs that tests need and that not every machine has.
package programtest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Path is where the program is. Without it the test is skipped, unless CI=true is set: then it fails, since nothing is skipped
// there.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "true" {
		tb.Skipf("skipped, because %s is not installed", name)
	}
	require.NoError(tb, err, "in CI nothing is skipped")
	return path
}
