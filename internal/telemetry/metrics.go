package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Bounds of histograms, in seconds.
var (
	// callBounds are for calls: from what a service on the same host takes to the end of anybody's patience.
	callBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	// sagaBounds are for sagas: most take milliseconds, some wait for weeks.
	sagaBounds = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 28800, 86400, 259200, 1209600}
)

// CallBounds makes a histogram's bounds fit calls.
func CallBounds() metric.HistogramOption { return metric.WithExplicitBucketBoundaries(callBounds...) }

// meterProvider counts for Prometheus, in a registry that has Go's own figures and the process's as well.
func meterProvider(registry *prometheus.Registry, r *resource.Resource) (*sdkmetric.MeterProvider, error) {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(exporter), sdkmetric.WithResource(r),
		sdkmetric.WithView(
			// The SDK says seconds, and leaves the bounds to us.
			sdkmetric.NewView(
				sdkmetric.Instrument{Name: "temporal_*", Kind: sdkmetric.InstrumentKindHistogram},
				sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: callBounds}},
			),
			// An activity counts it, and what the SDK says of that activity is beside the point.
			sdkmetric.NewView(
				sdkmetric.Instrument{Name: BooksAudits},
				sdkmetric.Stream{AttributeFilter: attribute.NewAllowKeysFilter("service", "state")},
			),
			sdkmetric.NewView(
				sdkmetric.Instrument{Name: SweptSagas},
				sdkmetric.Stream{AttributeFilter: attribute.NewAllowKeysFilter("outcome")},
			),
		),
	), nil
}

// BooksAudits is what AuditBooks counts with its activity's own metrics handler, by the tags "service" and "state". Whoever
// counts it does not know this package, so the name is written there once more.
const BooksAudits = "amends_books_audits"

// SweptSagas is the metric that SweepSagas counts in the same way, by the tag "outcome".
const SweptSagas = "amends_swept_sagas"
