package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/internal/pgtest"
)

// watchedSystem is a system of BenchmarkTelemetry.
type watchedSystem struct {
	*system

	name string
	// ops are the addresses where its metrics are, if it has any.
	ops   []string
	place func(context.Context) error
	// costs are the milliseconds of an order, by round.
	costs []float64
}

// BenchmarkTelemetry tells what an order over REST costs more where metrics are kept, and where traces are sent as well, in
// interleaved rounds: the processor time of the worker, the step services and the API, without Temporal, PostgreSQL, the
// client and the collector.
func BenchmarkTelemetry(b *testing.B) {
	var batches atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		batches.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	b.Cleanup(collector.Close)
	plain, metrics := startWatched(b, "plain", 0), startWatched(b, "metrics", 3)
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	traces := startWatched(b, "traces", 3)

	systems := []*watchedSystem{plain, metrics, traces}
	for range b.N {
		for range *restRounds + 1 {
			for _, s := range systems {
				s.measure(b)
			}
		}
	}
	require.Positive(b, batches.Load())
	b.ReportMetric(0, "ns/op")
	for _, s := range systems {
		var ratios []float64
		for i := range s.costs[1:] { // the first round warms up
			ratios = append(ratios, s.costs[i+1]/plain.costs[i+1])
		}
		slices.Sort(ratios)
		costs := slices.Sorted(slices.Values(s.costs[1:]))
		b.ReportMetric(costs[len(costs)/2], s.name+"-cpu-ms/order")
		b.ReportMetric(ratios[len(ratios)/2], s.name+"/plain")
	}
}

// startWatched starts a system, whose metrics are at so many addresses: those of the services, the worker and the API.
func startWatched(b *testing.B, name string, addresses int) *watchedSystem {
	b.Helper()
	s := &system{t: b, dir: b.TempDir(), temporalDSN: pgtest.DSN(b), servicesDSN: pgtest.DSN(b), temporalPort: freePort(b)}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(b))
	w := &watchedSystem{system: s, name: name}
	flags := make([][]string, 3)
	for i := range addresses {
		w.ops = append(w.ops, fmt.Sprintf("127.0.0.1:%d", freePort(b)))
		flags[i] = []string{"--ops-addr", w.ops[i]}
	}
	s.startServices(flags[0]...)
	s.worker = spawn(b, "worker", binaries.amends, s.temporalEnv(), append(s.workerArgs(), flags[1]...)...)
	s.apiURL, s.api = s.startAPI(time.Hour, flags[2]...)
	w.place = s.placeByREST()
	return w
}

// measure places a round's orders. Prometheus asks once meanwhile.
func (w *watchedSystem) measure(b *testing.B) {
	b.Helper()
	ours := []*process{w.services, w.worker, w.api}
	before := w.cpuOf(ours...)
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(restAtOnce)
	for range restOrders {
		g.Go(func() error { return w.place(ctx) })
	}
	require.NoError(b, g.Wait())
	for _, addr := range w.ops {
		resp, err := http.Get("http://" + addr + "/metrics") //nolint:noctx // it ends with the test
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(b, err)
		require.NoError(b, resp.Body.Close())
	}
	w.costs = append(w.costs, (w.cpuOf(ours...)-before).Seconds()*1000/restOrders)
}
