package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/amends-dev/amends/internal/access"
)

// rule says who may do an operation.
type rule struct {
	// open operations are for everyone, who need not say who they are.
	open  bool
	roles []access.Role
}

// The rules. A starter reads and steers only what it started.
var (
	everyone  = rule{open: true}
	readers   = rule{roles: access.Roles()}
	starters  = rule{roles: []access.Role{access.Starter, access.Admin}}
	steerers  = rule{roles: []access.Role{access.Starter, access.Operator, access.Admin}}
	overseers = rule{roles: []access.Role{access.Viewer, access.Operator, access.Admin}}
	operators = rule{roles: []access.Role{access.Operator, access.Admin}}
)

// rules are those of all operations, by ID: one that is missing here cannot be registered.
var rules = map[string]rule{
	"healthz": everyone,
	"readyz":  everyone,
	"version": everyone,

	"place-order":  starters,
	"list-orders":  readers,
	"get-order":    readers,
	"cancel-order": steerers,
	"decide-order": operators, // whoever placed an order does not approve it

	"return-order":   starters,
	"list-returns":   readers,
	"get-return":     readers,
	"cancel-return":  steerers,
	"report-arrival": steerers,

	"list-sagas":           readers,
	"get-saga":             readers,
	"follow-saga":          readers,
	"cancel-saga":          steerers,
	"decide-saga":          operators,
	"retry-step":           operators,
	"skip-step":            operators,
	"mark-step-done":       operators,
	"mark-pivot-happened":  operators,
	"mark-pivot-prevented": operators,
	"extend-deadline":      operators,

	"start-batch":  operators,
	"get-batch":    overseers,
	"cancel-batch": operators,

	"get-overview":    overseers,
	"get-caller":      readers,
	"list-saga-types": readers,
	"get-saga-type":   readers,
	"get-plan":        readers,
}

// bearer is the security scheme in the API's description.
const bearer = "bearer"

// guard adds who may do it to the operation and its problems, and has authenticate enforce it.
func (s *server) guard(op *huma.Operation, codes []Code) []Code {
	r, ok := rules[op.OperationID]
	if !ok {
		panic("api: nothing says who may do " + op.OperationID)
	}
	s.rules[op.Method+" "+op.Path] = r
	act, ok := acts[op.OperationID]
	if !ok && op.Method != http.MethodGet {
		panic("api: nothing says how the audit log names " + op.OperationID)
	}
	if act != "" {
		s.acts[op.Method+" "+op.Path] = act
	}
	if r.open {
		return codes
	}
	op.Security = []map[string][]string{{bearer: {}}}
	codes = append(codes, codeUnauthenticated, codeUnchecked)
	if len(r.roles) < len(access.Roles()) {
		codes = append(codes, codeForbidden)
		op.Description = strings.TrimSpace(op.Description + "\n\nFor the roles " + r.names() + ".")
	}
	return codes
}

