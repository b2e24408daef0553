// Package telemetry lets people see what a process does. It knows how metrics, traces and the traces of log lines leave the
// process, and what the engine's names for sagas and steps are; it knows nothing of which sagas there are.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
	"google.golang.org/grpc"

	"github.com/amends-dev/amends/compensation"
)

// scope names the instruments of ours, as other libraries name theirs.
const scope = "github.com/amends-dev/amends"

// Options of [Start]. The zero value is a process that shows nothing.
type Options struct {
	// Service is what the process calls itself in traces, and Version which one it is. OTEL_SERVICE_NAME and
	// OTEL_RESOURCE_ATTRIBUTES count for more.
	Service, Version string
	// Metrics tells whether to count. Default: nothing is counted.
	Metrics bool
	// Plans are the plans of the sagas that this process runs, if it runs any.
	Plans []*compensation.Plan
	// Spans takes the spans that end. Default: what sends them to where the standard OTEL_* variables say; where they say
	// nothing, there are none.
	Spans sdktrace.SpanProcessor
	// Logger takes what goes wrong, and a line for each try of a step. Default [slog.Default].
	Logger *slog.Logger
}

// Telemetry is what a process shows of itself. It is safe for concurrent use.
type Telemetry struct {
	logger  *slog.Logger
	plans   []*compensation.Plan
	tracers *tracers
	// meters and handler are nil where nothing is counted.
	meters  *sdkmetric.MeterProvider
	handler http.Handler
}

// Start begins to count and to trace. It ends with [Telemetry.Stop].
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	t := &Telemetry{logger: o.Logger, plans: o.Plans}
	r, err := resourceOf(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("what the process calls itself: %w", err)
	}
	if t.tracers, err = startTracers(ctx, o, r); err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	if !o.Metrics {
		return t, nil
	}
	registry := prometheus.NewRegistry()
	if t.meters, err = meterProvider(registry, r); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics: %w", err), t.tracers.Shutdown(ctx))
	}
	t.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, // the format that has exemplars
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		// What can be told is told, when Temporal does not answer.
		ErrorHandling: promhttp.ContinueOnError,
		Timeout:       scrapeTimeout,
	})
	return t, nil
}

// scrapeTimeout bounds one answer. Prometheus asks again after 10 s by default.
const scrapeTimeout = 10 * time.Second

// Handler answers with the metrics, for Prometheus; nil where nothing is counted.
func (t *Telemetry) Handler() http.Handler { return t.handler }

// Stop sends what was not sent yet.
func (t *Telemetry) Stop(ctx context.Context) error {
	err := t.tracers.Shutdown(ctx)
	if t.meters != nil {
		err = errors.Join(err, t.meters.Shutdown(ctx))
	}
	return err
}

// Meter makes the instruments of other packages. Where nothing is counted, theirs cost nothing.
func (t *Telemetry) Meter() metric.Meter {
	if t.meters == nil {
		return noop.Meter{}
	}
	return t.meters.Meter(scope)
}

// Tracer makes the spans of other packages.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracers.Tracer(scope) }

// Instrument adds to the options of a Temporal client what shows its work, and that of every worker made from it.
func (t *Telemetry) Instrument(options *client.Options) error {
	if t.meters != nil {
		options.MetricsHandler = opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
			Meter:                t.Meter(),
			UseMonotonicCounters: true,
			OnError:              func(err error) { t.logger.Error("a metric cannot be counted", "error", err) },
		})
	}
	carried, err := newTracer(t.Tracer())
	if err != nil {
		return fmt.Errorf("traces of sagas: %w", err)
	}
	s, err := newSagas(t, carried)
	if err != nil {
		return fmt.Errorf("metrics of sagas: %w", err)
	}
	// In this order: what counts finds the trace in its context.
	options.Interceptors = append(options.Interceptors, interceptor.NewTracingInterceptor(carried), s)
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, grpc.WithChainUnaryInterceptor(s.respond))
	return nil
}
