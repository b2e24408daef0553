package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/examples"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/workflows"
)

var restRounds = flag.Int("rest.rounds", 5, "how often BenchmarkREST measures")

const (
	// restOrders are those of a round and a way, restAtOnce how many are in flight.
	restOrders = 400
	restAtOnce = 20
)

// BenchmarkREST compares what an order costs that is placed and awaited over REST with one that is started and awaited
// straight from Temporal's SDK, in interleaved rounds: the processor time of Temporal, the worker, the step services, the
// API and the client together, without PostgreSQL.
func BenchmarkREST(b *testing.B) {
	s := &system{t: b, dir: b.TempDir(), temporalDSN: pgtest.DSN(b), servicesDSN: pgtest.DSN(b), temporalPort: freePort(b)}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(b))
	s.startServices()
	s.startWorker()
	s.apiURL, s.api = s.startAPI(time.Hour)

	ways := []struct {
		name  string
		place func(context.Context) error
		// costs are the milliseconds of an order, by round.
		costs []float64
	}{{name: "sdk", place: s.placeBySDK()}, {name: "rest", place: s.placeByREST()}}
	for range b.N {
		for range *restRounds + 1 {
			for i := range ways {
				before := s.cpu()
				g, ctx := errgroup.WithContext(b.Context())
				g.SetLimit(restAtOnce)
				for range restOrders {
					g.Go(func() error { return ways[i].place(ctx) })
				}
				require.NoError(b, g.Wait())
				ways[i].costs = append(ways[i].costs, (s.cpu()-before).Seconds()*1000/restOrders)
			}
		}
	}
	median := func(all []float64) float64 {
		all = slices.Clone(all[1:]) // the first round warms up
		slices.Sort(all)
		return all[len(all)/2]
	}
	var ratios []float64
	for i, cost := range ways[0].costs {
		ratios = append(ratios, ways[1].costs[i]/cost)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ways[0].costs), "sdk-cpu-ms/order")
	b.ReportMetric(median(ways[1].costs), "rest-cpu-ms/order")
	b.ReportMetric(median(ratios), "rest/sdk")
}

// placeBySDK starts an order as the API does, and waits for its end.
func (s *system) placeBySDK() func(context.Context) error {
	s.t.Helper()
	good, err := examples.Order("good")
	require.NoError(s.t, err)
	c := s.dial()
	return func(ctx context.Context) error {
		o := good
		o.ID = order.ID(uuid.NewString())
		run, err := c.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{
			ID: workflows.OrderWorkflowID(o.ID), TaskQueue: workflows.TaskQueue, WorkflowTaskTimeout: workflows.TaskTimeout,
			TypedSearchAttributes: temporal.NewSearchAttributes(compensation.SearchAttributeState.ValueSet(string(compensation.Running))),
		}, workflows.TypePlaceOrder, workflows.PlaceOrderInput{Order: o, Revision: workflows.Revision})
		if err != nil {
			return err
		}
		return run.Get(ctx, new(workflows.Receipt))
	}
}

// placeByREST places an order, and waits for its end.
func (s *system) placeByREST() func(context.Context) error {
	s.t.Helper()
	var good client.OrderRequest
	text, err := examples.Files.ReadFile("orders/good.json")
	require.NoError(s.t, err)
	require.NoError(s.t, json.Unmarshal(text, &good))
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = restAtOnce
	s.t.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(s.apiURL, client.Options{HTTP: &http.Client{Transport: transport}})
	require.NoError(s.t, err)
	return func(ctx context.Context) error {
		started, err := c.PlaceOrder(ctx, good, client.StartOptions{Wait: time.Minute})
		if err == nil && (started.Ended == nil || started.Ended.Result == nil) {
			return fmt.Errorf("order %s is %s", started.ID, started.State)
		}
		return err
	}
}

// cpu is the processor time that the system and its client have used so far.
func (s *system) cpu() time.Duration {
	s.t.Helper()
	var own syscall.Rusage
	require.NoError(s.t, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + s.cpuOf(s.temporal, s.services, s.worker, s.api)
}

// cpuOf is the processor time that the processes have used so far.
func (s *system) cpuOf(processes ...*process) (used time.Duration) {
	s.t.Helper()
	for _, p := range processes {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		require.NoError(s.t, err)
		// proc(5): utime and stime are the fields 14 and 15, in hundredths of a second; the second one ends with a bracket.
		fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
		for _, field := range fields[14-3 : 16-3] {
			ticks, err := strconv.ParseInt(string(field), 10, 64)
			require.NoError(s.t, err)
			used += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return used
}
