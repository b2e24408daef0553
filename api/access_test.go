package api_test

import (
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
)

// guarded is an API that wants to know who calls. Callers are named "role@tenant"; each has a key.
type guarded struct {
	*bundle
	file   string
	keys   map[string]string
	access access.Authenticator
}

// setupGuarded makes keys for these callers.
func setupGuarded(t *testing.T, options api.Options, callers ...string) *guarded {
	t.Helper()
	g := &guarded{bundle: setup(t), file: filepath.Join(t.TempDir(), "keys.toml"), keys: map[string]string{}}
	for _, name := range callers {
		role, tenant, _ := strings.Cut(name, "@")
		role, _, _ = strings.Cut(role, "-")
		_, key, err := access.CreateKey(t.Context(), g.file, access.Key{Name: name, Tenant: tenant, Role: access.Role(role)})
		require.NoError(t, err)
		g.keys[name] = key
	}
	ring, err := access.OpenKeyRing(t.Context(), g.file, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	g.access = access.New(ring, nil)
	g.serve(g.temporal, options)
	return g
}

// serve serves the API in front of that Temporal.
func (g *guarded) serve(temporal client.Client, options api.Options) {
	options.Access, options.Logger = g.access, g.logger()
	g.handler = api.New(temporal, options)
}

// as is ask by a caller; "" is one without a key.
func (g *guarded) as(t *testing.T, caller, method, path, body string, headers ...string) answer {
	t.Helper()
	if caller != "" {
		require.Contains(t, g.keys, caller)
		headers = append(headers, "Authorization", "Bearer "+g.keys[caller])
	}
	return g.ask(t, method, path, body, headers...)
}

// placed is the ID of an order that the caller places, or of a return.
func (g *guarded) placed(t *testing.T, caller, path, body string) string {
	t.Helper()
	a := g.as(t, caller, http.MethodPost, path, body)
	require.Equal(t, 202, a.status, a.body)
	id, ok := a.json(t, "id").(string)
	require.True(t, ok)
	return id
}

// mayDo is who may do each operation.
var mayDo = map[string]string{
	"get /healthz": "anybody", "get /readyz": "anybody", "get /version": "anybody",

	"post /v1/orders":               "starter admin",
	"get /v1/orders":                "starter viewer operator admin",
	"get /v1/orders/{id}":           "starter viewer operator admin",
	"post /v1/orders/{id}/cancel":   "starter operator admin",
	"post /v1/orders/{id}/approval": "operator admin",

	"post /v1/returns":              "starter admin",
	"get /v1/returns":               "starter viewer operator admin",
	"get /v1/returns/{id}":          "starter viewer operator admin",
	"post /v1/returns/{id}/cancel":  "starter operator admin",
	"post /v1/returns/{id}/arrival": "starter operator admin",

	"get /v1/sagas/{id}":                              "starter viewer operator admin",
	"post /v1/sagas/{id}/cancel":                      "starter operator admin",
	"post /v1/sagas/{id}/approval":                    "operator admin",
	"post /v1/sagas/{id}/steps/{step}/retry":          "operator admin",
	"post /v1/sagas/{id}/steps/{step}/skip":           "operator admin",
	"post /v1/sagas/{id}/steps/{step}/mark-done":      "operator admin",
	"post /v1/sagas/{id}/steps/{step}/mark-happened":  "operator admin",
	"post /v1/sagas/{id}/steps/{step}/mark-prevented": "operator admin",
	"post /v1/sagas/{id}/extend-deadline":             "operator admin",

	"post /v1/batches":             "operator admin",
	"get /v1/batches/{id}":         "viewer operator admin",
	"post /v1/batches/{id}/cancel": "operator admin",

	"get /v1/sagas":             "starter viewer operator admin",
	"get /v1/sagas/{id}/events": "starter viewer operator admin",
	"get /v1/overview":          "viewer operator admin",

	"get /v1/caller":                 "starter viewer operator admin",
	"get /v1/saga-types":             "starter viewer operator admin",
	"get /v1/saga-types/{type}":      "starter viewer operator admin",
	"get /v1/saga-types/{type}/plan": "starter viewer operator admin",
}

// Every operation that the API describes is tried in every role.
func TestRoles(t *testing.T) {
	t.Parallel()
	callers := []string{"", "starter@acme", "viewer@acme", "operator@acme", "admin@acme"}
	g := setupGuarded(t, api.Options{}, callers[1:]...)
	g.temporal.count = func(string) int64 { return 0 }
	paths, ok := g.get(t, "/openapi.json").json(t, "paths").(map[string]any)
	require.True(t, ok)
	var operations []string
	for path, item := range paths {
		for method := range item.(map[string]any) {
			operations = append(operations, method+" "+path)
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(mayDo)), operations)

	for operation, roles := range mayDo {
		method, path, _ := strings.Cut(operation, " ")
		path = strings.NewReplacer("{id}", "order-1", "{step}", "ReserveStock", "{type}", "PlaceOrder").Replace(path)
		methods := []string{strings.ToUpper(method)}
		if method == "get" {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			for _, caller := range callers {
				role, _, _ := strings.Cut(caller, "@")
				status := g.as(t, caller, method, path, "").status
				switch {
				case roles == "anybody", role != "" && slices.Contains(strings.Fields(roles), role):
					require.NotContains(t, []int{401, 403, 405}, status, "%s by %q", operation, role)
				case role == "":
					require.Equal(t, 401, status, operation)
				default:
					require.Equal(t, 403, status, "%s by %s", operation, role)
				}
			}
		}
	}
}

func TestUnauthenticated(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "viewer@acme")
	key := g.keys["viewer@acme"]

	for _, tt := range []struct {
		headers   []string
		challenge string
	}{
		{nil, `Bearer realm="amends"`},
		{[]string{"Authorization", "Basic " + key}, `Bearer realm="amends"`},
		{[]string{"Authorization", "Bearer " + key + "x"}, `Bearer realm="amends", error="invalid_token"`},
		{[]string{"Authorization", "Bearer a.b.c"}, `Bearer realm="amends", error="invalid_token"`},
		{[]string{"Authorization", "Bearer " + key, "Authorization", "Bearer " + key}, `Bearer realm="amends", error="invalid_token"`},
	} {
		a := g.ask(t, http.MethodGet, "/v1/orders", "", tt.headers...)
		requireProblem(t, a, 401, "unauthenticated")
		require.Equal(t, tt.challenge, a.header.Get("WWW-Authenticate"))
	}
	require.Contains(t, g.log.String(), "with another secret", "the log says why")
	require.NotContains(t, g.log.String(), key[len(key)-20:])

	// Who is not known has no body read, and learns nothing of what is there.
	requireProblem(t, g.post(t, "/v1/orders", strings.Repeat(" ", 2<<20)), 401, "unauthenticated")
	requireProblem(t, g.ask(t, http.MethodPost, "/v1/orders", "{}", "Idempotency-Key", `"`), 401, "unauthenticated")
	requireProblem(t, g.get(t, "/v1/orders/none"), 401, "unauthenticated")

	forbidden := g.as(t, "viewer@acme", http.MethodPost, "/v1/orders", exampleOrder)
	requireProblem(t, forbidden, 403, "forbidden")
	require.Equal(t, "It is for the roles starter and admin, and you are viewer.", forbidden.json(t, "detail"))
	require.Equal(t, `Bearer error="insufficient_scope"`, forbidden.header.Get("WWW-Authenticate"))
	require.Empty(t, g.temporal.sagas)

	for _, path := range []string{"/healthz", "/version", "/openapi.json"} {
		require.Equal(t, 200, g.get(t, path).status, path)
	}
}

