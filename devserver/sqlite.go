package devserver

import (
	"context"
	"database/sql"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"
	"sync/atomic"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/schema"
)

// inMemory counts the databases in memory, which need names of their own.
var inMemory atomic.Int64

// openMemory returns a fresh database in memory. It lives as long as the process:
// the server's SQLite plugin never closes one.
func openMemory() (*store, error) {
	return sqliteStore(config.SQL{
		PluginName:        sqlite.PluginName,
		DatabaseName:      fmt.Sprintf("memory-%d", inMemory.Add(1)),
		ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
	}), nil
}

// openSQLite creates the database file when it is missing. A write that was
// acknowledged survives a killed process and a power failure.
func openSQLite(ctx context.Context, path string) (*store, error) {
	if err := createSQLite(ctx, path); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return sqliteStore(config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: escapePath(path),
		ConnectAttributes: map[string]string{
			"mode":         "rw",
			"journal_mode": "wal",
			"synchronous":  "full",
			"busy_timeout": "10000",
		},
	}), nil
}

// sqliteStore keeps main and visibility in one database, over the one connection
// that the plugin makes of equal configurations.
func sqliteStore(db config.SQL) *store {
	return &store{main: db, visibility: db, close: func(context.Context) error { return nil }}
}

// createSQLite makes the tables in one transaction, so that a process killed
// meanwhile leaves a file the next start can use. The checksum of the schema is
// kept in user_version: the server has no upgrades for SQLite.
func createSQLite(ctx context.Context, path string) error {
	tables, err := sqliteSchema()
	if err != nil {
		return err
	}
	want := int32(crc32.ChecksumIEEE([]byte(tables))) //nolint:gosec // only compared, so it may wrap
	db, err := sql.Open("sqlite", "file:"+escapePath(path)+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var have int32
	var empty bool
	err = tx.QueryRowContext(ctx, `SELECT user_version, (SELECT count(*) FROM sqlite_master) = 0 FROM pragma_user_version`).Scan(&have, &empty)
	switch {
	case err != nil:
		return err
	case empty:
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA user_version = %d", tables, want)); err != nil {
			return fmt.Errorf("create tables: %w", err)
		}
		return tx.Commit()
	case have != want:
		return fmt.Errorf("made by another version of the Temporal server, and SQLite files cannot be upgraded: move it away to start with an empty one")
	}
	return nil
}

// sqliteSchema is the SQL that makes all tables.
func sqliteSchema() (string, error) {
	var all strings.Builder
	for _, part := range []string{"temporal", "visibility"} {
		text, err := fs.ReadFile(schema.Assets(), "sqlite/v3/"+part+"/schema.sql")
		if err != nil {
			return "", err
		}
		all.Write(text)
		all.WriteString("\n")
	}
	return all.String(), nil
}

// escapePath makes a path fit into a SQLite URI.
func escapePath(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}
