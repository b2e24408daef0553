package fence_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/pgtest"
)

// seats is the body of the step under test, ticket its result.
type (
	seats struct {
		Count int64  `json:"count"`
		Row   string `json:"row,omitempty"`
	}
	ticket struct {
		Number int64 `json:"number"`
		Seats  seats `json:"seats"`
	}
)

// database is one that tests run on: its dialect, and how to open it once more.
type database struct {
	dialect fence.Dialect
	driver  string
	dsn     string
}

// each runs run on every database that fence knows.
func each(t *testing.T, run func(t *testing.T, d database)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		run(t, sqlite(t, "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate"))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		run(t, database{fence.PostgreSQL, "pgx", pgtest.DSN(t)})
	})
}

func sqlite(t *testing.T, options string) database {
	t.Helper()
	return database{fence.SQLite, "sqlite", "file:" + filepath.Join(t.TempDir(), "seats.db") + options}
}

func (d database) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open(d.driver, d.dsn)
	require.NoError(t, err)
	db.SetMaxOpenConns(20)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// service serves one step on one database.
type service struct {
	db     *sql.DB
	ledger *fence.Ledger
	mux    *http.ServeMux
	log    *logBuffer
}

// newService migrates d and serves a step that keeps its effects in the table taken. change may
// replace its Do and Undo.
func newService(t *testing.T, d database, change func(*fence.Step[seats, ticket])) *service {
	t.Helper()
	s := &service{db: d.open(t), mux: http.NewServeMux(), log: &logBuffer{}}
	for _, statement := range []string{
		fence.Schema(d.dialect), fence.Schema(d.dialect),
		"CREATE TABLE IF NOT EXISTS taken (key TEXT NOT NULL, count BIGINT NOT NULL)",
	} {
		_, err := s.db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	s.ledger = fence.NewLedger(s.db, d.dialect)
	s.ledger.Wait = 20 * time.Second // the tests' machine may be slow; what is about waiting sets its own
	s.ledger.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	step := fence.Step[seats, ticket]{Name: "TakeSeats", Do: take, Undo: giveBack}
	if change != nil {
		change(&step)
	}
	fence.Handle(s.mux, s.ledger, "/tickets/{key}", step)
	return s
}

// take has no guard of its own: done twice, it leaves two rows.
func take(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
	_, err := tx.ExecContext(ctx, "INSERT INTO taken (key, count) VALUES ($1, $2)", key, in.Count)
	return ticket{Number: time.Now().UnixNano(), Seats: in}, err
}

func giveBack(ctx context.Context, tx *sql.Tx, key string, in seats, out ticket) error {
	if in != out.Seats {
		return fence.Refuse("mixed_up", "undo got %v and %v", in, out)
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM taken WHERE key = $1 AND count = $2", key, in.Count)
	return err
}

// taken counts the effects of key.
func (s *service) taken(t *testing.T, key string) int {
	t.Helper()
	var n int
	require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM taken WHERE key = $1", key).Scan(&n))
	return n
}

// put sends body, which is JSON, as it is.
func (s *service) put(key, body string) *httptest.ResponseRecorder {
	return s.call(http.MethodPut, key, body)
}

func (s *service) delete(key string) *httptest.ResponseRecorder {
	return s.call(http.MethodDelete, key, "")
}

func (s *service) get(key string) *httptest.ResponseRecorder {
	return s.call(http.MethodGet, key, "")
}

func (s *service) call(method, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/tickets/"+url.PathEscape(key), strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Saga-Id", "order-1")
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	if named := w.Header().Values("Saga-Key"); len(named) != 1 || named[0] != url.PathEscape(key) {
		panic(fmt.Sprintf("%s %q: the answer names the key %q", method, key, named))
	}
	return w
}

// problem is an answer that is an error.
type problem struct {
	Type, Title, Detail, Code string
	Status                    int
	TraceID                   string `json:"trace_id"`
}

func requireProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) problem {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	var p problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, code, p.Code)
	require.Equal(t, status, p.Status)
	require.Equal(t, http.StatusText(status), p.Title)
	require.Equal(t, "about:blank", p.Type)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", p.TraceID)
	return p
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestConformance(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		s.conform(t, false)
		var left int
		require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM taken").Scan(&left))
		require.Zero(t, left, "what the suite did and undid")
	})
}

func TestConformanceIrreversible(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		newService(t, d, func(s *fence.Step[seats, ticket]) { s.Undo = nil }).conform(t, true)
	})
}

// conform runs the conformance suite on the service.
func (s *service) conform(t *testing.T, irreversible bool) {
	t.Helper()
	srv := httptest.NewServer(s.mux)
	t.Cleanup(srv.Close)
	fencetest.Run(t, fencetest.Step{
		Name:         "TakeSeats",
		URL:          srv.URL + "/tickets",
		Body:         func(n int) any { return seats{Count: int64(n), Row: "A"} },
		Irreversible: irreversible,
	})
}