// By default nobody gets in.
func TestNobodyIsLetInByDefault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.handler = api.New(b.temporal, api.Options{Logger: b.logger()})
	requireProblem(t, b.get(t, "/v1/orders"), 401, "unauthenticated")
	require.Equal(t, 200, b.get(t, "/healthz").status)
}

func TestCredentialsThatCannotBeChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// Nothing listens at port 1, which is reserved.
	issuer, err := access.NewIssuer(access.IssuerOptions{URL: "http://127.0.0.1:1", Audience: "amends", Logger: b.logger()})
	require.NoError(t, err)
	b.handler = api.New(b.temporal, api.Options{Access: access.New(nil, issuer), Logger: b.logger()})

	requireProblem(t, b.ask(t, http.MethodGet, "/v1/orders", "", "Authorization", "Bearer a.b.c"), 503, "credentials_unchecked")
}

func TestCaller(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "operator@acme")
	require.JSONEq(t, `{"id":"acme/key:operator@acme","name":"operator@acme","tenant":"acme","role":"operator"}`,
		g.as(t, "operator@acme", http.MethodGet, "/v1/caller", "").body)
	require.JSONEq(t, `{"id":"anonymous","name":"anonymous","tenant":"default","role":"admin"}`, setup(t).get(t, "/v1/caller").body)
}
