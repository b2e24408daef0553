package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel/trace"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/workflows"
)

// actor is who acts, as the saga's history keeps it: the caller, and whom it acts for if it says so.
func actor(ctx context.Context, by string) string {
	c := callerOf(ctx)
	by = strings.TrimSpace(by)
	switch {
	case by == "":
		return c.Name
	case c.How == access.Unproved:
		return by
	}
	return by + " (via " + c.Name + ")"
}

// deed is something that a person does to a saga.
type deed struct {
	act, saga, step, by, reason string
}

// acts names every operation that changes something for the audit log. Every request to one is logged, under this name where
// it was refused before its body was read. A start has no name: it is no act on a saga, and the saga itself is its record.
var acts = map[string]string{
	"cancel-order": "cancel", "cancel-return": "cancel", "cancel-saga": "cancel", "cancel-batch": "cancel",
	"decide-order": "decide", "decide-saga": "decide", "report-arrival": "arrival",
	"retry-step": compensation.UpdateRetry, "skip-step": compensation.UpdateSkip, "mark-step-done": compensation.UpdateMarkDone,
	"mark-pivot-happened": compensation.UpdateMarkHappened, "mark-pivot-prevented": compensation.UpdateMarkPrevented,
	"extend-deadline": compensation.UpdateExtendDeadline, "start-batch": "batch",
	"place-order": "", "return-order": "",
}

// auditRefused also records an act that is refused before its operation gets it, such as for its body.
func (s *server) auditRefused(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := chi.RouteContext(r.Context()).RoutePattern()
		act, ok := s.acts[r.Method+" "+route]
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		learn(r.Context()).refused = func(code Code) {
			d := deed{act: act, saga: sagaIn(route, pathValue(r, "id")), step: pathValue(r, "step"), by: callerOf(r.Context()).Name}
			s.audit(r.Context(), d, &failure{code: code})
		}
		next.ServeHTTP(w, r)
	})
}

// noteRefusal reports the code of the problem that answers the request of ctx to the request's observer, if it has one.
func noteRefusal(ctx context.Context, code Code) {
	if l := learn(ctx); l.refused != nil {
		l.refused(code)
	}
}

// pathValue returns a parameter in the request's path; empty if it is missing or has hidden characters.
func pathValue(r *http.Request, name string) string {
	value, err := url.PathUnescape(chi.URLParam(r, name))
	if err != nil || unreadable(value) != "" {
		return ""
	}
	return value
}

// sagaIn returns the workflow ID that a path names.
func sagaIn(route, id string) string {
	if id == "" {
		return ""
	}
	if strings.HasPrefix(route, batchesPath+"/") {
		return workflows.BatchWorkflowID(id)
	}
	for _, c := range collections {
		if strings.HasPrefix(route, c.path+"/") {
			return c.workflowID(id)
		}
	}
	return id
}

// audit writes down the deed, and what became of it. It is called before the answer.
func (s *server) audit(ctx context.Context, d deed, err error) {
	learn(ctx).refused = nil
	c := callerOf(ctx)
	outcome := "done"
	if err != nil {
		outcome = string(failureOf(err).code)
	}
	s.meters.act(ctx, d.act, outcome)
	attrs := []slog.Attr{
		slog.String("act", d.act), slog.String("caller", c.ID()), slog.String("by", d.by), slog.String("role", string(c.Role)),
		slog.String("tenant", c.Tenant), slog.String("saga", d.saga), slog.String("step", d.step), slog.String("reason", d.reason),
		slog.String("outcome", outcome), slog.String("request_id", requestID(ctx)), slog.String("remote", remote(ctx)),
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String())) // a line that waits is written for another request
	}
	if err := s.options.Audit.write(ctx, attrs); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "an act is not in the audit log", append(attrs, slog.Any("error", err))...)
	}
}

// clientIP notes where a request comes from. Only what trusted proxies say of that counts.
func (s *server) clientIP() func(http.Handler) http.Handler {
	if len(s.options.TrustedProxies) == 0 {
		return middleware.ClientIPFromRemoteAddr
	}
	trusted := make([]string, len(s.options.TrustedProxies))
	for i, p := range s.options.TrustedProxies {
		trusted[i] = p.String()
	}
	return middleware.ClientIPFromXFF(trusted...)
}

// remote is where the request comes from that ctx belongs to; empty if nobody can tell.
func remote(ctx context.Context) string { return middleware.GetClientIP(ctx) }
