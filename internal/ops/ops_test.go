package ops_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/amends-dev/amends/internal/ops"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestServer(t *testing.T) {
	t.Parallel()

	var ready atomic.Bool
	s := start(t, ops.Options{
		Version: "v1",
		Ready: func(context.Context) error {
			if !ready.Load() {
				return errors.New("Temporal is away")
			}
			return nil
		},
		Handlers: map[string]http.Handler{"GET /metrics": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "up 1")
		})},
	})

	require.Equal(t, reply{200, "application/json", `{"version":"v1"}` + "\n"}, get(t, s, "/healthz"))
	require.Equal(t, reply{
		503, "application/problem+json",
		`{"detail":"Temporal is away","status":503,"title":"The process is not ready."}` + "\n",
	}, get(t, s, "/readyz"))
	require.Equal(t, "up 1", get(t, s, "/metrics").body)
	require.Equal(t, 404, get(t, s, "/other").status)

	ready.Store(true)
	require.Eventually(t, func() bool { return get(t, s, "/readyz").status == 200 }, time.Minute, 50*time.Millisecond, "it is looked at once a second")
	require.Equal(t, reply{200, "application/json", `{"ready":true}` + "\n"}, get(t, s, "/readyz"))

	s.Drain()
	drained := get(t, s, "/readyz")
	require.Equal(t, 503, drained.status)
	require.Contains(t, drained.body, "The process stops.")
	require.Equal(t, 200, get(t, s, "/healthz").status, "a process that stops lives")
}

// However often callers ask, the process is checked once a second.
func TestReadyIsKept(t *testing.T) {
	t.Parallel()

	var looks atomic.Int64
	s := start(t, ops.Options{Ready: func(context.Context) error {
		looks.Add(1)
		return nil
	}})
	begin := time.Now()
	for range 100 {
		require.Equal(t, 200, get(t, s, "/readyz").status)
	}
	require.LessOrEqual(t, looks.Load(), 1+int64(time.Since(begin)/time.Second))
}

// A page in a browser whose name points to this machine learns nothing.
func TestOtherNames(t *testing.T) {
	t.Parallel()

	s := start(t, ops.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/healthz", nil)
	require.NoError(t, err)
	req.Host, req.Close = "evil.example", true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusMisdirectedRequest, resp.StatusCode)
}

// What answers never is not ready either.
func TestReadyTakesTooLong(t *testing.T) {
	t.Parallel()

	s := start(t, ops.Options{Ready: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}})

	require.Equal(t, 503, get(t, s, "/readyz").status)
}

func TestTakenAddress(t *testing.T) {
	t.Parallel()

	s := start(t, ops.Options{})
	require.Equal(t, 200, get(t, s, "/readyz").status)

	_, err := ops.Start(t.Context(), ops.Options{Addr: s.URL[len("http://"):]})
	require.ErrorContains(t, err, "choose another with --ops-addr")
}

func TestNobodyAsked(t *testing.T) {
	t.Parallel()

	var s *ops.Server
	s.Drain()
	require.NoError(t, s.Stop(t.Context()))
}

func start(t *testing.T, o ops.Options) *ops.Server {
	t.Helper()
	o.Addr, o.Logger = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := ops.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.WithoutCancel(t.Context()))) })
	return s
}

type reply struct {
	status          int
	mediaType, body string
}

func get(t *testing.T, s *ops.Server, path string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	require.NoError(t, err)
	req.Close = true // so that no connection outlives the test
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp.StatusCode, resp.Header.Get("Content-Type"), string(body)}
}