func (r rule) names() string {
	var names []string
	for _, role := range r.roles {
		names = append(names, string(role))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// Anonymous is the ID of the callers of an API that asks nobody who they are.
const Anonymous = "anonymous"

// idOf tells callers apart, over all tenants.
func idOf(c access.Caller) string {
	if c.How == access.Unproved {
		return Anonymous
	}
	return c.Tenant + "/" + c.ID()
}

type callerKey struct{}

// proved is what a request proves of its caller.
type proved struct {
	access.Caller

	// authorization is what the caller sent, and err what is wrong with it.
	authorization string
	err           error
}

// callerOf is who sent the request that ctx belongs to.
func callerOf(ctx context.Context) access.Caller {
	return provedBy(ctx).Caller
}

func provedBy(ctx context.Context) proved {
	p, _ := ctx.Value(callerKey{}).(proved)
	return p
}

// stillProved returns an error if what the caller sent is good no more, for answers that take long.
func (s *server) stillProved(ctx context.Context) error {
	_, err := s.options.Access.Authenticate(ctx, provedBy(ctx).authorization)
	return err
}

// accountOf is whose limits the request counts against: its caller's, or, where nobody knows who that is, its address's; of
// IPv6 the network's, since one host has all of it.
func accountOf(ctx context.Context) string {
	if c := callerOf(ctx); c.How == access.ByKey || c.How == access.ByToken {
		return idOf(c)
	}
	addr := middleware.GetClientIPAddr(ctx)
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	return addr.String()
}

// recognize finds out who calls. Whoever it does not know goes on as nobody: what nobody may do is for authorize.
func (s *server) recognize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, limitedPath) {
			var p proved
			// Two headers are one that is malformed.
			p.authorization = strings.Join(r.Header.Values("Authorization"), ", ")
			p.Caller, p.err = s.options.Access.Authenticate(r.Context(), p.authorization)
			learn(r.Context()).caller = p.Caller
			r = r.WithContext(context.WithValue(r.Context(), callerKey{}, p))
		}
		next.ServeHTTP(w, r)
	})
}

// authorize refuses who may not do what the request is for. It comes before the body is read.
func (s *server) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // GetHead lets it in there
		}
		route := chi.RouteContext(r.Context()).RoutePattern()
		rule := s.rules[method+" "+route]
		if rule.open {
			next.ServeHTTP(w, r)
			return
		}
		caller, reason := callerOf(r.Context()), provedBy(r.Context()).err
		err := refusedCaller(reason)
		if err == nil && !slices.Contains(rule.roles, caller.Role) {
			err = &failure{
				code: codeForbidden, detail: "It is for the roles " + rule.names() + ", and you are " + string(caller.Role) + ".",
				challenge: `error="insufficient_scope"`,
			}
		}
		if err != nil {
			s.log.InfoContext(r.Context(), "refused", "method", r.Method, "route", route, "reason", cmp.Or(reason, err),
				"caller", caller.ID(), "tenant", caller.Tenant, "request_id", requestID(r.Context()), "remote", remote(r.Context()))
			writeProblem(w, s.problem(r.Context(), err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusedCaller is the problem of a caller who is not known. Why not is for the log only.
func refusedCaller(err error) error {
	switch {
	case errors.Is(err, access.ErrMissing):
		return &failure{
			code: codeUnauthenticated, detail: "Send Authorization: Bearer with an API key, or a token of this system's issuer.",
			challenge: `realm="amends"`,
		}
	case errors.Is(err, access.ErrInvalid):
		return &failure{
			code: codeUnauthenticated, detail: "The credentials are not good here: unknown, expired, revoked or made for something else.",
			challenge: `realm="amends", error="invalid_token"`,
		}
	case errors.Is(err, access.ErrUnavailable):
		return &failure{code: codeUnchecked, detail: "The issuer of the token does not answer."}
	}
	return err
}

func (s *server) routeCaller(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-caller", Method: http.MethodGet, Path: "/v1/caller", Tags: []string{"service"},
		Summary: "Say who you are here",
	}, nil, func(ctx context.Context, _ *struct{}) (*callerOutput, error) {
		c := callerOf(ctx)
		out := &callerOutput{}
		out.Body.ID, out.Body.Name, out.Body.Tenant, out.Body.Role = idOf(c), c.Name, c.Tenant, string(c.Role)
		return out, nil
	})
}

type callerOutput struct {
	Body struct {
		ID     string `json:"id" doc:"Tells callers apart. Idempotency-Keys count within it." example:"acme/key:shop"`
		Name   string `json:"name" example:"shop"`
		Tenant string `json:"tenant" doc:"Whose sagas it is about; an admin sees all." example:"acme"`
		Role   string `json:"role" enum:"starter,viewer,operator,admin" doc:"starter: starts sagas, sees and cancels its own. viewer: sees its tenant's. operator: also acts on them. admin: everything, in all tenants."`
	} `nameHint:"Caller"`
}
