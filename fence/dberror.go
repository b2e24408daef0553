package fence

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
)

// unavailable marks an error of a database that could not be reached or did not let us in.
type unavailable struct{ error }

const lockNotAvailable = "55P03"

// sqlState returns the SQLSTATE of a PostgreSQL error, or "".
func sqlState(err error) string {
	if pg, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return pg.SQLState()
	}
	return ""
}

// away reports whether err says that the database is away or busy, so that the same request may
// succeed soon. It knows the errors of pgx and modernc.org/sqlite by their methods, because fence
// does not import drivers.
func away(err error) bool {
	if _, ok := errors.AsType[unavailable](err); ok {
		return true
	}
	if state := sqlState(err); state != "" {
		return awaySQLState(state)
	}
	if lite, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return awaySQLite(lite.Code())
	}
	if unsent, ok := errors.AsType[interface {
		error
		SafeToRetry() bool
	}](err); ok && unsent.SafeToRetry() {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, gone := range []error{
		driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// awaySQLState knows the codes of https://www.postgresql.org/docs/current/errcodes-appendix.html.
func awaySQLState(state string) bool {
	switch state {
	case lockNotAvailable,
		"25006", // read_only_sql_transaction: a standby
		"57014", // query_canceled: statement_timeout, or the caller went away
		"57P01", // admin_shutdown
		"57P02", // crash_shutdown
		"57P03", // cannot_connect_now
		"57P05": // idle_session_timeout
		return true
	}
	switch state[:2] {
	case "08", // connection exceptions
		"40", // serialization failures and deadlocks
		"53": // insufficient resources
		return true
	}
	return false
}

// awaySQLite knows the codes of https://www.sqlite.org/rescode.html; the low byte is the primary one.
func awaySQLite(code int) bool {
	switch code & 0xff {
	case 5, // SQLITE_BUSY
		6,  // SQLITE_LOCKED
		9,  // SQLITE_INTERRUPT: the caller went away
		10, // SQLITE_IOERR
		13, // SQLITE_FULL
		14: // SQLITE_CANTOPEN
		return true
	}
	return false
}
