package store_test

import (
	"context"
	"net/url"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/internal/services/store"
)

func TestPendingIsWhatOpenDoes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c store.Config) {
		pending := func(migrations fstest.MapFS) []string {
			t.Helper()
			pending, err := store.Pending(t.Context(), c, "till", migrations)
			require.NoError(t, err)
			return pending
		}
		first := counters().(fstest.MapFS)
		all := []string{"step_ledger", "00001_counters.sql", "00002_seed.sql"}
		require.Equal(t, all, pending(first))
		require.Equal(t, all, pending(first), "asking changes nothing")
		if c.DSN == "" {
			require.NoDirExists(t, c.Dir)
		}

		require.Equal(t, all, open(t, c, "till").Migrated)
		require.Empty(t, pending(first))
		require.Empty(t, open(t, c, "till").Migrated)

		first["migrations/00003_more.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nDELETE FROM counters;\n")}
		require.Equal(t, []string{"00003_more.sql"}, pending(first))
	})
}

func TestPendingErrors(t *testing.T) {
	t.Parallel()
	_, err := store.Pending(t.Context(), store.Config{DSN: "postgres://127.0.0.1:1/none?connect_timeout=1"}, "till", counters())
	require.ErrorContains(t, err, "look at the database of till: ")

	c := store.Config{DSN: pgtest.DSN(t), GrantTo: "nobody_of_that_name"}
	_, err = store.Open(t.Context(), c, "till", counters())
	require.ErrorContains(t, err, `role "nobody_of_that_name" does not exist`)
}

// A service's role may use the tables that others made, and change no schema.
func TestRoleWithoutRightsToTheSchema(t *testing.T) {
	t.Parallel()
	owner := store.Config{DSN: pgtest.DSN(t)}
	admin := open(t, owner, "till")
	dsn, err := url.Parse(owner.DSN)
	require.NoError(t, err)
	role := "Service of " + dsn.Path[1:] // a name that has to be quoted
	_, err = admin.ExecContext(t.Context(), `CREATE ROLE "`+role+`" LOGIN PASSWORD 'secret'`)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.WithoutCancel(t.Context()), `DROP OWNED BY "`+role+`"; DROP ROLE "`+role+`"`)
		require.NoError(t, err)
	})
	dsn.User = url.UserPassword(role, "secret")
	service := store.Config{DSN: dsn.String()}
	_, err = store.Open(t.Context(), service, "till", counters())
	require.ErrorContains(t, err, "no schema has been selected")
	_, err = store.Open(t.Context(), service, "shelf", counters())
	require.ErrorContains(t, err, "create the schema: ERROR: permission denied")

	owner.GrantTo = role
	pending, err := store.Pending(t.Context(), owner, "till", counters())
	require.NoError(t, err)
	require.Equal(t, []string{"rights of " + role}, pending)
	require.Equal(t, pending, open(t, owner, "till").Migrated)
	require.Empty(t, open(t, owner, "till").Migrated)
	require.Equal(t, []string{"step_ledger", "00001_counters.sql", "00002_seed.sql", "rights of " + role}, open(t, owner, "shelf").Migrated)

	db := open(t, service, "till")
	_, err = db.ExecContext(t.Context(), `UPDATE counters SET n = 4`)
	require.NoError(t, err)
	require.Equal(t, 4, count(t, db, `SELECT n FROM counters`))
	require.Zero(t, count(t, db, `SELECT COUNT(*) FROM step_ledger`))
	_, err = db.ExecContext(t.Context(), `CREATE TABLE mine (n BIGINT)`)
	require.ErrorContains(t, err, "permission denied")

	more := counters().(fstest.MapFS)
	more["migrations/00003_more.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE more (n BIGINT);\n")}
	_, err = store.Open(t.Context(), service, "till", more)
	require.ErrorContains(t, err, "permission denied")
}
