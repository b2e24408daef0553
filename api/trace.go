package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	label "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/telemetry"
)

// trace makes each request a span, of the caller's trace if it has one. A saga that the request starts goes on in it.
func (s *server) trace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := telemetry.Propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := s.options.Tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// describe says in the request's span what it was, and what was answered, in the words of OpenTelemetry's conventions.
func describe(ctx context.Context, method, route string, status int) {
	span := trace.SpanFromContext(ctx)
	span.SetName(strings.TrimSpace(boundMethod(method) + " " + route))
	span.SetAttributes(label.String("http.request.method", boundMethod(method)), label.String("http.route", route),
		label.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// traceID finds the request that ctx belongs to in traces and logs.
func traceID(ctx context.Context) string {
	id := ""
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		id = span.TraceID().String()
	}
	return cmp.Or(id, requestID(ctx))
}

// traceOf is the trace of a saga, and where it is shown; empty for what is not known.
func (s *server) traceOf(ctx context.Context, status compensation.Status) (id, shown string) {
	started := telemetry.StartOf(ctx, status.Headers)
	if !started.HasTraceID() {
		return "", ""
	}
	id = started.TraceID().String()
	if s.options.TraceURL != "" {
		shown = strings.ReplaceAll(s.options.TraceURL, "{trace_id}", url.PathEscape(id))
	}
	return id, shown
}

// leadTo makes the request's span lead to the trace of the saga that the request acts on.
func leadTo(ctx context.Context, status compensation.Status) {
	if started := telemetry.StartOf(ctx, status.Headers); started.IsValid() {
		trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: started})
	}
}
