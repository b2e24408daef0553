package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel/trace"

	"github.com/amends-dev/amends/internal/access"
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

// audit writes down the deed, and what became of it. It is called before the answer.
func (s *server) audit(ctx context.Context, d deed, err error) {
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
