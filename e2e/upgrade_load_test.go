package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// upgradeKind is a kind of order that is placed while versions change.
type upgradeKind struct {
	file, end string
	// approve is how long after it waits for a person it is approved; 0 for one that does not wait.
	approve time.Duration
	// fault keeps the saga in the middle of that step for some seconds.
	fault fault
}

// Each of them comes in turn. The steps that fail for a while are those whose order v3 changes.
var upgradeKinds = []upgradeKind{
	{file: "orders/good.json", end: "completed"},
	{file: "orders/good.json", end: "completed", fault: fault{"shipping", "BookShipment", settings{"down": true, "times": 7}}},
	{file: "orders/fraud-review.json", end: "completed", approve: 8 * time.Second},
	{file: "orders/card-declined.json", end: "compensated"},
	{file: "orders/good.json", end: "completed", fault: fault{"payment", "AuthorizePayment", settings{"down": true, "times": 6}}},
	{file: "orders/good.json", end: "completed", fault: fault{"invoicing", "IssueInvoice", settings{"latency_ms": 3000, "times": 3}}},
}

type upgradeOrder struct {
	kind upgradeKind
	path string
}

// load places orders until ctx ends, and returns when all that has to be done to them is done. Any request that is not
// answered as it should be is its error.
func (u *upgrade) load(ctx context.Context) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / *upgradeRate))
	defer tick.Stop()
	orders, running := errgroup.WithContext(u.s.t.Context())
	for i := 0; ; i++ {
		kind := upgradeKinds[i%len(upgradeKinds)]
		d := example(u.s.t, kind.file)
		o := &upgradeOrder{kind: kind, path: "/v1/orders/" + d.id()}
		u.orders = append(u.orders, o)
		orders.Go(func() error { return u.order(running, o, d) })
		select {
		case <-tick.C:
		case <-running.Done():
			return orders.Wait()
		case <-ctx.Done():
			return orders.Wait()
		}
	}
}

// order places an order, and follows it.
func (u *upgrade) order(ctx context.Context, o *upgradeOrder, d document) error {
	if err := u.hurt(ctx, o.kind.fault, d); err != nil {
		return err
	}
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if _, err := u.request(ctx, http.MethodPost, "/v1/orders", d.key, body, http.StatusAccepted); err != nil {
		return err
	}
	if o.kind.approve == 0 {
		_, err := u.request(ctx, http.MethodGet, o.path, "", nil, http.StatusOK)
		return err
	}
	for {
		answer, err := u.request(ctx, http.MethodGet, o.path, "", nil, http.StatusOK)
		if err != nil {
			return err
		}
		var v saga
		if err := json.Unmarshal(answer, &v); err != nil {
			return err
		}
		if len(v.Waits) > 0 {
			break
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	if err := pause(ctx, o.kind.approve); err != nil {
		return err
	}
	_, err = u.request(ctx, http.MethodPost, o.path+"/approval", d.key+"-approval", []byte(`{"approved":true,"by":"ada"}`), http.StatusAccepted)
	return err
}

// hurt sets the fault, if there is one, for the order's saga.
func (u *upgrade) hurt(ctx context.Context, f fault, d document) error {
	if f.step == "" {
		return nil
	}
	setting := maps.Clone(f.settings)
	setting["match"] = d.id()
	body, err := json.Marshal(setting)
	if err != nil {
		return err
	}
	target := u.s.servicesURL + "/" + f.service + "/faults/" + f.step
	status, answer, err := exchange(ctx, http.DefaultClient, http.MethodPut, target, "", body)
	if err == nil && status != http.StatusNoContent {
		err = fmt.Errorf("PUT %s: %d %s", target, status, answer)
	}
	return err
}

// request asks an API. A 503 says to repeat the request, as it may on a machine that is too busy; it is counted.
func (u *upgrade) request(ctx context.Context, method, path, key string, body []byte, want int) ([]byte, error) {
	for {
		began := time.Now()
		status, answer, err := exchange(ctx, http.DefaultClient, method, u.apis.pick()+path, key, body)
		u.traffic.add(time.Since(began), status)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		case status == want:
			return answer, nil
		case status != http.StatusServiceUnavailable:
			return nil, fmt.Errorf("%s %s: %d %s", method, path, status, answer)
		}
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// balancer sends each request to the next API that is ready.
type balancer struct {
	mu   sync.Mutex
	apis []runningAPI
	next int
}

type runningAPI struct {
	url     string
	process *process
}

func (b *balancer) add(url string, p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apis = append(b.apis, runningAPI{url, p})
}

func (b *balancer) remove(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apis = slices.DeleteFunc(b.apis, func(a runningAPI) bool { return a.url == url })
}

func (b *balancer) all() []runningAPI {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.apis)
}

func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.apis[b.next%len(b.apis)].url
}

// traffic is how the requests were answered.
type traffic struct {
	mu   sync.Mutex
	took []time.Duration
	// busy counts those that were answered 503.
	busy int
}

func (t *traffic) add(d time.Duration, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = append(t.took, d)
	if status == http.StatusServiceUnavailable {
		t.busy++
	}
}

func (t *traffic) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.took)
	return fmt.Sprintf("%d requests, none failed, %d answered 503 and repeated, p50 %d ms, p99 %d ms, at most %d ms", len(t.took), t.busy,
		t.took[len(t.took)/2].Milliseconds(), t.took[len(t.took)*99/100].Milliseconds(), t.took[len(t.took)-1].Milliseconds())
}
