// Package fence lets a service offer steps to sagas: each is done once, can be undone by its key
// whether or not it happened, and cannot happen any more once it was undone.
//
// [Handle] serves the step contract (docs/step-contract.md) for one [Step] over database/sql, on
// SQLite or PostgreSQL. The package knows keys, the [Ledger] that remembers them, and HTTP. It knows
// neither what a step does nor sagas, and imports no driver: the tests run on modernc.org/sqlite and
// on pgx, by whose errors it tells a database that is away from a statement that is wrong.
//
//	PUT    /…/{key}   do: 200 and the result, the same one for the same key
//	DELETE /…/{key}   undo: 204
//	GET    /…/{key}   probe: 200 with the state "done" or "undone", 404 for a key never seen
//
// # Why it holds
//
// A key has at most one row in the ledger, because the primary key says so. Every do and every undo
// is one transaction that starts by trying to insert that row, and the step's own changes are made in
// the same transaction. From this follows:
//
// Once only. Of many dos of one key, one inserts the row. The others wait until that transaction
// ends: PostgreSQL makes an insert of a key wait for the transaction that has inserted it, and SQLite
// lets only one transaction write. If it commits, they find the row and answer with its result. If it
// does not, its changes are gone with its row, and one of the others is the first.
//
// No late do. An undo inserts the same row. If it comes first, a do finds the row and is refused with
// 410, for ever. If a do came first, the undo waits for it to end; then either the row is there, and
// the undo locks it, takes back the changes and marks it undone, or it is not, and the undo inserts
// it. There is no third order, so no effect stands behind a 204.
//
// Crashes. The row and the changes are committed together or not at all, and an answer is sent only
// after the commit. Whoever got no answer asks again with the same key and is told what happened. A
// commit whose own outcome is unknown is answered with 503, which means exactly that.
//
// This needs what both databases do by default, a commit that is durable: with synchronous_commit off,
// or PRAGMA synchronous = OFF, a commit that was answered can be lost in a power failure.
//
// # Waiting
//
// Nobody waits for ever: see [Ledger.Wait]. On PostgreSQL the end of the wait is 409 in_progress, on
// SQLite 503, both with Retry-After. Give SQLite connections a busy_timeout, and WAL, so that GET does
// not wait for writers. Transactions need not be started as immediate: the ledger's first statement
// is a write, which takes SQLite's write lock before anything is read.
package fence
