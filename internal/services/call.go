package services

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// call is what a request to a step route is about.
type call struct{ key, step string }

// callOf reads the key, the last segment of the path, and the step that it names: a key is
// "<saga id>:<Step>" or "<saga id>:<Step>.<item>". For a key of another form the step is the
// Saga-Step header.
func callOf(r *http.Request) call {
	path := r.URL.EscapedPath()
	segment := path[strings.LastIndexByte(path, '/')+1:]
	key, err := url.PathUnescape(segment)
	if err != nil {
		key = segment
	}
	if _, step, found := cutLast(key, ":"); found {
		step, _, _ = strings.Cut(step, ".")
		return call{key: key, step: step}
	}
	return call{key: key, step: r.Header.Get("Saga-Step")}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// newCalls counts calls.
func newCalls(meter metric.Meter) (metric.Float64Histogram, error) {
	return meter.Float64Histogram("amends_service_call_duration", metric.WithUnit("s"),
		metric.WithDescription("Time that a step service takes to answer a call."),
		metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
}

// observe counts each call, makes its span and writes a line for it, also for one whose reply is lost. Its status is 0.
func (h *Host) observe(s *hosted, next http.Handler) http.Handler {
	steps := s.Steps()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, c, status := time.Now(), callOf(r), statusWriter{ResponseWriter: w}
		ctx, span := h.config.Tracer.Start(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)),
			s.name, trace.WithSpanKind(trace.SpanKindServer))
		r = r.WithContext(ctx)
		defer span.End()
		defer func() {
			took := time.Since(began)
			h.config.Logger.DebugContext(r.Context(), "step call",
				"service", s.name, "step", c.step, "method", r.Method, "key", c.key,
				"saga", r.Header.Get("Saga-Id"), "attempt", r.Header.Get("Saga-Attempt"),
				"status", status.code, "duration", took)
			step, method := c.step, r.Method
			if !slices.Contains(steps, step) {
				step = "other" // a label has no more values than there are steps
			}
			if !slices.Contains([]string{http.MethodPut, http.MethodDelete, http.MethodGet}, method) {
				method = "other"
			}
			h.calls.Record(r.Context(), took.Seconds(), metric.WithAttributeSet(attribute.NewSet(
				attribute.String("service", s.name), attribute.String("step", step), attribute.String("method", method),
				attribute.String("status", strconv.Itoa(status.code)))))
			span.SetName(method + " " + s.name + " " + step)
			// The first two are OpenTelemetry's, the others those of the spans of a saga's tries.
			span.SetAttributes(attribute.String("http.request.method", method), attribute.Int("http.response.status_code", status.code),
				attribute.String("saga.id", r.Header.Get("Saga-Id")), attribute.String("saga.step", step),
				attribute.String("saga.attempt", r.Header.Get("Saga-Attempt")))
			if status.code == 0 || status.code >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, "")
			}
		}()
		next.ServeHTTP(&status, r)
	})
}

// statusWriter remembers the status; it stays 0 while nothing was answered.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
