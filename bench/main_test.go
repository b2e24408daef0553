package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/bench/internal/engine"
	"github.com/amends-dev/amends/bench/internal/process"
	"github.com/amends-dev/amends/bench/internal/report"
	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/pgserver"
)

// TestMain lets the test binary be the processes that the benchmark starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.RoleArg {
		main()
		return
	}
	os.Exit(m.Run())
}

// postgresDir is a folder for PostgreSQL's files. Without PostgreSQL the test is skipped.
func postgresDir(t *testing.T) string {
	t.Helper()

	if _, err := pgserver.Binaries(); errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip("skipped, because ", err)
	}
	dir, err := os.MkdirTemp("", "bench-") //nolint:usetesting // that of t is closed to the user as whom PostgreSQL may have to run
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// TestQuickRun is a whole run that is over soon: every process and each row once, one at a time.
func TestQuickRun(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	dir := postgresDir(t)
	var out, progress strings.Builder
	p, err := flags{Rounds: 1, JSON: true, Dir: dir, Engines: engine.Names, Cases: engine.Cases, AtOnce: []int{1}}.plan()
	require.NoError(t, err)
	p.warmUp = 0
	require.NoError(t, measure(t.Context(), p, &out, &lockedWriter{w: &progress}), progress.String())

	var got []report.Key
	for line := range strings.Lines(out.String()) {
		var row report.Row
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		got = append(got, row.Key)
		require.Equal(t, 1, row.Sagas)
		require.Positive(t, row.SagasPerSecond)
		require.GreaterOrEqual(t, row.Commits, 2.0, "a saga is written when it is accepted and when it ends")
		require.Equal(t, row.Engine != string(engine.DBOS), row.HistoryEvents > 0)
	}
	var want []report.Key
	for _, c := range engine.Cases {
		for _, name := range engine.Names {
			want = append(want, report.Key{Engine: string(name), Case: string(c), Concurrency: 1})
		}
	}
	require.Equal(t, want, got)
	require.Contains(t, progress.String(), "fsync=on")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "nothing is left behind")
}

func TestMeasurementIsPerSaga(t *testing.T) {
	t.Parallel()

	before := counters{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 100, 1000, 5000}
	after := counters{time.Second + 20*time.Millisecond, 2*time.Second + 40*time.Millisecond, 3*time.Second + 10*time.Millisecond, 4*time.Second + 2*time.Millisecond, 124, 5000, 9000}
	out := engine.Outcome{PerSecond: 5, Latencies: []time.Duration{30e6, 10e6}}
	r := row{contestant: contestant{label: "amends", engine: engine.Amends}, c: engine.Failing, concurrency: 20}
	m := r.measurement(out, engine.History{Events: 15, Bytes: 2000}, before, after)

	require.Equal(t, report.Measurement{
		Key: report.Key{Engine: "amends", Case: "failing", Concurrency: 20},
		Numbers: report.Numbers{
			SagasPerSecond: 5, P50: 10, P99: 30,
			CPUEngine: 10, CPUTemporal: 20, CPUPostgres: 5, CPUSteps: 1, CPUTotal: 36,
			HistoryEvents: 15, HistoryBytes: 2000, Commits: 12, WALBytes: 2000, DiskBytes: 2000,
		},
		Sagas: 2,
	}, m)

	r.engine = engine.DBOS
	m = r.measurement(out, engine.History{}, before, after)
	require.Zero(t, m.CPUTemporal, "what Temporal does meanwhile is not DBOS's")
	require.InDelta(t, 16, m.CPUTotal, 1e-9)
}

func TestPlan(t *testing.T) {
	t.Parallel()

	full, err := flags{Rounds: 7, Window: time.Minute, Dir: "/data", Engines: engine.Names}.plan()
	require.NoError(t, err)
	require.Equal(t, 7, full.Rounds)
	require.Equal(t, time.Minute, full.Window)
	require.Equal(t, "/data", full.Dir)
	require.Equal(t, []contestant{{label: "plain", engine: engine.Plain}, {label: "amends", engine: engine.Amends}, {label: "dbos", engine: engine.DBOS}}, full.contestants)

	quick, err := flags{Quick: true, Rounds: 7, Window: time.Minute}.plan()
	require.NoError(t, err)
	require.Equal(t, 1, quick.Rounds)
	require.Less(t, quick.Window, 5*time.Second)
	require.Equal(t, os.TempDir(), quick.Dir)

	_, err = flags{Try: []string{"GOGC=400"}}.plan()
	require.ErrorContains(t, err, "--try: ")
}

func TestHelp(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--help"}, nil, &out, &out))
	for _, flag := range []string{"--quick", "--json", "--rounds", "--window", "--engines", "--cases", "--at-once", "--[no-]rest", "--try", "--write", "--dir", "--profile"} {
		require.Contains(t, out.String(), flag)
	}
}

func TestUnknownFlag(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	require.ErrorContains(t, run(t.Context(), []string{"--quik"}, nil, &out, &out), "unknown flag --quik")
}
