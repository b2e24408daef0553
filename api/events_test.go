package api_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
)

const eventsOf42 = "/v1/sagas/order-" + orderID + "/events"

// events are those of a stream.
func (a answer) events(t *testing.T) []sse.Event {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, "text/event-stream", a.header.Get("Content-Type"))
	var events []sse.Event
	for e, err := range sse.Read(strings.NewReader(a.body), nil) {
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

// park gives the order another state, which is seen with the next look.
func (b *bundle) park() {
	b.temporal.mu.Lock()
	defer b.temporal.mu.Unlock()
	s := b.temporal.sagas["order-"+orderID]
	s.info.SearchAttributes = attributes(compensation.Parked)
	s.events = append(s.events, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES})
}

// fail lets everything fail with the error; nil for no more.
func (f *fakeTemporal) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
}

// after does something when that time has passed, and before anybody looks at the same time.
func after(d time.Duration, do func()) {
	go func() {
		<-time.After(d - time.Millisecond)
		do()
	}()
}

func (b *bundle) endOrder() {
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated, nil)
}

func TestFollow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	description(t) // outside the bubble: others use it, too

	synctest.Test(t, func(t *testing.T) {
		shown := []answer{b.get(t, "/v1/sagas/order-"+orderID)}
		after(3*time.Second, func() {
			b.park()
			shown = append(shown, b.get(t, "/v1/sagas/order-"+orderID))
			after(3*time.Minute, func() {
				b.endOrder()
				shown = append(shown, b.get(t, "/v1/sagas/order-"+orderID))
			})
		})
		begin := time.Now()
		a := b.get(t, eventsOf42)
		ended := time.Now()
		synctest.Wait() // for what was shown last

		require.InDelta(t, 3*time.Minute+3*time.Second, ended.Sub(begin), float64(time.Second), "it ends with its saga")
		require.Equal(t, "no-store", a.header.Get("Cache-Control"))
		require.Equal(t, "no", a.header.Get("X-Accel-Buffering"))
		events := a.events(t)
		require.Len(t, events, 3)
		for i, name := range []string{"saga", "saga", "ended"} {
			require.Equal(t, name, events[i].Type)
			require.Equal(t, shown[i].header.Get("ETag"), `"`+events[i].LastEventID+`"`)
			require.JSONEq(t, shown[i].body, events[i].Data)
		}
	})
}

// Whoever comes back gets what there is, unless it is what they have.
func TestFollowOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	description(t) // outside the bubble: others use it, too

	synctest.Test(t, func(t *testing.T) {
		last := strings.Trim(b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag"), `"`)
		after(3*time.Second, b.endOrder)
		events := b.ask(t, http.MethodGet, eventsOf42, "", "Last-Event-ID", last).events(t)
		require.Len(t, events, 1)
		require.Equal(t, "ended", events[0].Type)

		require.Equal(t, events, b.ask(t, http.MethodGet, eventsOf42, "", "Last-Event-ID", last).events(t))
		require.Equal(t, events, b.ask(t, http.MethodGet, eventsOf42, "", "Last-Event-ID", `"; or something else`).events(t))

		over := b.ask(t, http.MethodGet, eventsOf42, "", "Last-Event-ID", events[0].LastEventID)
		require.Equal(t, 204, over.status)
		require.Empty(t, over.body)
	})
}

func TestFollowNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)

	for _, unknown := range []string{"order-" + otherID, orderID, "recover-order-" + orderID} {
		requireProblem(t, b.ask(t, http.MethodGet, "/v1/sagas/"+unknown+"/events", "", "Accept", "text/event-stream"), 404, "not_found")
	}
	b.temporal.fail(serviceerror.NewUnavailable("away"))
	requireProblem(t, b.get(t, eventsOf42), 503, "temporal_unavailable")
}

// A caller that takes something else gets the stream all the same (RFC 9110, section 12.5.1), and one that asks for the
// headers gets no stream.
func TestFollowWithoutAskingForAStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)

	head := b.ask(t, http.MethodHead, eventsOf42, "")
	require.Equal(t, 200, head.status)
	require.Equal(t, "text/event-stream", head.header.Get("Content-Type"))
	require.Empty(t, head.body)

	b.endOrder()
	require.Len(t, b.ask(t, http.MethodGet, eventsOf42, "", "Accept", "application/json").events(t), 1)
}

// wire is a connection that notes what reaches the other side, when, and its deadlines.
type wire struct {
	header   http.Header
	begin    time.Time
	buffered strings.Builder
	sent     []string
	write    time.Time
	// room is for how long each thing that was sent could have waited to be read.
	room []time.Duration
	// reads is how much is read; 0 is everything.
	reads int
}

func (w *wire) Header() http.Header { return w.header }

func (w *wire) WriteHeader(int) {}

func (w *wire) Write(p []byte) (int, error) {
	w.room = append(w.room, time.Until(w.write))
	if w.reads > 0 && len(w.room) > w.reads {
		return 0, os.ErrDeadlineExceeded
	}
	return w.buffered.Write(p)
}

func (w *wire) Flush() {
	line, _, _ := strings.Cut(w.buffered.String(), "\n")
	if _, id, ok := strings.Cut(line, "id: "); ok && id != "" {
		line = "saga"
	}
	w.sent = append(w.sent, fmt.Sprintf("%s %s", time.Since(w.begin).Round(time.Second), line))
	w.buffered.Reset()
}

func (w *wire) SetWriteDeadline(at time.Time) error {
	w.write = at
	return nil
}

// stream follows order b4525638-64ca-8852-91fe-fdf9e706de90 until the stream ends, or ctx does.
func (b *bundle) stream(ctx context.Context) *wire {
	w := &wire{header: http.Header{}, begin: time.Now()}
	b.handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, eventsOf42, nil))
	return w
}

