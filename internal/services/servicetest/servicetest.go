// Package servicetest runs a step service's tests on every database that it supports.
package servicetest

import (
	"cmp"
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/audit"
	"github.com/amends-dev/amends/internal/services/store"
)

// Each runs run as two parallel subtests: against a host that serves only the service called name
// on SQLite, and against one on PostgreSQL, each with a fresh database. The baseURL ends in the
// service's path, as in http://127.0.0.1:1234/payment.
func Each(t *testing.T, name string, run func(t *testing.T, baseURL string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		run(t, Serve(t, services.Config{Dir: t.TempDir(), Names: []string{name}})+"/"+name)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		run(t, Serve(t, services.Config{DSN: pgtest.DSN(t), Dir: t.TempDir(), Names: []string{name}})+"/"+name)
	})
}

// EachDB runs run as two parallel subtests with a fresh database of the service called name, on
// SQLite and on PostgreSQL: for what a test must do behind the service's back.
func EachDB(t *testing.T, name string, migrations fs.FS, run func(t *testing.T, db *store.DB)) {
	t.Helper()
	open := func(t *testing.T, c store.Config) {
		db, err := store.Open(t.Context(), c, name, migrations)
		require.NoError(t, err)
		db.Ledger.Wait = wait
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		run(t, db)
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		open(t, store.Config{Dir: t.TempDir()})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		open(t, store.Config{DSN: pgtest.DSN(t)})
	})
}

// wait is for a disk that takes its time over each commit while all tests write: the queue of those
// who write to one SQLite file may then be long, and is no finding.
const wait = 30 * time.Second

// Serve opens a host and serves it until the test ends. It returns the host's base URL. Without a
// Logger in c, the host logs to the test; without a Wait its steps wait longer than the default.
func Serve(t *testing.T, c services.Config) string {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	c.Wait = cmp.Or(c.Wait, wait)
	h, err := services.Open(t.Context(), c)
	require.NoError(t, err)
	srv := httptest.NewServer(h.Handler())
	t.Cleanup(func() {
		srv.Close()
		require.NoError(t, h.Close())
	})
	return srv.URL
}

// Routes serves a single service, without a host, until the test ends, and returns its base URL.
func Routes(t *testing.T, svc interface{ Routes(mux *http.ServeMux) }) string {
	t.Helper()
	mux := http.NewServeMux()
	svc.Routes(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// Finds tampers with the books by an SQL statement and requires that the audit then has a finding
// that contains want.
func Finds(t *testing.T, db *store.DB, svc interface {
	Audit(ctx context.Context) (audit.Report, error)
}, tamper, want string,
) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), tamper)
	require.NoError(t, err, tamper)
	report, err := svc.Audit(t.Context())
	require.NoError(t, err)
	require.False(t, report.Balanced, "after %s", tamper)
	require.Contains(t, strings.Join(report.Findings, "\n"), want, "after %s", tamper)
}

// Audit reads the audit of the service at baseURL and requires that its books balance.
func Audit(t *testing.T, baseURL string) audit.Report {
	t.Helper()
	answer := Call(t, http.MethodGet, baseURL+"/audit", nil)
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
	var report audit.Report
	require.NoError(t, json.Unmarshal(answer.Body, &report))
	require.Empty(t, report.Findings)
	require.True(t, report.Balanced)
	return report
}
