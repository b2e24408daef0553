package fence

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type (
	stateError  string
	codeError   int
	unsentError bool
)

func (e stateError) Error() string      { return "state " + string(e) }
func (e stateError) SQLState() string   { return string(e) }
func (e codeError) Error() string       { return fmt.Sprint("code ", int(e)) }
func (e codeError) Code() int           { return int(e) }
func (e unsentError) Error() string     { return "unsent" }
func (e unsentError) SafeToRetry() bool { return bool(e) }

// TestAway: the driver's error tells a database that is away or busy from a wrong statement, also if a step has wrapped
// it.
func TestAway(t *testing.T) {
	t.Parallel()

	extended := func(code int) codeError { return codeError(code | 7<<8) } // such as SQLITE_BUSY_SNAPSHOT
	for _, err := range []error{
		stateError("55P03"), stateError("25006"), stateError("57014"), stateError("57P01"), stateError("57P02"), stateError("57P03"),
		stateError("57P05"), stateError("08006"), stateError("40001"), stateError("40P01"), stateError("53300"),
		codeError(5), codeError(6), codeError(9), codeError(10), codeError(13), codeError(14),
		extended(5), extended(6), extended(9), extended(10), extended(13), extended(14),
		unsentError(true),
		unavailable{errors.New("x")},
		&net.OpError{Op: "dial", Err: errors.New("x")},
		driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded,
	} {
		require.True(t, away(err), "%v", err)
		require.True(t, away(fmt.Errorf("do: %w", errors.Join(errors.New("x"), err))), "%v", err)
	}
	for _, err := range []error{
		stateError("42703"), stateError("23505"), stateError("57P04"), stateError("25001"), stateError("0A000"), stateError("XX000"),
		codeError(1), codeError(4), codeError(7), codeError(8), codeError(11), codeError(12), codeError(15), codeError(19), extended(19),
		codeError(0x105&^0xff | 1), unsentError(false), errors.New("x"), sql.ErrNoRows,
	} {
		require.False(t, away(err), "%v", err)
	}
}

// TestNoColumn: only a missing column means that reasons are not kept.
func TestNoColumn(t *testing.T) {
	t.Parallel()

	require.True(t, noColumn(stateError("42703")))
	require.False(t, noColumn(stateError("42P01")), "no table")
	require.True(t, noColumn(errors.New("SQL logic error: no such column: undo_reason (1)")))
	require.False(t, noColumn(errors.New("SQL logic error: no such table: step_ledger (1)")))
}

func TestWaits(t *testing.T) {
	t.Parallel()

	l := NewLedger(nil, SQLite)
	require.Equal(t, 2*time.Second, l.wait())
	l.Wait = time.Nanosecond
	require.Equal(t, time.Nanosecond, l.wait())
}
