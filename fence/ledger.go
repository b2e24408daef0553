package fence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"
)

// Dialect is the kind of database that a [Ledger] lives in.
type Dialect int

// The databases that a ledger can live in.
const (
	SQLite Dialect = iota + 1
	PostgreSQL
)

// Schema returns the statement that creates the ledger's table, step_ledger, unless it exists.
// Run it among the migrations of the service, in the schema that its connections use.
// It panics on an unknown dialect.
func Schema(d Dialect) string {
	switch d {
	case SQLite, PostgreSQL:
		return schema
	}
	panic(fmt.Sprintf("fence: unknown dialect %d", d))
}

// One text serves both databases. A row is written by the first PUT or DELETE of its key and is
// never taken away by fence. For a key that was undone before it was done, body, fingerprint and
// result are null. Times are Unix milliseconds.
const schema = `CREATE TABLE IF NOT EXISTS step_ledger (
	step        TEXT   NOT NULL,
	key         TEXT   NOT NULL,
	state       TEXT   NOT NULL CHECK (state IN ('done', 'undone')),
	fingerprint TEXT,
	body        TEXT,
	result      TEXT,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	PRIMARY KEY (step, key)
);`

const defaultWait = 2 * time.Second

// Ledger remembers what became of each key. It is safe for concurrent use; set its fields before
// the first request. Its zero value is not usable: make one with [NewLedger].
type Ledger struct {
	// Logger is told what is not sent to callers: the causes of 500 and 503. Nil means slog.Default().
	Logger *slog.Logger

	// Wait is how long a request waits for another one that holds its key, or on SQLite the
	// database, before the answer is "try again". 0 means 2 s. On PostgreSQL it is the lock_timeout
	// of the whole transaction, so it bounds what Do and Undo wait for a lock as well. On SQLite
	// writers of other ledgers and processes are waited for as the connection's busy_timeout says.
	Wait time.Duration

	db      *sql.DB
	dialect Dialect
	writer  chan struct{} // SQLite only: holds one token while a transaction is open
	// reasons is set if the table has the column of SchemaReason; nil until it was looked up.
	reasons atomic.Pointer[bool]
}

// NewLedger returns the ledger in db's table step_ledger (see [Schema]), which is looked up as the
// connection does: on PostgreSQL by its search_path. The caller keeps db and closes it.
// It panics on an unknown dialect.
func NewLedger(db *sql.DB, d Dialect) *Ledger {
	l := &Ledger{db: db, dialect: d}
	switch d {
	case PostgreSQL:
	case SQLite:
		l.writer = make(chan struct{}, 1)
	default:
		panic(fmt.Sprintf("fence: unknown dialect %d", d))
	}
	return l
}

type state string

const (
	done   state = "done"
	undone state = "undone"
)

// entry is a row of the ledger.
type entry struct {
	state       state
	fingerprint sql.NullString
	body        sql.NullString
	result      sql.NullString
	reason      sql.NullString
}

// do runs effect in the transaction that writes the key's row, unless the key has one: then it
// answers with that row's result, or that it was undone or used with another body.
func (l *Ledger) do(ctx context.Context, step, key string, body request, effect func(*sql.Tx) ([]byte, error)) ([]byte, error) {
	keeps, err := l.keepsReasons(ctx) // outside the transaction, which may hold the only connection
	if err != nil {
		return nil, err
	}
	var result []byte
	err = l.transact(ctx, func(tx *sql.Tx) error {
		before, err := l.claim(ctx, tx, claim{step, key, done, "", keeps})
		switch {
		case err != nil:
			return err
		case before == nil:
			if result, err = effect(tx); err != nil {
				return err
			}
			return record(ctx, tx, step, key, body, result)
		case before.state == undone:
			return undoneBecause(before.reason.String)
		case before.fingerprint.String != body.fingerprint:
			return errKeyReused
		}
		result = []byte(before.result.String)
		return nil
	})
	return result, err
}

// undo makes sure that key is not done, now and ever: it runs effect if the key was done, and fences the key if it never
// was. The reason of that undo is kept.
func (l *Ledger) undo(ctx context.Context, step, key, reason string, effect func(tx *sql.Tx, body, result []byte) error) error {
	if reason != "" {
		switch keeps, err := l.keepsReasons(ctx); {
		case err != nil:
			return err
		case !keeps:
			reason = ""
		}
	}
	return l.transact(ctx, func(tx *sql.Tx) error {
		before, err := l.claim(ctx, tx, claim{step: step, key: key, state: undone, reason: reason})
		if err != nil || before == nil || before.state == undone {
			return err
		}
		if err := effect(tx, []byte(before.body.String), []byte(before.result.String)); err != nil {
			return err
		}
		set, args := "", []any{now(), step, key}
		if reason != "" {
			set, args = ", undo_reason = $4", append(args, reason)
		}
		return one(tx.ExecContext(ctx,
			`UPDATE step_ledger SET state = 'undone', updated_at = $1`+set+` WHERE step = $2 AND key = $3 AND state = 'done'`, args...))
	})
}

