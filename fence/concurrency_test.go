package fence_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence"
)

const oneSeat = `{"count":1}`

// TestDoWhileUndo lets dos and undos of one key meet, for many keys at once and from two processes:
// whatever the order, nothing stands behind a 204, and nobody is told what is not so.
func TestDoWhileUndo(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		testDoWhileUndo(t, newService(t, d, nil), newService(t, d, nil))
	})
	t.Run("SQLite, deferred transactions", func(t *testing.T) {
		t.Parallel()
		d := sqlite(t, "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
		testDoWhileUndo(t, newService(t, d, nil), newService(t, d, nil))
	})
	t.Run("SQLite, rollback journal", func(t *testing.T) {
		t.Parallel()
		d := sqlite(t, "?_pragma=busy_timeout(10000)&_pragma=journal_mode(DELETE)&_pragma=synchronous(OFF)")
		testDoWhileUndo(t, newService(t, d, nil), newService(t, d, nil))
	})
}

func testDoWhileUndo(t *testing.T, processes ...*service) {
	const keys, dos, undos = 60, 4, 2
	type answers struct{ dos, undos []*httptest.ResponseRecorder }
	all := make([]answers, keys)
	var wg sync.WaitGroup
	for i := range all {
		key := fmt.Sprintf("saga-%d:TakeSeats", i)
		all[i] = answers{make([]*httptest.ResponseRecorder, dos), make([]*httptest.ResponseRecorder, undos)}
		do := func() {
			for j := range dos {
				wg.Go(func() {
					all[i].dos[j] = settle(func() *httptest.ResponseRecorder { return processes[j%2].put(key, oneSeat) })
				})
			}
		}
		if i%2 == 0 {
			do()
		}
		for j := range undos {
			wg.Go(func() {
				all[i].undos[j] = settle(func() *httptest.ResponseRecorder { return processes[j%2].delete(key) })
			})
		}
		if i%2 != 0 {
			do()
		}
	}
	wg.Wait()

	var doneFirst int
	for i, got := range all {
		key := fmt.Sprintf("saga-%d:TakeSeats", i)
		for _, undo := range got.undos {
			require.Equal(t, http.StatusNoContent, undo.Code, undo.Body)
		}
		results := map[string]bool{}
		for _, do := range got.dos {
			if do.Code != http.StatusGone {
				require.Equal(t, http.StatusOK, do.Code, do.Body)
				results[do.Body.String()] = true
			}
		}
		require.LessOrEqual(t, len(results), 1, "it was done more than once")
		doneFirst += len(results)
		require.Zero(t, processes[0].taken(t, key), "an effect stands behind a 204")
		require.Contains(t, processes[0].get(key).Body.String(), `"state":"undone"`)
		require.Equal(t, http.StatusGone, processes[1].put(key, oneSeat).Code)
	}
	t.Logf("of %d keys %d were done first", keys, doneFirst)
}

// settle calls until the service is no longer busy.
func settle(call func() *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	for {
		w := call()
		if w.Code != http.StatusServiceUnavailable && !strings.Contains(w.Body.String(), `"in_progress"`) {
			return w
		}
	}
}

// TestManyDosOfOneKey counts what Do did, which the conformance suite cannot see.
func TestManyDosOfOneKey(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		one, other := newService(t, d, nil), newService(t, d, nil)
		answers := make([]*httptest.ResponseRecorder, 40)
		var wg sync.WaitGroup
		for i := range answers {
			s := one
			if i%2 == 0 {
				s = other
			}
			wg.Go(func() { answers[i] = settle(func() *httptest.ResponseRecorder { return s.put("k", oneSeat) }) })
		}
		wg.Wait()
		for _, w := range answers {
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.Equal(t, answers[0].Body.String(), w.Body.String())
		}
		require.Equal(t, 1, one.taken(t, "k"))
	})
}

// TestManyUndosOfOneKey: Undo runs once, and the other callers wait for it; none of them has to come
// again.
func TestManyUndosOfOneKey(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		var undos atomic.Int64
		s := newService(t, d, func(s *fence.Step[seats, ticket]) {
			s.Undo = func(ctx context.Context, tx *sql.Tx, key string, in seats, out ticket) error {
				undos.Add(1)
				return giveBack(ctx, tx, key, in, out)
			}
		})
		require.Equal(t, http.StatusOK, s.put("k", oneSeat).Code)
		var answers [20]*httptest.ResponseRecorder
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = s.delete("k") })
		}
		wg.Wait()
		for _, w := range answers {
			require.Equal(t, http.StatusNoContent, w.Code, w.Body)
		}
		require.Equal(t, int64(1), undos.Load())
		require.Zero(t, s.taken(t, "k"))
	})
}

