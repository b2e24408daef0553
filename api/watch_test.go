package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
)

// countedTemporal counts what is asked of it, and takes its time.
type countedTemporal struct {
	*fakeTemporal
	described, read, awaited atomic.Int64
}

func (c *countedTemporal) DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	c.described.Add(1)
	<-time.After(10 * time.Millisecond)
	return c.fakeTemporal.DescribeWorkflowExecution(ctx, id, run)
}

func (c *countedTemporal) GetWorkflowHistory(
	ctx context.Context, id, run string, wait bool, filter enumspb.HistoryEventFilterType,
) client.HistoryEventIterator {
	if wait {
		c.awaited.Add(1)
	} else {
		c.read.Add(1)
	}
	return c.fakeTemporal.GetWorkflowHistory(ctx, id, run, wait, filter)
}

// calls is how many there were since it was asked last.
func (c *countedTemporal) calls() (looks, waits int64) {
	return (c.described.Swap(0) + c.read.Swap(0)) / 2, c.awaited.Swap(0)
}

// run lets an activity of the saga run.
func (f *fakeTemporal) run(id, activity string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := history{f.sagas[id].events}
	h.started(activity)
	f.sagas[id].events = h.events
}

// A hundred streams of a saga cost what one costs: a look when they come, and then one for each change. While nothing runs
// in the saga, its history is waited for, and its news is there at once.
func TestStreamsShareALook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	synctest.Test(t, func(t *testing.T) {
		temporal := &countedTemporal{fakeTemporal: b.temporal}
		b.handler = api.New(temporal, api.Options{Access: access.Open(), Logger: b.logger(), StreamsPerCaller: 200})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var open sync.WaitGroup
		var mu sync.Mutex
		var wires []*wire
		for range 100 {
			open.Go(func() {
				w := b.stream(ctx)
				mu.Lock()
				defer mu.Unlock()
				wires = append(wires, w)
			})
		}
		<-time.After(100 * time.Millisecond)
		require.Contains(t, []int64{1, 2}, temporal.read.Load(), "one for all, or the first one had begun when others came")
		require.Equal(t, 100+temporal.read.Load(), temporal.described.Load(), "each caller has to see the saga")
		temporal.calls()

		<-time.After(time.Minute)
		looks, waits := temporal.calls()
		require.Equal(t, int64(4), looks)
		require.Equal(t, int64(4), waits)

		<-time.After(1001 * time.Millisecond) // at 61 s
		b.park()
		<-time.After(time.Second)
		looks, _ = temporal.calls()
		require.Equal(t, int64(1), looks)

		// The tries of an activity are seen only by looking.
		b.temporal.run("order-"+orderID, "ReserveStock/do")
		<-time.After(10 * time.Second)
		looks, waits = temporal.calls()
		require.Equal(t, int64(20), looks)
		require.Equal(t, int64(0), waits)

		cancel()
		open.Wait()
		temporal.calls()
		<-time.After(time.Minute)
		looks, waits = temporal.calls()
		require.Zero(t, looks+waits, "nobody streams it")
		for _, w := range wires {
			require.Equal(t, []string{"1m1s saga", "1m2s saga"}, w.sent[6:8], w.sent)
		}
	})
}

// A hundred requests that wait for news of a saga cost as much as one, as streams do and together with them, whichever of
// its resources they are for; and news arrives at once.
func TestWaitsShareALook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	description(t)                                          // outside the bubble: other tests use it, too
	b.temporal.run("order-"+orderID, "AuthorizePayment/do") // now it is looked at twice a second
	temporal := &countedTemporal{fakeTemporal: b.temporal}
	b.handler = api.New(temporal, api.Options{Access: access.Open(), Logger: b.logger()})
	tags := map[string]string{}
	paths := []string{"/v1/orders/" + orderID, "/v1/sagas/order-" + orderID}
	for _, path := range paths {
		tags[path] = b.get(t, path).header.Get("ETag")
	}
	synctest.Test(t, func(t *testing.T) {
		temporal.calls()
		ctx, cancel := context.WithCancel(t.Context())
		var open sync.WaitGroup
		open.Go(func() { b.stream(ctx) })
		for i := range 100 {
			open.Go(func() {
				path := paths[i%2]
				a := b.ask(t, http.MethodGet, path, "", "If-None-Match", tags[path], "Prefer", "wait=60")
				require.Equal(t, 200, a.status)
				require.Equal(t, "parked", a.json(t, "state"))
				require.NotEqual(t, tags[path], a.header.Get("ETag"))
				require.Equal(t, b.get(t, path).header.Get("ETag"), a.header.Get("ETag"))
			})
		}
		<-time.After(100 * time.Millisecond)
		require.LessOrEqual(t, temporal.read.Load(), int64(100+2), "each looks for itself when it comes, and then all together")
		temporal.calls()

		<-time.After(10 * time.Second)
		looks, _ := temporal.calls()
		require.InDelta(t, 20, looks, 1)

		b.park()
		cancel()
		open.Wait()
		temporal.calls()
		<-time.After(time.Minute)
		looks, waits := temporal.calls()
		require.Zero(t, looks+waits, "nobody waits for it")
	})
}

