// Package store opens the database of one step service: a SQLite file, or a schema of a PostgreSQL
// database. It knows how to connect, migrate and read consistently; it knows no service's tables.
//
// A service writes its SQL once. What runs on both databases: $1 placeholders, BIGINT, INTEGER and
// TEXT columns, WITH RECURSIVE, ON CONFLICT, RETURNING. Row locks (SELECT … FOR UPDATE) do not exist
// in SQLite; a conditional UPDATE and its number of rows decide who won.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/amends-dev/amends/fence"
)

// Config says where the databases are.
type Config struct {
	// DSN is a PostgreSQL connection string (postgres://…); empty means SQLite.
	DSN string
	// Dir is the folder of the SQLite files; it is created. Not used with a DSN.
	Dir string
	// GrantTo is a role that gets the right to use the tables, and none to change the schema, if it does not have it.
	// PostgreSQL only; empty means nobody.
	GrantTo string
}

// DB is the database of one service, with the ledger of its steps. It is safe for concurrent use;
// whoever opened it closes it. On SQLite a transaction that is not read-only takes the write lock
// when it begins, so write through the ledger, which queues writers in a fair order.
type DB struct {
	*sql.DB
	Dialect fence.Dialect
	Ledger  *fence.Ledger
	// Migrated is what Open did to the database: see [Pending].
	Migrated []string
}

// namePattern is what a name may be: it stands in file names and as a schema, both unquoted.
var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Open opens the database of the service called name (lower case letters, digits and _), creating
// it when it is new, and brings it up to date: the ledger of package fence, then the goose
// migrations that lie in the folder "migrations" of migrations. Processes that open one database at
// the same time wait for each other's migrations. Where nothing is missing, nothing is changed, and the
// rights to change the schema are not needed.
func Open(ctx context.Context, c Config, name string, migrations fs.FS) (*DB, error) {
	db, err := connect(ctx, c, name, migrations, func(db *DB, migrations fs.FS) (err error) {
		db.Migrated, err = db.pending(ctx, c, name, migrations)
		if err != nil || len(db.Migrated) == 0 {
			return err
		}
		return db.migrate(ctx, c, name, migrations)
	})
	if err != nil {
		return nil, fmt.Errorf("open the database of %s: %w", name, err)
	}
	db.Ledger = fence.NewLedger(db.DB, db.Dialect)
	return db, nil
}

// connect connects to the database and has prepare look after its schema, under the lock that keeps others from it.
func connect(ctx context.Context, c Config, name string, migrations fs.FS, prepare func(*DB, fs.FS) error) (*DB, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("%q cannot name a database: use lower case letters, digits and _", name)
	}
	migrations, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	open := openSQLite
	if c.DSN != "" {
		open = openPostgreSQL
	}
	db, unlock, err := open(ctx, c, name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(prepare(db, migrations), unlock()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Snapshot runs read in a read-only transaction that sees one state of the database, whatever is
// written meanwhile: sums over several tables agree.
func (db *DB) Snapshot(ctx context.Context, read func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin a snapshot: %w", err)
	}
	defer tx.Rollback() // nothing was written; a dead connection shows in read's error
	return read(tx)
}

// Changed runs a conditional UPDATE, INSERT … ON CONFLICT or DELETE and says whether it changed a
// row: the way to decide a race on both databases.
func Changed(ctx context.Context, tx *sql.Tx, query string, args ...any) (bool, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// Placeholders is "($1, $2), ($3, $4)" for two rows of two columns, for an INSERT of many rows or,
// with one row, an IN list. Ask for at least one of each.
func Placeholders(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteByte(')')
	return b.String()
}
