// Package longtest keeps long tests out of the first tier of the tests, which `make test` runs. It does not know what
// makes them long.
package longtest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Skip skips the test in the first tier (-short). It fails if CI=true is set, since nothing is skipped there.
func Skip(tb testing.TB) {
	tb.Helper()
	if !testing.Short() {
		return
	}
	require.NotEqual(tb, "true", os.Getenv("CI"), "in CI nothing is skipped: run the tests without -short")
	tb.Skip("skipped, because it takes long; make test-all runs it")
}
