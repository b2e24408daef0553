package api_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

var receipt = workflows.Receipt{
	OrderID: orderID, Total: order.Money{Amount: 1300, Currency: "EUR"}, Paid: order.Money{Amount: 1300, Currency: "EUR"}, CaptureID: "cap-1",
}

// A start is answered with the saga if it ends while the caller waits, however it ends.
func TestWaitForTheEnd(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		status enumspb.WorkflowExecutionStatus
		state  compensation.State
	}{
		{enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Completed},
		{enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated},
	} {
		t.Run(string(tt.state), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			description(t) // outside the bubble: others use it, too

			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				go func() {
					<-time.After(3 * time.Second)
					b.temporal.end("order-"+orderID, tt.status, tt.state, receipt)
				}()
				a := b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Prefer", "wait=10")

				require.Equal(t, 201, a.status, a.body)
				require.Equal(t, "/v1/orders/"+orderID, a.header.Get("Location"))
				require.Equal(t, "wait=10", a.header.Get("Preference-Applied"))
				require.Equal(t, string(tt.state), a.json(t, "state"))
				require.NotEmpty(t, a.json(t, "steps"))
				require.InDelta(t, 3*time.Second, time.Since(begin), float64(100*time.Millisecond))
			})
		})
	}
}

func TestWaitForAReturn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, nil)
	b.started(t, "/v1/returns", exampleReturn)
	b.temporal.end("return-"+returnID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, workflows.RefundReceipt{
		ReturnID: returnID, OrderID: orderID, Refunded: order.Money{Amount: 650, Currency: "EUR"},
	})

	a := b.ask(t, http.MethodPost, "/v1/returns", exampleReturn, "Prefer", "wait=10")

	require.Equal(t, 201, a.status, a.body)
	require.Equal(t, "completed", a.json(t, "state"))
}

// What does not end in time is answered like a start without a wait.
func TestWaitIsOver(t *testing.T) {
	t.Parallel()

	for prefer, want := range map[string]struct {
		applied string
		waited  time.Duration
	}{
		"":                                     {"", 0},
		"wait=2":                               {"wait=2", 2 * time.Second},
		`respond-async, WAIT = "2" ; x=1`:      {"wait=2", 2 * time.Second},
		"wait=2, wait=5":                       {"wait=2", 2 * time.Second},
		"wait=600":                             {"wait=60", time.Minute},
		"wait=99999999999999999999":            {"", 0},
		"wait=-1":                              {"", 0},
		"wait=1.5":                             {"", 0},
		"wait":                                 {"", 0},
		"wait=0":                               {"", 0},
		"waiting=3":                            {"", 0},
		"handling=lenient;wait=3, something=1": {"", 0},
	} {
		t.Run(prefer, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			description(t) // outside the bubble: others use it, too

			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				a := b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Prefer", prefer)

				require.Equal(t, 202, a.status, a.body)
				require.Equal(t, "running", a.json(t, "state"))
				require.Equal(t, want.applied, a.header.Get("Preference-Applied"))
				require.Equal(t, want.waited, time.Since(begin))
			})
		})
	}
}

// A server that is shut down answers those who wait, as if their time were over.
func TestWaitsEndWithTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	tag := b.get(t, "/v1/orders/"+orderID).header.Get("ETag")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := api.NewServer("", b.handler)
	entered := make(chan struct{}, 2)
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		b.handler.ServeHTTP(w, r)
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	var clients errgroup.Group
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/v1/orders", exampleOrder, 202},
		{http.MethodGet, "/v1/orders/" + orderID, "", 304},
	} {
		clients.Go(func() error {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+listener.Addr().String()+tt.path, strings.NewReader(tt.body))
			if err != nil {
				return err
			}
			for name, value := range map[string]string{
				"Content-Type": "application/json", "Idempotency-Key": orderKey, "Prefer": "wait=60", "If-None-Match": tag,
			} {
				r.Header.Set(name, value)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				return err
			}
			if answer.StatusCode != tt.status {
				return fmt.Errorf("%s: %d", tt.path, answer.StatusCode)
			}
			return answer.Body.Close()
		})
	}
	<-entered
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	require.NoError(t, server.Shutdown(ctx), "the waits are of a minute")

	require.ErrorIs(t, <-served, http.ErrServerClosed)
	require.NoError(t, clients.Wait())
}

func TestETag(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	first := b.get(t, "/v1/orders/"+orderID)
	tag := first.header.Get("ETag")
	require.Regexp(t, `^"[A-Za-z0-9_-]{16}"$`, tag)
	require.Equal(t, tag, b.get(t, "/v1/orders/"+orderID).header.Get("ETag"))

	for _, known := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		a := b.ask(t, http.MethodGet, "/v1/orders/"+orderID, "", "If-None-Match", known)
		require.Equal(t, 304, a.status, known)
		require.Empty(t, a.body)
		require.Equal(t, tag, a.header.Get("ETag"))
	}
	for _, unknown := range []string{`"other"`, strings.Trim(tag, `"`), "W/"} {
		a := b.ask(t, http.MethodGet, "/v1/orders/"+orderID, "", "If-None-Match", unknown)
		require.Equal(t, 200, a.status, unknown)
		require.Equal(t, first.body, a.body)
	}

	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated, nil)
	changed := b.ask(t, http.MethodGet, "/v1/orders/"+orderID, "", "If-None-Match", tag)
	require.Equal(t, 200, changed.status)
	require.NotEqual(t, tag, changed.header.Get("ETag"))
}

func TestWaitForNews(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	tag := b.get(t, "/v1/orders/"+orderID).header.Get("ETag")

	synctest.Test(t, func(t *testing.T) {
		news := func() (answer, time.Duration) {
			begin := time.Now()
			a := b.ask(t, http.MethodGet, "/v1/orders/"+orderID, "", "If-None-Match", tag, "Prefer", "wait=20")
			return a, time.Since(begin)
		}
		a, waited := news()
		require.Equal(t, 304, a.status)
		require.Equal(t, "wait=20", a.header.Get("Preference-Applied"))
		require.Equal(t, 20*time.Second, waited, "longer than a request without a wait may take")

		go func() {
			<-time.After(3 * time.Second)
			b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated, nil)
		}()
		a, waited = news()
		require.Equal(t, 200, a.status)
		require.Equal(t, "compensated", a.json(t, "state"))
		require.InDelta(t, 3*time.Second, waited, float64(time.Second))

		tag = a.header.Get("ETag")
		a, waited = news()
		require.Equal(t, 304, a.status)
		require.Zero(t, waited, "nothing can change any more")
	})
}

// limited is a connection that notes its deadlines.
type limited struct {
	http.ResponseWriter
	write []time.Time
}

func (l *limited) SetWriteDeadline(at time.Time) error {
	l.write = append(l.write, at)
	return nil
}

// The limits of the connection leave room for the wait.
func TestWaitIsWithinTheConnectionsLimits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)

	synctest.Test(t, func(t *testing.T) {
		for prefer, want := range map[string]*limited{
			"":        {},
			"wait=60": {write: []time.Time{time.Now().Add(90 * time.Second)}},
		} {
			r := httptest.NewRequest(http.MethodGet, "/v1/orders/"+orderID, nil)
			r.Header.Set("Prefer", prefer)
			l := &limited{ResponseWriter: httptest.NewRecorder()}
			b.handler.ServeHTTP(l, r)
			require.Equal(t, want.write, l.write)
		}
	})
}