// probe returns the key's committed row, or sql.ErrNoRows.
func (l *Ledger) probe(ctx context.Context, step, key string) (entry, error) {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return entry{}, unavailable{err}
	}
	defer conn.Close()
	return scan(conn.QueryRowContext(ctx, selectEntry("NULL"), step, key))
}

const (
	// The INSERT is the transaction's first statement. On SQLite it takes the write lock before
	// anything was read, as BEGIN IMMEDIATE does. On PostgreSQL it waits for an open transaction
	// that inserted the same key, and lock_timeout, set by the same statement to save a round trip,
	// bounds that wait: the WHERE clause is evaluated before the row is inserted.
	claimSQLite = `INSERT INTO step_ledger (step, key, state, created_at, updated_at%s)
		VALUES ($1, $2, $3, $4, $4%s) ON CONFLICT DO NOTHING`
	claimPostgreSQL = `INSERT INTO step_ledger (step, key, state, created_at, updated_at%s)
		SELECT $1, $2, $3, $4, $4%s WHERE set_config('lock_timeout', $5, true) IS NOT NULL ON CONFLICT DO NOTHING`
)

func selectEntry(reason string) string {
	return `SELECT state, fingerprint, body, result, ` + reason + ` FROM step_ledger WHERE step = $1 AND key = $2`
}

// A claim is a row to be written.
type claim struct {
	step, key string
	state     state
	// reason is written if it is not empty, and read if readReason is set.
	reason     string
	readReason bool
}

// claim writes a row for the key and returns nil, or returns the existing row. Either way no other transaction can write
// the row until tx ends.
func (l *Ledger) claim(ctx context.Context, tx *sql.Tx, c claim) (*entry, error) {
	insert, lock, args := claimSQLite, "", []any{c.step, c.key, string(c.state), now()}
	if l.dialect == PostgreSQL {
		insert, lock = claimPostgreSQL, " FOR UPDATE"
		// At least 1 ms: to PostgreSQL, 0 means to wait for ever.
		args = append(args, strconv.FormatInt(max(1, l.wait().Milliseconds()), 10))
	}
	column, value, reason := "", "", "NULL"
	if c.reason != "" {
		args = append(args, c.reason)
		column, value = ", undo_reason", ", $"+strconv.Itoa(len(args))
	}
	if c.readReason {
		reason = "undo_reason"
	}
	res, err := tx.ExecContext(ctx, fmt.Sprintf(insert, column, value), args...)
	if err != nil {
		return nil, l.held("claim the key", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return nil, err
	}
	row, err := scan(tx.QueryRowContext(ctx, selectEntry(reason)+lock, c.step, c.key))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errInProgress // the row was pruned between the two statements
	case err != nil:
		return nil, l.held("read the key", err)
	}
	return &row, nil
}

// held turns the end of PostgreSQL's lock_timeout into errInProgress.
func (l *Ledger) held(doing string, err error) error {
	if sqlState(err) == lockNotAvailable {
		return errInProgress
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// record completes the row that claim wrote. That it is still there shows that the transaction is
// the one that claim ran in.
func record(ctx context.Context, tx *sql.Tx, step, key string, body request, result []byte) error {
	return one(tx.ExecContext(ctx,
		`UPDATE step_ledger SET fingerprint = $1, body = $2, result = $3
		WHERE step = $4 AND key = $5 AND state = 'done' AND result IS NULL`,
		body.fingerprint, string(body.json), string(result), step, key))
}

// one checks that a statement changed the one row it was meant to.
func one(res sql.Result, err error) error {
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("write the ledger: %d rows changed, want 1: the step ended its transaction", n)
	}
	return err
}

// transact runs fn in a transaction and commits it if fn returns nil. It rolls back on an error and
// on a panic.
func (l *Ledger) transact(ctx context.Context, fn func(*sql.Tx) error) error {
	release, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	var opts *sql.TxOptions
	if l.dialect == PostgreSQL {
		opts = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	tx, err := l.db.BeginTx(ctx, opts)
	if err != nil {
		return unavailable{fmt.Errorf("begin: %w", err)}
	}
	defer tx.Rollback() // after Commit there is nothing to roll back
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// acquire waits for its turn to write. SQLite lets one writer in at a time and makes the others poll;
// a queue in front of it is fair and wakes the next at once.
func (l *Ledger) acquire(ctx context.Context) (release func(), err error) {
	if l.writer == nil {
		return func() {}, nil
	}
	timeout := time.NewTimer(l.wait())
	defer timeout.Stop()
	select {
	case l.writer <- struct{}{}:
		return func() { <-l.writer }, nil
	case <-timeout.C:
		return nil, unavailable{errors.New("other requests hold the database")}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *Ledger) wait() time.Duration {
	if l.Wait > 0 {
		return l.Wait
	}
	return defaultWait
}

func (l *Ledger) logger() *slog.Logger {
	if l.Logger != nil {
		return l.Logger
	}
	return slog.Default()
}

func scan(row *sql.Row) (entry, error) {
	var e entry
	err := row.Scan(&e.state, &e.fingerprint, &e.body, &e.result, &e.reason)
	if err == nil && e.state == done && !e.result.Valid {
		err = errors.New("the key's row has no result: Do ended its transaction")
	}
	return e, err
}

func now() int64 { return time.Now().UnixMilli() }