// One caller cannot have any number of answers wait, and regains room as they are answered.
func TestTooManyWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Logger: b.logger(), WaitsPerCaller: 2})
	b.started(t, "/v1/orders", exampleOrder)
	tag := b.get(t, "/v1/orders/"+orderID).header.Get("ETag")
	synctest.Test(t, func(t *testing.T) {
		news := func(address string) answer {
			r := httptest.NewRequest(http.MethodGet, "/v1/orders/"+orderID, nil)
			r.RemoteAddr = address
			r.Header.Set("Prefer", "wait=30")
			r.Header.Set("If-None-Match", tag)
			return b.do(t, r)
		}
		var open sync.WaitGroup
		open.Go(func() { require.Equal(t, 304, news("192.0.2.1:1").status) })
		open.Go(func() {
			require.Equal(t, 202, b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Prefer", "wait=30").status)
		})
		synctest.Wait()
		begin := time.Now()
		refused := news("192.0.2.1:2")
		requireProblem(t, refused, 429, "too_many_waits")
		require.Equal(t, "1", refused.header.Get("Retry-After"))
		refused = b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Prefer", "wait=30", "Idempotency-Key", otherKey)
		requireProblem(t, refused, 429, "too_many_waits")
		require.NotContains(t, b.temporal.sagas, "order-"+otherID, "it had no effect")
		require.Equal(t, 202, b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Idempotency-Key", otherKey).status, "it does not wait")
		require.Equal(t, 200, b.ask(t, http.MethodGet, "/v1/orders/"+orderID, "", "Prefer", "wait=30").status, "it need not wait")
		require.Zero(t, time.Since(begin))
		require.Equal(t, 304, news("192.0.2.2:1").status, "another caller")
		open.Wait()
		require.Equal(t, 304, news("192.0.2.1:3").status)
	})
}

// Refusing a saga that a caller does not see costs as much as refusing one that does not exist, even while somebody else
// looks at it: the time until a stream is refused reveals nothing.
func TestUnseenSagasAreRefusedAlike(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "viewer@acme", "viewer@globex")
	saga := "order-" + g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	description(t) // outside the bubble: other tests use it, too
	synctest.Test(t, func(t *testing.T) {
		temporal := &countedTemporal{fakeTemporal: g.temporal}
		g.serve(temporal, api.Options{})
		cost := func(path string, headers ...string) (looks [2]int64, took time.Duration) {
			temporal.calls()
			begin := time.Now()
			requireProblem(t, g.as(t, "viewer@globex", http.MethodGet, path, "", headers...), 404, "not_found")
			took = time.Since(begin)
			looks = [2]int64{temporal.described.Load(), temporal.read.Load()}
			return looks, took
		}
		requireAlike := func() {
			for _, request := range [][]string{{"/events"}, {"", "Prefer", "wait=30", "If-None-Match", "*"}, {""}} {
				looks, took := cost("/v1/sagas/order-"+otherID+request[0], request[1:]...)
				unseenLooks, unseenTook := cost("/v1/sagas/"+saga+request[0], request[1:]...)
				require.Equal(t, looks, unseenLooks, request)
				require.Equal(t, took, unseenTook, request)
			}
		}
		requireAlike()

		ctx, cancel := context.WithCancel(t.Context())
		var open sync.WaitGroup
		open.Go(func() {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/sagas/"+saga+"/events", nil)
			r.Header.Set("Authorization", "Bearer "+g.keys["viewer@acme"])
			g.handler.ServeHTTP(&wire{header: http.Header{}, begin: time.Now()}, r)
		})
		<-time.After(time.Second)
		requireAlike()
		cancel()
		open.Wait()
	})
}

// Whoever comes sees the saga as it is by then, not as somebody saw it before.
func TestStreamBeginsWithNow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	description(t)                                      // outside the bubble: others use it, too
	b.temporal.run("order-"+orderID, "ReserveStock/do") // now it is looked at twice a second
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		var open sync.WaitGroup
		defer open.Wait()
		open.Go(func() { b.stream(ctx) })
		<-time.After(1200 * time.Millisecond)
		b.park()
		begin := time.Now()
		b.ask(t, http.MethodHead, eventsOf42, "")
		require.Zero(t, time.Since(begin), "nobody waits for the next look that is due")
		require.Equal(t, []string{"0s retry: 1000", "0s saga"}, b.stream(ctx).sent)
	})
}

// A look that is shared shows nobody what is not for them, also if that changes.
func TestSharedLookIsForWhoSeesTheSaga(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "viewer@acme", "viewer@globex", "admin@acme")
	saga := "order-" + g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	events := "/v1/sagas/" + saga + "/events"
	description(t) // outside the bubble: others use it, too
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 29*time.Second)
		defer cancel()
		stream := func(caller string) *wire {
			w := &wire{header: http.Header{}, begin: time.Now()}
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, events, nil)
			r.Header.Set("Authorization", "Bearer "+g.keys[caller])
			g.handler.ServeHTTP(w, r)
			return w
		}
		after(5*time.Second, func() { requireProblem(t, g.as(t, "viewer@globex", http.MethodGet, events, ""), 404, "not_found") })
		after(10*time.Second, func() {
			g.temporal.mu.Lock()
			g.temporal.sagas[saga].info.SearchAttributes.IndexedFields["SagaTenant"] = payloads(map[string]any{"": "globex"})[""]
			g.temporal.mu.Unlock()
			g.temporal.run(saga, "ReserveStock/do")
		})
		var open sync.WaitGroup
		open.Go(func() {
			require.Equal(t, []string{"0s retry: 1000", "0s saga", "10s saga", "25s : heartbeat"}, stream("admin@acme").sent)
		})
		require.Equal(t, []string{"0s retry: 1000", "0s saga", "15s : heartbeat"}, stream("viewer@acme").sent)
		open.Wait()
	})
}
