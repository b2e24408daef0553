package services_test

import (
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/payment"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
)

// before returns the migrations up to the first whose name ends like that.
func before(t *testing.T, migrations fs.FS, end string) fs.FS {
	t.Helper()
	names, err := fs.Glob(migrations, "migrations/*.sql")
	require.NoError(t, err)
	last := slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, end) })
	require.Positive(t, last)
	older := fstest.MapFS{}
	for _, name := range names[:last] {
		text, err := fs.ReadFile(migrations, name)
		require.NoError(t, err)
		older[name] = &fstest.MapFile{Data: text}
	}
	return older
}

// TestLedgersOfOlderVersions: rows from a version without reasons remain valid.
func TestLedgersOfOlderVersions(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]store.Config{"SQLite": {Dir: t.TempDir()}, "PostgreSQL": {DSN: pgtest.DSN(t), Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			older, err := store.Open(t.Context(), c, "payment", before(t, payment.Migrations, "_undo_reasons.sql"))
			require.NoError(t, err)
			_, err = older.ExecContext(t.Context(), "SELECT undo_reason FROM step_ledger")
			require.Error(t, err, "the older version has no such column")
			base := servicetest.Routes(t, payment.New(older)) + "/authorizations"
			body := map[string]any{"token": "tok_visa", "amount": map[string]any{"amount": 1290, "currency": "EUR"}}
			first := servicetest.Call(t, http.MethodPut, servicetest.Resource(base, "done"), body)
			require.Equal(t, http.StatusOK, first.Status, "%s", first.Body)
			servicetest.Undo(t, base, "never-done")
			require.NoError(t, older.Close())

			base = servicetest.Serve(t, services.Config{DSN: c.DSN, Dir: c.Dir, Names: []string{"payment"}}) + "/payment"
			again := servicetest.Call(t, http.MethodPut, servicetest.Resource(base+"/authorizations", "done"), body)
			require.Equal(t, string(first.Body), string(again.Body))
			late := servicetest.Call(t, http.MethodPut, servicetest.Resource(base+"/authorizations", "never-done"), body)
			require.Equal(t, http.StatusGone, late.Status)
			servicetest.Undo(t, base+"/authorizations", "done")
			servicetest.Audit(t, base)
		})
	}
}
