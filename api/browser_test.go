package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
)

// Whatever is answered, browsers are told what they must not do with it.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	for _, tt := range []struct{ path, cache, policy string }{
		{"/v1/orders/" + orderID, "private, no-cache", "default-src 'none'; frame-ancestors 'none'"},
		{"/v1/orders", "no-store", "default-src 'none'; frame-ancestors 'none'"},
		{"/v1/orders/" + otherID, "no-store", "default-src 'none'; frame-ancestors 'none'"},
		{"/nowhere", "no-store", "default-src 'none'; frame-ancestors 'none'"},
		{"/healthz", "no-store", "default-src 'none'; frame-ancestors 'none'"},
		{"/openapi.json", "no-store", "default-src 'none'; frame-ancestors 'none'"},
		{"/docs", "no-cache", b.get(t, "/docs/docs.js").header.Get("Content-Security-Policy")},
	} {
		a := b.get(t, tt.path)

		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), tt.path)
		require.Equal(t, "no-referrer", a.header.Get("Referrer-Policy"), tt.path)
		require.Equal(t, tt.cache, a.header.Get("Cache-Control"), tt.path)
		require.Equal(t, tt.policy, a.header.Get("Content-Security-Policy"), tt.path)
		require.Contains(t, tt.policy, "frame-ancestors 'none'")
	}
	r := httptest.NewRequest(http.MethodGet, "/v1/orders/"+orderID, nil)
	r.Header.Set("If-None-Match", "*")
	a := b.do(t, r)
	require.Equal(t, 304, a.status)
	require.Equal(t, "private, no-cache", a.header.Get("Cache-Control"))
}

// Scripts from other origins get nothing, unless their origin is listed.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	const ours, theirs = "https://console.example", "https://evil.example"
	listed := setup(t)
	listed.handler = api.New(listed.temporal, api.Options{Access: access.Open(), Logger: listed.logger(), Origins: []string{ours}})
	none := setup(t)
	ask := func(b *bundle, method, origin string, headers ...string) answer {
		r := httptest.NewRequest(method, "/v1/orders", nil)
		r.Header.Set("Origin", origin)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return b.do(t, r)
	}

	a := ask(listed, http.MethodGet, ours)
	require.Equal(t, ours, a.header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, a.header.Values("Vary"), "Origin")
	require.Empty(t, a.header.Get("Access-Control-Allow-Credentials"))
	exposed := strings.ToLower(a.header.Get("Access-Control-Expose-Headers"))
	for _, name := range []string{
		"location", "etag", "preference-applied", "retry-after", "ratelimit", "ratelimit-policy", "idempotent-replayed", "x-request-id",
	} {
		require.Contains(t, strings.Split(exposed, ", "), name)
	}

	preflight := []string{"Access-Control-Request-Method", http.MethodPost, "Access-Control-Request-Headers", "authorization,content-type,if-match"}
	a = ask(listed, http.MethodOptions, ours, preflight...)
	require.Equal(t, 204, a.status)
	require.Equal(t, ours, a.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "POST", a.header.Get("Access-Control-Allow-Methods"))

	for _, a := range []answer{
		ask(listed, http.MethodGet, theirs), ask(listed, http.MethodOptions, theirs, preflight...),
		ask(none, http.MethodGet, ours), ask(none, http.MethodOptions, ours, preflight...),
	} {
		require.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
	}
}