// A stream is never silent for long, and its caller has ten seconds to read what was sent.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)

	synctest.Test(t, func(t *testing.T) {
		after(39*time.Second, func() { b.park() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := b.stream(ctx)

		require.Equal(t, []string{"0s retry: 1000", "0s saga", "15s : heartbeat", "30s : heartbeat", "39s saga", "54s : heartbeat"}, w.sent)
		for _, room := range w.room {
			require.Equal(t, 10*time.Second, room)
		}
		require.Equal(t, 10*time.Second, time.Until(w.write), "for the end of the answer")
		require.Equal(t, time.Minute, time.Since(w.begin), "it ends when its caller is gone")
		require.NotContains(t, b.log.String(), "level=WARN")
	})
}

// A caller who does not read any more is dropped with what comes next, whatever that is.
func TestFollowWithoutReading(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)

	synctest.Test(t, func(t *testing.T) {
		for reads, want := range map[int]time.Duration{1: 0, 2: 15 * time.Second, 3: 30 * time.Second} {
			w := &wire{header: http.Header{}, begin: time.Now(), reads: reads}
			b.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, eventsOf42, nil))
			require.Equal(t, want, time.Since(w.begin))
		}
		require.NotContains(t, b.log.String(), "level=WARN")
	})
}

// A look that Temporal does not answer holds no heartbeat up. It is noticed within twenty seconds.
func TestFollowWhileTemporalIsStuck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)

	synctest.Test(t, func(t *testing.T) {
		temporal := stuckTemporal{b.temporal, make(chan struct{}), make(chan struct{}, 1)}
		b.handler = api.New(temporal, api.Options{Access: access.Open(), Logger: b.logger()})
		after(13*time.Second, func() { close(temporal.stuck) })
		w := b.stream(t.Context())

		require.Equal(t, []string{"0s retry: 1000", "0s saga", "15s : heartbeat", "30s : heartbeat", "45s : heartbeat", "1m0s : heartbeat", "1m15s : heartbeat"}, w.sent)
		require.InDelta(t, 80*time.Second, time.Since(w.begin), float64(time.Second))
	})
}

// A stream outlives that Temporal is away, for a while.
func TestFollowThroughAnOutage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)

	synctest.Test(t, func(t *testing.T) {
		after(5*time.Second, func() { b.temporal.fail(serviceerror.NewUnavailable("away")) })
		after(40*time.Second, func() {
			b.temporal.fail(nil)
			b.park()
		})
		after(41*time.Second, func() { b.temporal.fail(serviceerror.NewUnavailable("away again")) })
		w := b.stream(t.Context())

		require.Equal(t, []string{
			"0s retry: 1000", "0s saga", "15s : heartbeat", "30s : heartbeat", "40s saga", "55s : heartbeat", "1m10s : heartbeat", "1m25s : heartbeat",
			"1m40s : heartbeat",
		}, w.sent)
		require.InDelta(t, 101*time.Second, time.Since(w.begin), float64(2*time.Second), "its caller may find a process that can")
		require.Equal(t, 2, strings.Count(b.log.String(), "a stream waits until its saga can be looked at"), b.log)
		require.Equal(t, 1, strings.Count(b.log.String(), "stream given up"), b.log)
	})
}

// One caller cannot take all the room there is, and gets back what it leaves.
func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Logger: b.logger(), StreamsPerCaller: 2})
	b.started(t, "/v1/orders", exampleOrder)
	description(t) // outside the bubble: others use it, too

	synctest.Test(t, func(t *testing.T) {
		var open sync.WaitGroup
		for range 2 {
			open.Go(func() { b.stream(t.Context()) })
		}
		synctest.Wait()
		from := func(address, path string) answer {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr = address
			return b.do(t, r)
		}
		refused := from("192.0.2.1:4321", eventsOf42) // the same as above, over another connection
		requireProblem(t, refused, 429, "too_many_streams")
		require.Equal(t, "5", refused.header.Get("Retry-After"))
		requireProblem(t, from("192.0.2.2:1234", "/v1/sagas/order-"+otherID+"/events"), 404, "not_found")

		b.endOrder()
		open.Wait()
		for range 3 { // what is refused takes no room
			requireProblem(t, b.get(t, "/v1/sagas/order-"+otherID+"/events"), 404, "not_found")
		}
		require.Len(t, b.get(t, eventsOf42).events(t), 1)
	})
}

func TestStreamsByDefault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)

	synctest.Test(t, func(t *testing.T) {
		var open sync.WaitGroup
		var refused atomic.Int64
		for range 23 {
			open.Go(func() {
				if b.stream(t.Context()).header.Get("Retry-After") != "" {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		require.EqualValues(t, 3, refused.Load())
		b.endOrder()
		open.Wait()
	})
}

// A server that is shut down does not wait for its streams, not even for one that waits for Temporal.
func TestStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	temporal := stuckTemporal{b.temporal, make(chan struct{}), make(chan struct{}, 1)}
	b.handler = api.New(temporal, api.Options{Access: access.Open(), Logger: b.logger()})
	b.started(t, "/v1/orders", exampleOrder)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := api.NewServer("", b.handler)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+eventsOf42, nil)
	require.NoError(t, err)
	stream, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer stream.Body.Close()
	close(temporal.stuck)
	<-temporal.asked
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	require.NoError(t, server.Shutdown(ctx), "a look may take five seconds")

	require.ErrorIs(t, <-served, http.ErrServerClosed)
	text, err := io.ReadAll(stream.Body)
	require.NoError(t, err, "it ends as it should")
	require.Contains(t, string(text), "event: saga\n")
	require.NotContains(t, b.log.String(), "level=WARN")
}
