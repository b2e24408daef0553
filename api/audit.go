package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5/middleware"

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

// audit logs the deed, and what became of it.
func (s *server) audit(ctx context.Context, d deed, err error) {
	c := callerOf(ctx)
	outcome := "done"
	if err != nil {
		outcome = string(failureOf(err).code)
	}
	s.meters.act(ctx, d.act, outcome)
	s.log.InfoContext(ctx, "act", "act", d.act, "caller", c.ID(), "by", d.by, "role", c.Role, "tenant", c.Tenant,
		"saga", d.saga, "step", d.step, "reason", d.reason, "outcome", outcome,
		"request_id", requestID(ctx), "remote", remote(ctx))
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
