package fence

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
)

// HeaderKey is the header of every answer of a step. It repeats the key as it stands in the URL, percent-encoded. A
// refusal without it is not the service's, and a saga does not believe it.
const HeaderKey = "Saga-Key"

// HeaderReason is a header of DELETE: the reason for the undo, for people. Its text is between quotes, with
// percent-encoding for characters that are not printable ASCII, for quotes, backslashes and percent signs; that makes it
// a String of RFC 8941. The rest of the header is for programs. The ledger keeps it, and 410 returns it.
const HeaderReason = "Undo-Reason"

// Step is one step of a service: what doing it and undoing it change in the service's own tables.
//
// Do and Undo run in a transaction that also holds the ledger row of the key. They must make all
// their changes through tx, must not end it, and must not keep it. On PostgreSQL the transaction is
// READ COMMITTED: lock what you check (SELECT … FOR UPDATE). Both may be called from several
// goroutines at once, though never for one key.
type Step[In, Out any] struct {
	// Name is the step's name, such as "ReserveStock". It is part of the ledger row's key: it stays
	// the same as long as there are rows, and no two steps of one ledger share it.
	Name string

	// Do does the step, once for each key, and returns the answer, which is kept as JSON.
	// [Refuse] says that the step cannot be done: the answer is 422 and nothing is remembered, so
	// the same key may be tried again. After any other error, and after a panic, the outcome is
	// unknown to the caller: 500, or 503 if the database is away or busy. Whatever the error, the
	// transaction is rolled back.
	Do func(ctx context.Context, tx *sql.Tx, key string, in In) (Out, error)

	// Undo takes back what Do did with in and answered with out; it is not called for a key that
	// was never done. In and Out are read from the ledger as JSON, and unknown fields are ignored,
	// so that rows written by an older version of the service can be undone.
	// [Refuse] says that it cannot be undone any more: the answer is 409 irreversible.
	//
	// A nil Undo means that what was done can never be undone: 409 irreversible. A key that was
	// never done is fenced all the same, so undoing makes sure that it never happens.
	Undo func(ctx context.Context, tx *sql.Tx, key string, in In, out Out) error
}

// Handle serves the step contract for s: PUT does, DELETE undoes, GET probes. The pattern is a path
// of [http.ServeMux] without a method that ends in "/{key}", such as "/reservations/{key}".
//
// Handle panics if the pattern has another form, if s has no Name or no Do, or if the mux refuses
// the pattern: all are mistakes of the program.
func Handle[In, Out any](mux *http.ServeMux, l *Ledger, pattern string, s Step[In, Out]) {
	switch {
	case !strings.HasSuffix(pattern, "/{key}") || strings.ContainsAny(pattern, " \t"):
		panic(fmt.Sprintf("fence: pattern %q: want a path without a method that ends in /{key}", pattern))
	case s.Name == "":
		panic(fmt.Sprintf("fence: the step at %s has no name", pattern))
	case s.Do == nil:
		panic(fmt.Sprintf("fence: step %s has no Do", s.Name))
	}
	r := resource[In, Out]{ledger: l, step: s}
	mux.HandleFunc("PUT "+pattern, r.put)
	mux.HandleFunc("DELETE "+pattern, r.delete)
	mux.HandleFunc("GET "+pattern, r.get)
}

// Refuse returns the error with which [Step.Do] says that a step is refused: definitely not done,
// and asking again will not help. The answer is 422 with code, in snake_case, such as
// "card_declined", for programs, and the formatted text, without secrets, for people.
// It may be wrapped.
func Refuse(code, format string, args ...any) error {
	return newProblem(http.StatusUnprocessableEntity, code, format, args...)
}
