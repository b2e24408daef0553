package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// What log lines call what they are about, in every process.
const (
	logSaga    = "saga"
	logStep    = "step"
	logAttempt = "attempt"
	logTrace   = "trace_id"
	logError   = "error"
)

// LogHandler adds to each line the trace that its context belongs to, unless the line tells one itself.
func LogHandler(next slog.Handler) slog.Handler { return logHandler{next} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() && !has(r, logTrace) {
		r = r.Clone()
		r.AddAttrs(slog.String(logTrace, span.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func has(r slog.Record, key string) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == key
		return !found
	})
	return found
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
