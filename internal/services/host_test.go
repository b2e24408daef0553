package services_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/servicetest"
)

var quiet = slog.New(slog.DiscardHandler)

func TestAllServicesStartWithBalancedBooks(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(t *testing.T) services.Config{
		"SQLite":     func(t *testing.T) services.Config { return services.Config{Dir: t.TempDir()} },
		"PostgreSQL": func(t *testing.T) services.Config { return services.Config{Dir: t.TempDir(), DSN: pgtest.DSN(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := servicetest.Serve(t, config(t))
			require.Equal(t, http.StatusOK, servicetest.Call(t, http.MethodGet, base+"/healthz", nil).Status)
			require.Equal(t, http.StatusOK, servicetest.Call(t, http.MethodGet, base+"/readyz", nil).Status)
			require.Equal(t, []string{
				"pricing", "fraud", "inventory", "vouchers", "loyalty", "payment", "shipping", "invoicing", "notification",
			}, services.Names)
			for _, name := range services.Names {
				require.Equal(t, name, servicetest.Audit(t, base+"/"+name).Service)
			}
		})
	}
}

func TestOnlyTheNamedServicesAreServed(t *testing.T) {
	t.Parallel()
	base := servicetest.Serve(t, services.Config{Dir: t.TempDir(), Names: []string{"vouchers", "pricing"}})
	servicetest.Audit(t, base+"/vouchers")
	servicetest.Audit(t, base+"/pricing")

	answer := servicetest.Call(t, http.MethodPut, base+"/payment/captures/o1", nil)
	require.Equal(t, http.StatusNotFound, answer.Status)
	require.Equal(t, "not_found", answer.Code)
	require.Contains(t, string(answer.Body), "the services are: vouchers, pricing")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config services.Config
		want   string
	}{
		"an unknown service": {
			services.Config{Dir: t.TempDir(), Names: []string{"pricing", "coffee"}},
			`there is no service "coffee"; there are: pricing, fraud, inventory, vouchers, loyalty, payment, shipping, invoicing, notification`,
		},
		"a service named twice": {services.Config{Dir: t.TempDir(), Names: []string{"pricing", "pricing"}}, "pricing is named twice"},
		"no folder":             {services.Config{Names: []string{"pricing"}}, "no folder"},
		"a database that is away": {services.Config{
			Dir: t.TempDir(), DSN: "postgres://127.0.0.1:1/none?connect_timeout=1", Names: []string{"pricing"},
		}, "open the database of pricing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := services.Open(t.Context(), tt.config)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// A host whose databases are gone says so in every answer, and never that something was refused.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	h, err := services.Open(t.Context(), services.Config{Dir: t.TempDir(), Names: []string{"pricing"}, Logger: quiet})
	require.NoError(t, err)
	srv := httptest.NewServer(h.Handler())
	t.Cleanup(srv.Close)
	require.NoError(t, h.Close())

	require.Equal(t, http.StatusOK, servicetest.Call(t, http.MethodGet, srv.URL+"/healthz", nil).Status)
	for _, call := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "/readyz", nil},
		{http.MethodGet, "/pricing/audit", nil},
		{http.MethodPut, "/pricing/quotes/o1:PriceOrder", order},
	} {
		answer := servicetest.Call(t, call.method, srv.URL+call.path, call.body)
		require.Equal(t, http.StatusServiceUnavailable, answer.Status, "%s: %s", call.path, answer.Body)
		require.Equal(t, "unavailable", answer.Code, call.path)
	}
}

// lines is a log that several goroutines write.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// calls are the logged step calls.
func (l *lines) calls(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var calls []map[string]any
	for s := bufio.NewScanner(bytes.NewReader(l.buf.Bytes())); s.Scan(); {
		var line map[string]any
		require.NoError(t, json.Unmarshal(s.Bytes(), &line))
		if line["msg"] == "step call" {
			calls = append(calls, line)
		}
	}
	return calls
}

func TestStepCallsAreLogged(t *testing.T) {
	t.Parallel()
	log := &lines{}
	base := servicetest.Serve(t, services.Config{
		Dir: t.TempDir(), Names: []string{"pricing"}, Faults: true,
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	quotes := base + "/pricing/quotes/"

	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, quotes+"order-1%3APriceOrder.7", nil)
	require.NoError(t, err)
	req.Header.Set("Saga-Id", "order-1")
	req.Header.Set("Saga-Attempt", "3")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	setFault(t, base, map[string]any{"lose_reply": true})
	require.Error(t, lost(t, http.MethodPut, quotes+"order-2:PriceOrder"))

	require.Eventually(t, func() bool { return len(log.calls(t)) == 2 }, patience, tick, "both calls are logged")
	undone, broken := log.calls(t)[0], log.calls(t)[1]
	for _, line := range []map[string]any{undone, broken} {
		require.Equal(t, "DEBUG", line["level"])
		require.NotZero(t, line["duration"])
		delete(line, "time")
		delete(line, "duration")
		delete(line, "level")
		delete(line, "msg")
	}
	require.Equal(t, map[string]any{
		"service": "pricing", "step": "PriceOrder", "method": "DELETE", "key": "order-1:PriceOrder.7",
		"saga": "order-1", "attempt": "3", "status": 204.0,
	}, undone)
	require.Equal(t, map[string]any{
		"service": "pricing", "step": "PriceOrder", "method": "PUT", "key": "order-2:PriceOrder",
		"saga": "", "attempt": "", "status": 0.0,
	}, broken)
}

// Two hosts on one database are two processes behind a load balancer.
func TestTwoHostsShareOneDatabase(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(t *testing.T) services.Config{
		"SQLite":     func(t *testing.T) services.Config { return services.Config{Dir: t.TempDir()} },
		"PostgreSQL": func(t *testing.T) services.Config { return services.Config{Dir: t.TempDir(), DSN: pgtest.DSN(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Names = []string{"pricing"}
			one, other := servicetest.Serve(t, c), servicetest.Serve(t, c)
			var wg sync.WaitGroup
			for _, base := range []string{one, other} {
				wg.Go(func() { servicetest.AtOnce(t, 20, base+"/pricing/quotes", order, "") })
			}
			wg.Wait()
			report := servicetest.Audit(t, other+"/pricing")
			require.Equal(t, int64(20), report.Figures["standing_quotes"], "both did the same 20 keys")
		})
	}
}

// A key that names no step of the service's has no series of its own.
func TestStepCallsAreCounted(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	base := servicetest.Serve(t, services.Config{
		Dir: t.TempDir(), Names: []string{"pricing"}, Logger: quiet,
		Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
	})
	for _, key := range []string{"order-1:PriceOrder", "order-2:PriceOrder.7", "order-3:BuyCoffee"} {
		require.Equal(t, http.StatusNoContent, servicetest.Call(t, http.MethodDelete, base+"/pricing/quotes/"+key, nil).Status)
	}

	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	calls := map[string]uint64{}
	for _, p := range all.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints {
		calls[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Count
	}
	require.Equal(t, map[string]uint64{
		"method=DELETE,service=pricing,status=204,step=PriceOrder": 2,
		"method=DELETE,service=pricing,status=204,step=other":      1,
	}, calls)
}
