package store_test

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/internal/services/store"
)

// counters is a service's migrations: a table, and a row of seed data.
func counters() fs.FS {
	return fstest.MapFS{
		"migrations/00001_counters.sql": {Data: []byte("-- +goose Up\nCREATE TABLE counters (name TEXT PRIMARY KEY, n BIGINT NOT NULL CHECK (n >= 0));\n")},
		"migrations/00002_seed.sql":     {Data: []byte("-- +goose Up\nINSERT INTO counters (name, n) VALUES ('seed', 3);\n")},
	}
}

// each runs run with a place for databases on SQLite and on PostgreSQL.
func each(t *testing.T, run func(t *testing.T, c store.Config)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		run(t, store.Config{Dir: filepath.Join(t.TempDir(), "a #new? 100% folder")})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		run(t, store.Config{DSN: pgtest.DSN(t)})
	})
}

func open(t *testing.T, c store.Config, name string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), c, name, counters())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func count(t *testing.T, db *store.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

func TestOpenKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c store.Config) {
		db := open(t, c, "till")
		_, err := db.ExecContext(t.Context(), `UPDATE counters SET n = 4`)
		require.NoError(t, err)

		again := open(t, c, "till")

		require.Equal(t, 4, count(t, again, `SELECT n FROM counters`))
		require.Zero(t, count(t, again, `SELECT COUNT(*) FROM step_ledger`), "the ledger's table is there")
	})
}

func TestServicesDoNotShareTables(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c store.Config) {
		_, err := open(t, c, "till").ExecContext(t.Context(), `DELETE FROM counters`)
		require.NoError(t, err)
		require.Equal(t, 1, count(t, open(t, c, "shelf"), `SELECT COUNT(*) FROM counters`))
	})
}

// Every Open has connections of its own, as one in another process has.
func TestManyOpenAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c store.Config) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				db, err := store.Open(t.Context(), c, "till", counters())
				if err == nil {
					err = db.Close()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, count(t, open(t, c, "till"), `SELECT COUNT(*) FROM counters`))
	})
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c store.Config) {
		_, err := store.Open(t.Context(), c, `till"; --`, counters())
		require.ErrorContains(t, err, "cannot name a database")

		broken := fstest.MapFS{"migrations/00001_broken.sql": {Data: []byte("-- +goose Up\nCREATE TABL;\n")}}
		_, err = store.Open(t.Context(), c, "till", broken)
		require.ErrorContains(t, err, "open the database of till: migrate: ")

		require.Equal(t, 1, count(t, open(t, c, "till"), `SELECT COUNT(*) FROM counters`), "the lock was given back")
	})
}

func TestOpenWithoutADatabase(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := store.Open(t.Context(), store.Config{Dir: file}, "till", counters())
	require.ErrorContains(t, err, "open the database of till")

	_, err = store.Open(t.Context(), store.Config{DSN: "postgres://127.0.0.1:1/none?connect_timeout=1"}, "till", counters())
	require.ErrorContains(t, err, "open the database of till")
}

func TestPing(t *testing.T) {
	t.Parallel()
	require.NoError(t, store.Ping(t.Context(), pgtest.DSN(t)))
	require.ErrorContains(t, store.Ping(t.Context(), "postgres://127.0.0.1:1/none?connect_timeout=1"), "failed to connect")
	require.ErrorContains(t, store.Ping(t.Context(), "none"), "the DSN is no connection string")
}

func TestDSNIsNotShown(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://u:sec/ret@h/db":                                  "in a password @ is written as %40",
		"postgres://u:sec%zret@h/db":                                 "in a password @ is written as %40",
		"postgres://u:sec ret@h/db?sslmode=verify-full":              "in a password @ is written as %40",
		"host=h password='secret":                                    "no connection string",
		"postgres://u:secret@h/db?sslmode=always":                    "sslmode is invalid",
		"postgres://u:secret@h/db?sslrootcert=/no":                   "no such file",
		"postgres://u:secret@127.0.0.1:1/none?connect_timeout=1":     "open the database of till",
		"host=127.0.0.1 port=1 password=sec\\ ret connect_timeout=1": "open the database of till",
	} {
		_, err := store.Open(t.Context(), store.Config{DSN: dsn}, "till", counters())
		require.ErrorContains(t, err, want, dsn)
		require.NotContains(t, err.Error(), "sec", dsn)
		require.NotContains(t, err.Error(), "ret", dsn)
	}
}

func TestSnapshotSeesOneState(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c store.Config) {
		db := open(t, c, "till")
		err := db.Snapshot(t.Context(), func(tx *sql.Tx) error {
			read := func() (n int) {
				require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT n FROM counters`).Scan(&n))
				return n
			}
			require.Equal(t, 3, read())
			_, err := db.ExecContext(t.Context(), `UPDATE counters SET n = 4`)
			require.NoError(t, err, "readers do not keep writers out")
			require.Equal(t, 3, read())
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 4, count(t, db, `SELECT n FROM counters`))
	})
}

func TestChangedDecidesARace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c store.Config) {
		db := open(t, c, "till")
		take := func(ctx context.Context) (bool, error) {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return false, err
			}
			defer tx.Rollback() // after Commit there is nothing to roll back
			taken, err := store.Changed(ctx, tx, `UPDATE counters SET n = n - $1 WHERE n >= $1 AND name = $2`, 1, "seed")
			if err != nil {
				return false, err
			}
			return taken, tx.Commit()
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		won := 0
		for range 10 {
			wg.Go(func() {
				taken, err := take(t.Context())
				if err != nil {
					t.Error(err)
				}
				if taken {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Equal(t, 3, won)
	})
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	require.Equal(t, "($1)", store.Placeholders(1, 1))
	require.Equal(t, "($1, $2, $3)", store.Placeholders(1, 3))
	require.Equal(t, "($1, $2), ($3, $4), ($5, $6)", store.Placeholders(3, 2))
}