// gate makes the first Do of a service wait inside its transaction.
type gate struct {
	entered, leave chan struct{}
	end            error // what the first Do returns
	calls          atomic.Int64
}

func newGate() *gate { return &gate{entered: make(chan struct{}), leave: make(chan struct{})} }

func (g *gate) through(s *fence.Step[seats, ticket]) {
	s.Do = func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
		out, err := take(ctx, tx, key, in)
		if g.calls.Add(1) == 1 {
			close(g.entered)
			<-g.leave
			err = errors.Join(err, g.end)
		}
		return out, err
	}
}

// waiting returns when a transaction waits for another one. SQLite cannot tell, so there it returns
// at once: either order must do then.
func waiting(t *testing.T, s *service, d database) {
	t.Helper()
	if d.dialect != fence.PostgreSQL {
		return
	}
	require.Eventually(t, func() bool {
		var n int
		err := s.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		return err == nil && n > 0
	}, 20*time.Second, 5*time.Millisecond, "nobody waits")
}

// TestSecondWaits: while a key is being done, who else calls it waits and then acts on what became
// of the first.
func TestSecondWaits(t *testing.T) {
	t.Parallel()

	put := func(s *service) *httptest.ResponseRecorder { return s.put("k", oneSeat) }
	undo := func(s *service) *httptest.ResponseRecorder { return s.delete("k") }
	for _, tt := range []struct {
		name   string
		end    error
		second func(*service) *httptest.ResponseRecorder
		first  int
		want   int
		does   int64
		stands int
	}{
		{"do after a do", nil, put, 200, 200, 1, 1},
		{"do after a do that failed", errors.New("no luck"), put, 500, 200, 2, 1},
		{"do after a do that was refused", fence.Refuse("sold_out", "none left"), put, 422, 200, 2, 1},
		{"undo after a do", nil, undo, 200, 204, 1, 0},
		{"undo after a do that failed", errors.New("no luck"), undo, 500, 204, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d database) {
				g := newGate()
				g.end = tt.end
				s := newService(t, d, g.through)
				var first, second *httptest.ResponseRecorder
				var wg sync.WaitGroup
				wg.Go(func() { first = put(s) })
				<-g.entered
				require.Equal(t, http.StatusNotFound, s.get("k").Code, "what is not committed is not told")
				wg.Go(func() { second = tt.second(s) })
				waiting(t, s, d)
				close(g.leave)
				wg.Wait()

				require.Equal(t, tt.first, first.Code, first.Body)
				require.Equal(t, tt.want, second.Code, second.Body)
				require.Equal(t, tt.does, g.calls.Load())
				require.Equal(t, tt.stands, s.taken(t, "k"))
				if first.Code == second.Code {
					require.Equal(t, first.Body.String(), second.Body.String())
				}
			})
		})
	}
}

// TestWaitEnds: nobody waits longer than Wait.
func TestWaitEnds(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		g := newGate()
		s := newService(t, d, g.through)
		s.ledger.Wait = 20 * time.Millisecond
		var first *httptest.ResponseRecorder
		var wg sync.WaitGroup
		wg.Go(func() { first = s.put("k", oneSeat) })
		<-g.entered
		start := time.Now()
		for _, w := range []*httptest.ResponseRecorder{s.put("k", oneSeat), s.delete("k")} {
			if d.dialect == fence.PostgreSQL {
				requireProblem(t, w, http.StatusConflict, "in_progress")
			} else {
				requireProblem(t, w, http.StatusServiceUnavailable, "unavailable")
			}
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		}
		require.Less(t, time.Since(start), 8*time.Second, "it waited for as long as the driver does, 10 s a call")
		if d.dialect == fence.PostgreSQL {
			require.Equal(t, http.StatusOK, s.put("other key", oneSeat).Code, "another key need not wait")
		}
		close(g.leave)
		wg.Wait()
		require.Equal(t, http.StatusOK, first.Code, first.Body)
		require.Equal(t, http.StatusNoContent, s.delete("k").Code)
	})
}

// TestCallerLeaves: what a caller no longer waits for is rolled back, and the key is free.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		g := newGate()
		s := newService(t, d, g.through)
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodPut, "/tickets/k", strings.NewReader(oneSeat))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		var wg sync.WaitGroup
		wg.Go(func() { s.mux.ServeHTTP(w, r) })
		<-g.entered
		leave()
		close(g.leave)
		wg.Wait()
		require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
		require.Zero(t, s.taken(t, "k"))
		require.Equal(t, http.StatusOK, s.put("k", oneSeat).Code)
		require.Equal(t, 1, s.taken(t, "k"))
	})
}
