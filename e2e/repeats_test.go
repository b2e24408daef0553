package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/pgtest"
)

var (
	repeatedOrders = flag.Int("repeats.orders", 200, "how many orders TestRepeats places, each by four clients at once")
	repeatsKills   = flag.Int("repeats.kills", 5, "how often TestRepeats kills an API")
)

// clientsPerOrder are the clients that send the request for one order, at the same time.
const clientsPerOrder = 4

// TestRepeats lets several clients send the same request for each order to two APIs, which are killed while they answer,
// until each client has its answer. There is one saga for each order, and all its clients get the same answer.
func TestRepeats(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	s := &system{t: t, dir: t.TempDir(), temporalDSN: pgtest.DSN(t), servicesDSN: pgtest.DSN(t), temporalPort: freePort(t)}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices()
	s.startWorker()
	r := &repeats{s: s, asked: make(chan struct{}, *repeatedOrders*clientsPerOrder)}
	for range 2 {
		url, p := s.startAPI(time.Hour)
		r.apis = append(r.apis, &repeatedAPI{url: url, process: p})
	}
	s.apiURL = r.apis[0].url
	t.Cleanup(func() {
		for _, a := range r.apis {
			a.process.kill()
		}
	})

	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() error { return r.killAPIs(ctx) })
	slots := make(chan struct{}, 15)
	for range *repeatedOrders {
		o := &repeatedOrder{request: example(t, "orders/good.json")}
		slots <- struct{}{}
		var clients errgroup.Group
		for i := range clientsPerOrder {
			clients.Go(func() error { return r.insist(ctx, o, i) })
		}
		g.Go(func() error {
			defer func() { <-slots }()
			return clients.Wait()
		})
	}
	require.NoError(t, g.Wait())

	t.Logf("%d orders, %d clients, %d requests; %d kills, %d answers lost of requests that had been taken; %d answers were repeats",
		*repeatedOrders, *repeatedOrders*clientsPerOrder, r.requests.Load(), *repeatsKills, r.lost.Load(), r.replayed.Load())
	require.GreaterOrEqual(t, int(r.replayed.Load()), *repeatedOrders*(clientsPerOrder-1))
	require.GreaterOrEqual(t, int(r.lost.Load()), *repeatsKills, "the kills have hit nothing")
	require.Eventually(t, func() bool {
		n, err := s.dial().CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: "WorkflowType = 'PlaceOrder' AND ExecutionStatus = 'Completed'",
		})
		return err == nil && n.GetCount() == int64(*repeatedOrders)
	}, time.Minute, 200*time.Millisecond, "there is not one completed saga for each order")
	require.EqualValues(t, *repeatedOrders, s.requireNothingHalfDone()["invoicing"].Figures["invoices"])
}

// repeats is a run of TestRepeats.
type repeats struct {
	s    *system
	apis []*repeatedAPI
	// asked gets an entry for each request that is sent.
	asked                    chan struct{}
	requests, lost, replayed atomic.Int64
}

type repeatedAPI struct {
	url     string
	process *process
}

// repeatedOrder is one order, with what was answered to those who asked for it.
type repeatedOrder struct {
	request document
	mu      sync.Mutex
	// answers are the first ones, by status.
	answers map[int]string
}

// insist sends the request for the order until it is answered. Every other client waits for the saga's end.
func (r *repeats) insist(ctx context.Context, o *repeatedOrder, client int) error {
	encoded, err := json.Marshal(o.request)
	if err != nil {
		return err
	}
	broken := false
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.apis[(client/2+try)%len(r.apis)].url+"/v1/orders", strings.NewReader(string(encoded)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", o.request.key)
		if client%2 == 0 {
			req.Header.Set("Prefer", "wait=60")
		}
		r.requests.Add(1)
		select {
		case r.asked <- struct{}{}:
		default:
		}
		status, header, body, err := r.send(req)
		switch {
		case err != nil:
			broken = broken || !strings.Contains(err.Error(), "connection refused")
		case status == http.StatusConflict && strings.Contains(body, `"in_flight"`):
		case status == http.StatusCreated || status == http.StatusAccepted:
			return r.answered(o, status, header, body, broken)
		case status != http.StatusServiceUnavailable:
			return fmt.Errorf("%d %s", status, body)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (r *repeats) send(req *http.Request) (int, http.Header, string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(body), err
}

// answered compares the answer with those of other clients. broken tells that a connection broke before.
func (r *repeats) answered(o *repeatedOrder, status int, header http.Header, body string, broken bool) error {
	if header.Get("Idempotent-Replayed") == "true" {
		r.replayed.Add(1)
		if broken {
			r.lost.Add(1)
		}
	}
	if want := "/v1/orders/" + o.request.id(); header.Get("Location") != want {
		return fmt.Errorf("it is at %s, not at %s", header.Get("Location"), want)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.answers == nil {
		o.answers = map[int]string{}
	}
	if first, ok := o.answers[status]; ok && first != body {
		return fmt.Errorf("one client got %s, another one %s", first, body)
	}
	o.answers[status] = body
	return nil
}

// killAPIs kills one API after the other, after a share of the requests each, and starts it again.
func (r *repeats) killAPIs(ctx context.Context) error {
	each := *repeatedOrders * clientsPerOrder / (*repeatsKills + 1)
	for i := range *repeatsKills {
		for range each - rand.IntN(each/4+1) {
			select {
			case <-r.asked:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		a := r.apis[i%len(r.apis)]
		a.process.kill()
		var err error
		a.process, err = launch(r.s.t, "api", binaries.amends, r.s.temporalEnv(), append(apiArgs(strings.TrimPrefix(a.url, "http://"), time.Hour), "--no-auth")...)
		if err != nil {
			return err
		}
	}
	return nil
}
