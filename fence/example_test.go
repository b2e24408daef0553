package fence_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/amends-dev/amends/fence"
)

// A whole step service: seats of a theater that a saga takes and gives back.
func Example() {
	type Seats struct {
		Count int `json:"count"`
	}
	type Ticket struct {
		ID string `json:"id"`
	}
	takeSeats := fence.Step[Seats, Ticket]{
		Name: "TakeSeats",
		Do: func(ctx context.Context, tx *sql.Tx, key string, in Seats) (Ticket, error) {
			res, err := tx.ExecContext(ctx, "UPDATE house SET free = free - $1 WHERE free >= $1", in.Count)
			if err != nil {
				return Ticket{}, err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return Ticket{}, err
			}
			if n == 0 {
				return Ticket{}, fence.Refuse("sold_out", "there are not %d seats left", in.Count)
			}
			return Ticket{ID: "ticket of " + key}, nil
		},
		Undo: func(ctx context.Context, tx *sql.Tx, _ string, in Seats, _ Ticket) error {
			_, err := tx.ExecContext(ctx, "UPDATE house SET free = free + $1", in.Count)
			return err
		},
	}

	db, closeDB := openTheater("CREATE TABLE house (free BIGINT); INSERT INTO house VALUES (10);" + fence.Schema(fence.SQLite))
	defer closeDB()
	mux := http.NewServeMux()
	fence.Handle(mux, fence.NewLedger(db, fence.SQLite), "/seats/{key}", takeSeats)

	call := func(method, key, body string) {
		r := httptest.NewRequest(method, "/seats/"+key, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r) // a service listens: http.ListenAndServe(addr, mux)
		fmt.Println(strings.TrimSpace(method + " " + key + " " + body))
		fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body)))
	}
	call("PUT", "order-1:TakeSeats", `{"count":2}`)
	call("PUT", "order-1:TakeSeats", `{"count":2}`) // the answer was lost: ask again
	call("DELETE", "order-1:TakeSeats", "")
	call("GET", "order-1:TakeSeats", "")
	call("DELETE", "order-2:TakeSeats", "") // nobody knows whether it happened
	call("PUT", "order-2:TakeSeats", `{"count":2}`)
	call("PUT", "order-3:TakeSeats", `{"count":11}`)

	// Output:
	// PUT order-1:TakeSeats {"count":2}
	// 200 {"id":"ticket of order-1:TakeSeats"}
	// PUT order-1:TakeSeats {"count":2}
	// 200 {"id":"ticket of order-1:TakeSeats"}
	// DELETE order-1:TakeSeats
	// 204
	// GET order-1:TakeSeats
	// 200 {"key":"order-1:TakeSeats","step":"TakeSeats","state":"undone","result":{"id":"ticket of order-1:TakeSeats"}}
	// DELETE order-2:TakeSeats
	// 204
	// PUT order-2:TakeSeats {"count":2}
	// 410 {"type":"about:blank","title":"Gone","status":410,"detail":"this key was undone; it cannot be done any more","code":"undone"}
	// PUT order-3:TakeSeats {"count":11}
	// 422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"there are not 11 seats left","code":"sold_out"}
}

// openTheater opens a new SQLite database and runs schema in it.
func openTheater(schema string) (db *sql.DB, closeDB func()) {
	dir, err := os.MkdirTemp("", "theater-")
	if err != nil {
		panic(err)
	}
	db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "theater.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err == nil {
		_, err = db.ExecContext(context.Background(), schema)
	}
	if err != nil {
		panic(err)
	}
	return db, func() {
		if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
			panic(err)
		}
	}
}
