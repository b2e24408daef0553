package fence

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SchemaReason returns the statement that adds a column for the reasons of undos to the ledger's table. Run it once,
// after [Schema], as a migration of its own. Without it everything works, but reasons are forgotten.
func SchemaReason() string { return `ALTER TABLE step_ledger ADD COLUMN undo_reason TEXT;` }

// maxReason limits the header, in bytes. A saga's are shorter.
const maxReason = 2048

// reasonOf returns the reason in r, as it came; "" if it has no reason that can be kept.
func reasonOf(r *http.Request) string {
	value := r.Header.Get(HeaderReason)
	if len(value) > maxReason || readReason(value) == "" {
		return ""
	}
	return value
}

// readReason returns the text of a reason as it came; "" if it is malformed.
func readReason(value string) string {
	quoted, found := strings.CutPrefix(value, `"`)
	encoded, _, closed := strings.Cut(quoted, `"`)
	text, err := url.PathUnescape(encoded)
	if !found || !closed || err != nil || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) ||
		strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) }) {
		return ""
	}
	return text
}

// undoneBecause returns the answer to a do of a key that was undone for that reason, which may be "".
func undoneBecause(reason string) *problem {
	text := readReason(reason)
	if text == "" {
		return errUndone
	}
	p := newProblem(errUndone.Status, errUndone.Code, "this key was undone, because: %s", text)
	p.UndoReason = reason
	return p
}

// keepsReasons reports whether the ledger's table has the column of [SchemaReason].
func (l *Ledger) keepsReasons(ctx context.Context) (bool, error) {
	if keeps := l.reasons.Load(); keeps != nil {
		return *keeps, nil
	}
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return false, unavailable{err}
	}
	defer conn.Close()
	var none sql.NullString
	err = conn.QueryRowContext(ctx, `SELECT undo_reason FROM step_ledger WHERE 1 = 0`).Scan(&none)
	keeps := errors.Is(err, sql.ErrNoRows)
	if !keeps && (away(err) || !noColumn(err)) {
		return false, err
	}
	l.reasons.Store(&keeps)
	return keeps, nil
}

// noColumn reports whether err means that a column does not exist.
func noColumn(err error) bool {
	if state := sqlState(err); state != "" {
		return state == "42703" // undefined_column
	}
	return strings.Contains(err.Error(), "no such column") // SQLite has no code for it
}
