package fence_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/pgtest"
)

type (
	do   = func(context.Context, *sql.Tx, string, seats) (ticket, error)
	undo = func(context.Context, *sql.Tx, string, seats, ticket) error
)

// TestDoFails: whatever goes wrong in Do, nothing stands, the key stays free, and the cause is
// logged, not sent.
func TestDoFails(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		do     do
		status int
		code   string
		cause  string
	}{
		"error": {func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
			_, err := take(ctx, tx, key, in)
			return ticket{}, errors.Join(err, errors.New("secret cause"))
		}, 500, "internal", "secret cause"},
		"panic": {func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
			if _, err := take(ctx, tx, key, in); err != nil {
				return ticket{}, err
			}
			panic("secret cause")
		}, 500, "internal", "secret cause"},
		"wrong statement": {func(ctx context.Context, tx *sql.Tx, _ string, _ seats) (ticket, error) {
			_, err := tx.ExecContext(ctx, "INSERT INTO secret_table VALUES (1)")
			return ticket{}, err
		}, 500, "internal", "secret_table"},
		"timeout": {func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
			_, err := take(ctx, tx, key, in)
			return ticket{}, errors.Join(err, fmt.Errorf("ask the printer: %w", context.DeadlineExceeded))
		}, 503, "unavailable", "ask the printer"},
		"transaction ended": {func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
			out, err := take(ctx, tx, key, in)
			return out, errors.Join(err, tx.Rollback())
		}, 500, "internal", "write the ledger"},
		"ledger row gone": {func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
			out, err := take(ctx, tx, key, in)
			if err == nil {
				_, err = tx.ExecContext(ctx, "DELETE FROM step_ledger")
			}
			return out, err
		}, 500, "internal", "0 rows changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d database) {
				works := false
				s := newService(t, d, func(s *fence.Step[seats, ticket]) {
					s.Do = func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
						if works {
							return take(ctx, tx, key, in)
						}
						return tt.do(ctx, tx, key, in)
					}
				})
				w := s.put("k", oneSeat)
				requireProblem(t, w, tt.status, tt.code)
				require.NotContains(t, w.Body.String(), tt.cause)
				for _, logged := range []string{
					tt.cause, "step=TakeSeats", "key=k", "method=PUT", "saga=order-1",
					"trace_id=0af7651916cd43dd8448eb211c80319c",
				} {
					require.Contains(t, s.log.String(), logged)
				}
				require.Zero(t, s.taken(t, "k"))
				require.Equal(t, http.StatusNotFound, s.get("k").Code)
				works = true
				require.Equal(t, http.StatusOK, s.put("k", oneSeat).Code)
				require.Equal(t, 1, s.taken(t, "k"))
			})
		})
	}
}

// TestUndoFails: an undo that fails changes nothing and may be tried again.
func TestUndoFails(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		undo   undo
		status int
		code   string
	}{
		"error": {func(ctx context.Context, tx *sql.Tx, key string, in seats, out ticket) error {
			return errors.Join(giveBack(ctx, tx, key, in, out), errors.New("no luck"))
		}, 500, "internal"},
		"panic": {func(ctx context.Context, tx *sql.Tx, key string, in seats, out ticket) error {
			panic(giveBack(ctx, tx, key, in, out))
		}, 500, "internal"},
		"refused": {func(ctx context.Context, tx *sql.Tx, key string, in seats, out ticket) error {
			return errors.Join(giveBack(ctx, tx, key, in, out), fence.Refuse("show_is_over", "the show is over"))
		}, 409, "irreversible"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d database) {
				works := false
				s := newService(t, d, func(s *fence.Step[seats, ticket]) {
					s.Undo = func(ctx context.Context, tx *sql.Tx, key string, in seats, out ticket) error {
						if works {
							return giveBack(ctx, tx, key, in, out)
						}
						return tt.undo(ctx, tx, key, in, out)
					}
				})
				first := s.put("k", oneSeat)
				p := requireProblem(t, s.delete("k"), tt.status, tt.code)
				if tt.code == "irreversible" {
					require.Equal(t, "the show is over", p.Detail)
				}
				require.Equal(t, 1, s.taken(t, "k"))
				require.Equal(t, first.Body.String(), s.put("k", oneSeat).Body.String())
				works = true
				require.Equal(t, http.StatusNoContent, s.delete("k").Code)
				require.Zero(t, s.taken(t, "k"))
			})
		})
	}
}

