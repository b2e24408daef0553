package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/amends-dev/amends/fence"
)

// sqliteWait is how long, in milliseconds, a connection waits for another process's write.
const sqliteWait = "5000"

// sqliteConns is one connection for the writer, which the ledger lets in one at a time, and some for
// those who read meanwhile.
const sqliteConns = 4

// openSQLite opens <Dir>/<name>.db and takes the lock under which it is migrated.
func openSQLite(ctx context.Context, c Config, name string) (*DB, func() error, error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, nil, err
	}
	unlock, err := lockSQLite(ctx, filepath.Join(c.Dir, name+".lock"))
	if err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("sqlite", sqliteDSN(filepath.Join(c.Dir, name+".db"), url.Values{
		"_pragma": {"busy_timeout(" + sqliteWait + ")", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}))
	if err == nil {
		db.SetMaxOpenConns(sqliteConns)
		db.SetMaxIdleConns(sqliteConns)
		err = db.PingContext(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, unlock())
	}
	return &DB{DB: db, Dialect: fence.SQLite}, unlock, nil
}

// lockSQLite holds an exclusive transaction on an empty SQLite file of its own: unlike a lock file
// it ends with its process, and unlike flock it is there on every system.
func lockSQLite(ctx context.Context, file string) (func() error, error) {
	db, err := sql.Open("sqlite", sqliteDSN(file, url.Values{
		"_pragma": {"busy_timeout(60000)"},
		"_txlock": {"exclusive"},
	}))
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for another process's migration: %w", err), db.Close())
	}
	return func() error { return errors.Join(tx.Rollback(), db.Close()) }, nil
}

// sqliteDSN escapes file, which may hold "?", "#" or "%" as any path may.
func sqliteDSN(file string, query url.Values) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath() + "?" + query.Encode()
}
