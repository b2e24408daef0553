// Package e2e tests Amends as its users run it: the built binaries as processes, a real Temporal server, real databases
// and HTTP.
package e2e_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.temporal.io/sdk/log"
)

// record makes TestEndings, TestUncertain, TestBatches and the tests of recoveries write the histories that the replay
// tests read (make histories).
var record = flag.Bool("record", false, "record the histories in workflows/testdata again")

// firstTier are the tests whose processes `make test` starts: every ending of a saga and orders over REST with each
// process by itself, API and worker in one process, and a killed worker. The others need `make test-all`.
var firstTier = []string{"TestEndings", "TestOrders", "TestServe", "TestWorkerKilled"}

// quiet is a logger for clients of Temporal.
var quiet = log.NewStructuredLogger(slog.New(slog.DiscardHandler))

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "amends-e2e-")
	if err == nil {
		err = buildBinaries(dir)
	}
	if err == nil && *record {
		err = forgetHistories()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare the tests:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}
