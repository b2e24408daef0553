package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"
)

// Propagator carries traces from process to process, as W3C Trace Context.
var Propagator = propagation.TraceContext{}

// exporter sends spans to where the standard OTEL_* variables say; nil if they name no place.
func exporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil //nolint:nilnil // no place is no fault
	}
	switch protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); protocol {
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: it is http/protobuf or grpc", protocol)
	}
}

// resourceOf is what the process calls itself. What the environment says comes last, and counts.
func resourceOf(ctx context.Context, o Options) (*resource.Resource, error) {
	r, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)),
		resource.WithFromEnv())
	if errors.Is(err, resource.ErrPartialResource) {
		err = nil // a part of OTEL_RESOURCE_ATTRIBUTES that cannot be read
	}
	return r, err
}

// startTracers makes spans and gives them to who takes them. Without one it makes none, but traces have IDs all the same, by
// which the logs of all processes are put together.
func startTracers(ctx context.Context, o Options, r *resource.Resource) (*tracers, error) {
	t := &tracers{}
	if o.Spans == nil {
		exporter, err := exporter(ctx)
		if err != nil {
			return nil, err
		}
		if exporter == nil {
			t.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
			return t, nil
		}
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Logger.Warn("spans are not sent", "error", err) }))
		o.Spans = batches(sender{exporter, &t.late})
	}
	t.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(o.Spans), sdktrace.WithResource(r))
	return t, nil
}

// tracer is the SDK's tracing of workflows, of which it leaves the spans that a worker could lose.
//
// The SDK carries the span of a saga's start through the saga, and over retries and replays, in a header that its history
// keeps. What hangs from that span is in the trace whatever becomes of the worker: the starter has recorded it before the
// saga does anything. So the spans that the SDK would put between, of the workflow and of what it schedules, are not made.
// One of them would be recorded at its end, by a worker that may be gone by then, and all below it would be orphans.
type tracer struct{ interceptor.Tracer }

func newTracer(t trace.Tracer) (tracer, error) {
	inner, err := opentelemetry.NewTracer(opentelemetry.TracerOptions{
		Tracer: t, TextMapPropagator: Propagator, HeaderKey: traceHeader, DisableBaggage: true, AllowInvalidParentSpans: true,
		SpanStarter: func(ctx context.Context, t trace.Tracer, name string, options ...trace.SpanStartOption) trace.Span {
			operation, _, _ := strings.Cut(name, ":")
			switch operation {
			case "StartWorkflow", "UpdateWorkflow", "SignalWorkflow", "QueryWorkflow":
				_, span := t.Start(ctx, name, options...)
				return span
			default:
				return trace.SpanFromContext(ctx)
			}
		},
	})
	return tracer{inner}, err
}

// GetLogger implements [interceptor.Tracer]: lines of workflows and activities tell the trace as all others do.
func (t tracer) GetLogger(logger log.Logger, ref interceptor.TracerSpanRef) log.Logger {
	if span, ok := ref.(trace.Span); ok && span.SpanContext().HasTraceID() {
		return log.With(logger, logTrace, span.SpanContext().TraceID().String())
	}
	return logger
}

// traceHeader is the header of a workflow that carries its trace, as in every SDK of Temporal's.
const traceHeader = "_tracer-data"

// StartOf is the span of the start of a saga that was started with these headers; not valid if they tell none.
func StartOf(ctx context.Context, headers map[string]*commonpb.Payload) trace.SpanContext {
	// Nothing of the span that ctx belongs to.
	ctx = Propagator.Extract(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), carrierOf(headers))
	return trace.SpanContextFromContext(ctx)
}

// carrierOf is what the headers have of a trace; empty if they have nothing.
func carrierOf(headers map[string]*commonpb.Payload) propagation.MapCarrier {
	carrier := propagation.MapCarrier{}
	if headers[traceHeader] == nil || converter.GetDefaultDataConverter().FromPayload(headers[traceHeader], &carrier) != nil {
		return propagation.MapCarrier{}
	}
	return carrier
}

// goesOnFor is the input of a workflow that goes on with what another one left, such as a saga's recovery.
type goesOnFor interface {
	// StartHeaders came with the start of the other one.
	StartHeaders() map[string]*commonpb.Payload
}

// rejoin leads a workflow with this input back into the trace of the one that it goes on for, if there is one.
func (t tracer) rejoin(ctx workflow.Context, args []any) workflow.Context {
	for _, arg := range args {
		other, ok := arg.(goesOnFor)
		if !ok {
			continue
		}
		parent, err := t.UnmarshalSpan(carrierOf(other.StartHeaders()))
		if err != nil || parent == nil {
			continue // it has no trace
		}
		span, err := t.StartSpan(&interceptor.TracerStartSpanOptions{Parent: parent}) // none of its own: see newTracer
		if err != nil {
			continue // only a parent that this tracer has not made is refused
		}
		return workflow.WithValue(ctx, t.Options().SpanContextKey, span)
	}
	return ctx
}
