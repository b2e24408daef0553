package fence_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence"
)

func TestRequests(t *testing.T) {
	t.Parallel()

	s := newService(t, sqlite(t, ""), nil)
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
		detail     string
	}{
		{"empty", "", 400, "malformed", "the body is empty"},
		{"cut off", `{"count":1`, 400, "malformed", "the body ends too early"},
		{"null", "null", 400, "malformed", "the body is null"},
		{"unknown field", `{"count":1,"price":"red"}`, 400, "malformed", `unknown field "price"`},
		{"wrong type", `{"count":"one"}`, 400, "malformed", "count: unexpected string"},
		{"wrong type of all", `[]`, 400, "malformed", "the body: unexpected array"},
		{"too large a number", `{"count":9223372036854775808}`, 400, "malformed", "count: unexpected number 9223372036854775808"},
		{"two values", `{"count":1}{"count":2}`, 400, "malformed", "something follows the JSON value"},
		{"name twice", `{"count":1,"count":2}`, 400, "malformed", `the name "count" stands twice in one object`},
		{"name twice, the same value", `{"count":1,"count":1}`, 400, "malformed", `the name "count" stands twice in one object`},
		{"names of one field", `{"count":1,"Count":5}`, 400, "malformed", `the names "count" and "Count" mean one field`},
		{"not UTF-8", "{\"row\":\"\xff\"}", 400, "malformed", "the body is not UTF-8"},
		{"too large", `{"row":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "too_large", "the body is larger than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := requireProblem(t, s.put(tt.name, tt.body), tt.status, tt.code)
			require.Equal(t, tt.detail, p.Detail)
			require.Equal(t, http.StatusNotFound, s.get(tt.name).Code)
		})
	}
}

// TestIncompleteBody: a body that breaks off proves nothing about the step. Its sender, if it still listens, is told to
// try again, and not that the step is refused.
func TestIncompleteBody(t *testing.T) {
	t.Parallel()

	s := newService(t, sqlite(t, ""), nil)
	server := httptest.NewServer(s.mux)
	t.Cleanup(server.Close)
	for name, request := range map[string]string{
		"shorter than announced": "Content-Length: 500\r\n\r\n" + oneSeat,
		"nothing came":           "Content-Length: 500\r\n\r\n",
		"last chunk is missing":  "Transfer-Encoding: chunked\r\n\r\nb\r\n" + oneSeat + "\r\n",
		"chunk breaks off":       "Transfer-Encoding: chunked\r\n\r\n100\r\n" + oneSeat,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var dialer net.Dialer
			conn, err := dialer.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "PUT /tickets/k HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+request)
			require.NoError(t, err)
			half, ok := conn.(interface{ CloseWrite() error })
			require.True(t, ok)
			require.NoError(t, half.CloseWrite())
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer answer.Body.Close()
			require.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
			var p problem
			require.NoError(t, json.NewDecoder(answer.Body).Decode(&p))
			require.Equal(t, "incomplete", p.Code)
			require.Equal(t, http.StatusNotFound, s.get("k").Code)
		})
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()

	s := newService(t, sqlite(t, ""), nil)
	for contentType, want := range map[string]int{
		"application/json":                  http.StatusOK,
		"Application/JSON; charset=utf-8":   http.StatusOK,
		"":                                  http.StatusUnsupportedMediaType,
		"text/plain":                        http.StatusUnsupportedMediaType,
		"application/x-www-form-urlencoded": http.StatusUnsupportedMediaType,
	} {
		r := httptest.NewRequest(http.MethodPut, "/tickets/k", strings.NewReader(oneSeat))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, contentType)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		for _, key := range []string{"order-42:TakeSeats", "order-42:TakeSeats.A/1 ?#%é", strings.Repeat("k", 512)} {
			require.Equal(t, http.StatusOK, s.put(key, oneSeat).Code)
			require.Equal(t, 1, s.taken(t, key))
		}
		for _, key := range []string{strings.Repeat("k", 513), "a\x00b", "a\nb", "a\xffb"} {
			requireProblem(t, s.put(key, oneSeat), http.StatusBadRequest, "malformed")
			requireProblem(t, s.delete(key), http.StatusBadRequest, "malformed")
			requireProblem(t, s.get(key), http.StatusBadRequest, "malformed")
		}
	})
}

// TestSameBody: the fingerprint is of what JSON says, not of how it is written.
func TestSameBody(t *testing.T) {
	t.Parallel()

	s := newService(t, sqlite(t, ""), nil)
	first := s.put("k", `{"count":1,"row":"A<"}`)
	require.Equal(t, http.StatusOK, first.Code)
	for _, same := range []string{`{"count":1,"row":"A<"}`, ` { "row" : "\u0041\u003c", "count" : 1 } `} {
		w := s.put("k", same)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Equal(t, first.Body.String(), w.Body.String())
	}
	for _, other := range []string{`{"count":2,"row":"A<"}`, `{"count":1}`, `{"count":1,"row":"a<"}`} {
		requireProblem(t, s.put("k", other), http.StatusConflict, "key_reused")
	}
	require.Equal(t, 1, s.taken(t, "k"))
}

// TestUndoGetsWhatDoGot: if a body can be read in more than one way, both act on one reading of it, which also
// distinguishes it from another body.
func TestUndoGetsWhatDoGot(t *testing.T) {
	t.Parallel()

	type loose struct {
		Extra map[string]json.RawMessage `json:"extra"`
		Count int64                      `json:"count"`
	}
	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		var did, undid []loose
		fence.Handle(s.mux, s.ledger, "/loose/{key}", fence.Step[loose, struct{}]{
			Name: "Loose",
			Do: func(_ context.Context, _ *sql.Tx, _ string, in loose) (struct{}, error) {
				did = append(did, in)
				return struct{}{}, nil
			},
			Undo: func(_ context.Context, _ *sql.Tx, _ string, in loose, _ struct{}) error {
				undid = append(undid, in)
				return nil
			},
		})
		call := func(method, key, body string) int {
			r := httptest.NewRequest(method, "/loose/"+key, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.mux.ServeHTTP(w, r)
			return w.Code
		}
		for i, body := range []string{
			`{"count":1}`, `{"COUNT":2}`, ` { "extra" : { "b" : [ 1.0 , 2 ] , "B" : "\u0041" } , "count" : 3 } `,
			`{"extra":{"x":{"z":1e2,"y":"<"}}}`,
		} {
			key := fmt.Sprint("k", i)
			require.Equal(t, http.StatusOK, call(http.MethodPut, key, body), body)
			require.Equal(t, http.StatusNoContent, call(http.MethodDelete, key, ""), body)
		}
		require.Equal(t, did, undid)
		require.Equal(t, int64(2), did[1].Count)
		require.Len(t, did[2].Extra, 2, "the names of a map are not fields")
	})
}

func TestProbe(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		requireProblem(t, s.get("k"), http.StatusNotFound, "not_found")
		result := strings.TrimSpace(s.put("k", oneSeat).Body.String())
		require.JSONEq(t, `{"key":"k","step":"TakeSeats","state":"done","result":`+result+"}", s.get("k").Body.String())
		s.delete("k")
		require.JSONEq(t, `{"key":"k","step":"TakeSeats","state":"undone","result":`+result+"}", s.get("k").Body.String())
		s.delete("never done")
		require.JSONEq(t, `{"key":"never done","step":"TakeSeats","state":"undone"}`, s.get("never done").Body.String())
	})
}

// TestTimes: the ledger records when a key was first seen and when it last changed. Rows are pruned by these times.
func TestTimes(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		times := func(key string) (created, updated int64) {
			row := s.db.QueryRowContext(t.Context(), "SELECT created_at, updated_at FROM step_ledger WHERE key = $1", key)
			require.NoError(t, row.Scan(&created, &updated))
			return created, updated
		}
		age := func(key string) {
			_, err := s.db.ExecContext(t.Context(), "UPDATE step_ledger SET created_at = 1000, updated_at = 1000 WHERE key = $1", key)
			require.NoError(t, err)
		}
		began := time.Now().UnixMilli()
		require.Equal(t, http.StatusOK, s.put("k", oneSeat).Code)
		require.Equal(t, http.StatusNoContent, s.delete("never done").Code)
		for _, key := range []string{"k", "never done"} {
			created, updated := times(key)
			require.Equal(t, created, updated)
			require.GreaterOrEqual(t, created, began)
			require.LessOrEqual(t, created, time.Now().UnixMilli())
			age(key)
		}

		require.Equal(t, http.StatusOK, s.put("k", oneSeat).Code)
		require.Equal(t, http.StatusNoContent, s.delete("never done").Code)
		for _, key := range []string{"k", "never done"} {
			created, updated := times(key)
			require.Equal(t, []int64{1000, 1000}, []int64{created, updated}, "a repeat changes nothing")
		}
		require.Equal(t, http.StatusNoContent, s.delete("k").Code)
		created, updated := times("k")
		require.Equal(t, int64(1000), created)
		require.GreaterOrEqual(t, updated, began)
	})
}

// TestStepsAreApart: a key of one step says nothing of the same key of another.
func TestStepsAreApart(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		fence.Handle(s.mux, s.ledger, "/parking/{key}", fence.Step[struct{}, string]{
			Name: "Park",
			Do:   func(context.Context, *sql.Tx, string, struct{}) (string, error) { return "P1", nil },
		})
		require.Equal(t, http.StatusNoContent, s.delete("k").Code)
		r := httptest.NewRequest(http.MethodPut, "/parking/k", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Equal(t, "\"P1\"\n", w.Body.String())
	})
}

// TestOlderRows: a row is undone by a version of the service whose types have changed since.
func TestOlderRows(t *testing.T) {
	t.Parallel()

	type renamed struct {
		Count int64 `json:"count"`
		Hall  string
	}
	d := sqlite(t, "")
	old := newService(t, d, nil)
	require.Equal(t, http.StatusOK, old.put("k", `{"count":3,"row":"B"}`).Code)

	mux := http.NewServeMux()
	var undone renamed
	fence.Handle(mux, fence.NewLedger(d.open(t), d.dialect), "/tickets/{key}", fence.Step[renamed, struct{}]{
		Name: "TakeSeats",
		Do:   func(context.Context, *sql.Tx, string, renamed) (struct{}, error) { return struct{}{}, nil },
		Undo: func(_ context.Context, _ *sql.Tx, _ string, in renamed, _ struct{}) error {
			undone = in
			return nil
		},
	})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, "/tickets/k", nil))
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	require.Equal(t, renamed{Count: 3}, undone)
}

func TestMistakesOfTheProgram(t *testing.T) {
	t.Parallel()

	step := fence.Step[seats, ticket]{Name: "TakeSeats", Do: take}
	l := fence.NewLedger(nil, fence.SQLite)
	for _, pattern := range []string{"", "/tickets", "/tickets/{id}", "/tickets/{key...}", "PUT /tickets/{key}"} {
		require.Panics(t, func() { fence.Handle(http.NewServeMux(), l, pattern, step) }, pattern)
	}
	require.Panics(t, func() {
		fence.Handle(http.NewServeMux(), l, "/tickets/{key}", fence.Step[seats, ticket]{Do: take})
	})
	require.Panics(t, func() {
		fence.Handle(http.NewServeMux(), l, "/tickets/{key}", fence.Step[seats, ticket]{Name: "TakeSeats"})
	})
	require.Panics(t, func() { fence.Schema(0) })
	require.Panics(t, func() { fence.NewLedger(nil, 0) })
}

// TestRefusalsAreNotRemembered: a step that was refused may be tried again with its key, even with
// another body.
func TestRefusalsAreNotRemembered(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, func(s *fence.Step[seats, ticket]) {
			s.Do = func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
				out, err := take(ctx, tx, key, in)
				if in.Count > 10 {
					return ticket{}, fence.Refuse("sold_out", "%d seats wanted, 10 left", in.Count)
				}
				return out, err
			}
		})
		p := requireProblem(t, s.put("k", `{"count":11}`), http.StatusUnprocessableEntity, "sold_out")
		require.Equal(t, "11 seats wanted, 10 left", p.Detail)
		require.Zero(t, s.taken(t, "k"))
		require.Equal(t, http.StatusNotFound, s.get("k").Code)
		w := s.put("k", `{"count":10}`)
		require.Equal(t, http.StatusOK, w.Code)
		var out ticket
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
		require.Equal(t, int64(10), out.Seats.Count)
	})
}