// TestDatabaseAway: a caller is told to come again, on every call and with nothing of the cause.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()

	away := func(t *testing.T, s *service) {
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodGet} {
			w := s.call(method, "k", oneSeat)
			requireProblem(t, w, http.StatusServiceUnavailable, "unavailable")
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		}
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		s := newService(t, sqlite(t, ""), nil)
		gone := database{fence.PostgreSQL, "pgx", "postgres://postgres@127.0.0.1:1/none?sslmode=disable"}
		s.mux = http.NewServeMux()
		fence.Handle(s.mux, fence.NewLedger(gone.open(t), gone.dialect), "/tickets/{key}", fence.Step[seats, ticket]{Name: "TakeSeats", Do: take})
		away(t, s)
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, d database) {
			s := newService(t, d, nil)
			require.NoError(t, s.db.Close())
			away(t, s)
		})
	})
	t.Run("locked by another program", func(t *testing.T) {
		t.Parallel()
		d := sqlite(t, "?_pragma=busy_timeout(1)")
		s := newService(t, d, nil)
		other, err := d.open(t).Conn(t.Context())
		require.NoError(t, err)
		_, err = other.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
		require.NoError(t, err)
		away(t, s)
		_, err = other.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
		require.NoError(t, other.Close())
		require.Equal(t, http.StatusOK, s.put("k", oneSeat).Code)
	})
}

// TestConnectionLost: the server ends the connection in the middle of Do, before and after the effect.
func TestConnectionLost(t *testing.T) {
	t.Parallel()

	lose := true
	s := newService(t, database{fence.PostgreSQL, "pgx", pgtest.DSN(t)}, func(s *fence.Step[seats, ticket]) {
		s.Do = func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
			out, err := take(ctx, tx, key, in)
			if lose {
				_, lost := tx.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
				_, after := tx.ExecContext(ctx, "SELECT 1")
				if strings.HasPrefix(key, "late") {
					return out, nil // fence finds out when it writes the ledger
				}
				return out, errors.Join(err, lost, after)
			}
			return out, err
		}
	})
	for _, key := range []string{"early", "late"} {
		lose = true
		requireProblem(t, s.put(key, oneSeat), http.StatusServiceUnavailable, "unavailable")
		lose = false
		require.Equal(t, http.StatusOK, s.put(key, oneSeat).Code)
		require.Equal(t, 1, s.taken(t, key))
	}
}

// TestDoCommits: a Do that commits by itself leaves a row without a result. Nobody can tell what it
// means, so no call takes it for an answer.
func TestDoCommits(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, func(s *fence.Step[seats, ticket]) {
			s.Do = func(ctx context.Context, tx *sql.Tx, key string, in seats) (ticket, error) {
				out, err := take(ctx, tx, key, in)
				return out, errors.Join(err, tx.Commit())
			}
		})
		requireProblem(t, s.put("k", oneSeat), http.StatusInternalServerError, "internal")
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodGet} {
			requireProblem(t, s.call(method, "k", oneSeat), http.StatusInternalServerError, "internal")
		}
		require.Contains(t, s.log.String(), "Do ended its transaction")
	})
}

// TestNoTable: a service that was not migrated is a mistake to look into, not one to wait out.
func TestNoTable(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		_, err := s.db.ExecContext(t.Context(), "DROP TABLE step_ledger")
		require.NoError(t, err)
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodGet} {
			requireProblem(t, s.call(method, "k", oneSeat), http.StatusInternalServerError, "internal")
		}
		require.Contains(t, s.log.String(), "step_ledger")
	})
}
