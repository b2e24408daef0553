package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
)

// shop is an API in which an order is accepted after 100 ms and ends after a second; a stuck one never does.
type shop struct {
	mu     sync.Mutex
	placed []time.Time
	orders map[string]string // by their key
	down   bool
	slow   bool // accepted after four seconds
	stuck  bool
}

func (s *shop) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("connection refused")
	}
	began := time.Now().UTC()
	status, body := http.StatusAccepted, `{"id":"42","state":"running"}`
	wait := 100 * time.Millisecond
	sent, _ := io.ReadAll(r.Body)
	key := r.Header.Get("Idempotency-Key")
	switch {
	case r.Header.Get("Prefer") == "":
		s.placed = append(s.placed, began)
		s.orders[key] = string(sent)
		if s.slow {
			wait = 4 * time.Second
		}
	case s.orders[key] != string(sent):
		return nil, errors.New("the key is another order's")
	case s.stuck:
		wait = time.Minute
	default:
		status, wait = http.StatusCreated, time.Second
		body = fmt.Sprintf(`{"id":"42","state":"completed","started_at":%q,"ended_at":%q}`, began.Format(time.RFC3339Nano), began.Add(time.Second).Format(time.RFC3339Nano))
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// loaded runs a load on the shop for ten seconds, 2.3 orders a second: then no two things happen at one time.
func loaded(ctx context.Context, t *testing.T, s *shop, width func() int) (string, error) {
	t.Helper()
	s.orders = map[string]string{}
	c, err := client.New("http://shop.example", client.Options{HTTP: &http.Client{Transport: s}, Repeats: -1})
	require.NoError(t, err)
	var out strings.Builder
	err = Run(ctx, c, Options{
		Rate: 2.3, Duration: 10 * time.Second, Settle: 5 * time.Second, Out: &out, Width: width,
		Mix: []Share{{client.OrderRequest{Carrier: "often"}, 9}, {client.OrderRequest{Carrier: "seldom"}, 1}, {client.OrderRequest{Carrier: "never"}, 0}},
	})
	return out.String(), err
}

func TestLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shop{}
		out, err := loaded(t.Context(), t, s, nil)
		require.NoError(t, err)
		require.Len(t, s.placed, 23)
		for i, at := range s.placed {
			require.InDelta(t, float64(i)/2.3, at.Sub(s.placed[0]).Seconds(), 1e-6, "whatever the ones before do")
		}
		require.True(t, strings.HasSuffix(out, `
23 orders asked for, 2.3/s of 2.3/s accepted
  23 completed

        COUNT        P50        P95        P99    LONGEST
accept     23   100.0 ms   100.0 ms   100.0 ms   100.0 ms
end        23  1000.0 ms  1000.0 ms  1000.0 ms  1000.0 ms
`), out)
		require.Contains(t, out, "5.0 s  2.3/s asked  2.4/s reached  3 in flight  9 completed; accept p50 100.0 ms")
		require.NotContains(t, fmt.Sprint(s.orders), "never")
	})
}

func TestLoadOnATerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out, err := loaded(t.Context(), t, &shop{}, func() int { return 30 })
		require.NoError(t, err)
		require.Contains(t, out, "\x1b[3A\x1b[J0.2 s  2.3/s asked  4.0/s re…\naccept p50 100.0 ms  p95 100…\nend p50 –  p95 –  p99 –\n")
	})
}

// A slow system shows in what was reached, and is no less asked for.
func TestLoadThatIsTooMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out, err := loaded(t.Context(), t, &shop{slow: true}, nil)
		require.NoError(t, err)
		require.Contains(t, out, "23 orders asked for, 1.4/s of 2.3/s accepted\n  23 completed\n")
	})
}

func TestLoadWithoutAnAPI(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out, err := loaded(t.Context(), t, &shop{down: true}, nil)
		require.ErrorIs(t, err, client.ErrUnreachable)
		require.ErrorContains(t, err, "23 orders could not be placed or followed, one because of: ")
		require.Contains(t, out, "  23 failed\n")
	})
}

func TestLoadThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		out, err := loaded(t.Context(), t, &shop{stuck: true}, nil)
		require.EqualError(t, err, "23 orders did not end within 5s")
		require.Contains(t, out, "  23 not ended\n")
		require.Equal(t, 15*time.Second, time.Since(began))
	})
}

// Whoever interrupts it gets the summary.
func TestLoadInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2200*time.Millisecond)
		defer cancel()
		out, err := loaded(ctx, t, &shop{}, nil)
		require.NoError(t, err)
		require.Contains(t, out, "6 orders asked for, 2.3/s of 2.3/s accepted\n  3 completed\n  3 not ended\n")
	})
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var sample []time.Duration
	require.Zero(t, quantile(sample, 0.5))
	for i := 100; i > 0; i-- {
		sample = append(sample, time.Duration(i))
	}
	require.Equal(t, []time.Duration{50, 95, 99, 100}, []time.Duration{quantile(sample, 0.5), quantile(sample, 0.95), quantile(sample, 0.99), quantile(sample, 1)})
	require.Equal(t, time.Duration(7), quantile([]time.Duration{7}, 0.5))
}
