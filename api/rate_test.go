package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
)

// rated is an API that allows ten requests a second, and three at once.
func rated(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Logger: b.logger(), Rate: 10, Burst: 3})
	return b
}

// from asks from that address.
func (b *bundle) from(t *testing.T, addr, path string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = addr
	return b.do(t, r)
}

func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := rated(t)
		const caller = "192.0.2.1:1000"

		for _, left := range []string{`"caller";r=2;t=1`, `"caller";r=1;t=1`, `"caller";r=0;t=1`} {
			a := b.from(t, caller, "/v1/orders")
			require.Equal(t, 200, a.status)
			require.Equal(t, `"caller";q=3;w=1`, a.header.Get("RateLimit-Policy"))
			require.Equal(t, left, a.header.Get("RateLimit"))
			require.Empty(t, a.header.Get("Retry-After"))
		}
		for path, route := range map[string]string{"/v1/orders": "/v1/orders", "/v1/orders/42": "/v1/orders/{id}", "/v1/nowhere": `""`} {
			a := b.from(t, caller, path)
			requireProblem(t, a, 429, "too_many_requests")
			require.Equal(t, "1", a.header.Get("Retry-After"))
			require.Contains(t, b.log.String(), `msg="too many requests" caller=192.0.2.1 request_id=`+a.header.Get("X-Request-Id"), "who it is")
			require.Contains(t, b.log.String(), "method=GET route="+route+" status=429", "what it was")
			require.Equal(t, `"caller";r=0;t=1`, a.header.Get("RateLimit"))
			require.Equal(t, `"caller";q=3;w=1`, a.header.Get("RateLimit-Policy"))
		}
		for range 10 {
			require.Equal(t, 200, b.from(t, caller, "/healthz").status, "a process that lives is not killed for it")
		}
		require.Equal(t, 200, b.from(t, "192.0.2.2:1000", "/v1/orders").status, "another caller")

		<-time.After(100 * time.Millisecond)
		require.Equal(t, 200, b.from(t, "192.0.2.1:1001", "/v1/orders").status, "a tenth of a second is one request")
		require.Equal(t, 429, b.from(t, caller, "/v1/orders").status)

		<-time.After(time.Hour)
		for range 3 {
			require.Equal(t, 200, b.from(t, caller, "/v1/orders").status)
		}
		require.Equal(t, 429, b.from(t, caller, "/v1/orders").status, "no more than the burst")
	})
}

// Open routes count for the address that asks, separately from its requests as a caller.
func TestRateOfOpenRoutes(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/readyz", "/version", "/openapi.json", "/docs", "/docs/docs.js", "/docs/swagger-ui-bundle.js", "/nothing", "/v1", "/healthz/x",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			description(t) // outside the bubble: other tests use it, too
			synctest.Test(t, func(t *testing.T) {
				b := rated(t)
				for range 3 {
					require.NotEqual(t, 429, b.from(t, "192.0.2.1:1000", path).status)
				}
				a := b.from(t, "192.0.2.1:2000", path)
				requireProblem(t, a, 429, "too_many_requests")
				require.Equal(t, "1", a.header.Get("Retry-After"))
				require.Equal(t, 429, b.from(t, "192.0.2.1:2000", "/version").status, "they count together")
				require.NotEqual(t, 429, b.from(t, "192.0.2.2:1000", path).status, "another address")
				require.Equal(t, 200, b.from(t, "192.0.2.1:1000", "/v1/orders").status, "a caller")
				require.Equal(t, 200, b.from(t, "192.0.2.1:1000", "/healthz").status)
				<-time.After(100 * time.Millisecond)
				require.NotEqual(t, 429, b.from(t, "192.0.2.1:1000", path).status)
			})
		})
	}
}

// Retry-After is as long as it takes, not a second.
func TestRateIsLow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Logger: b.logger(), Rate: 0.1})

		require.Equal(t, `"caller";q=1;w=10`, b.get(t, "/v1/orders").header.Get("RateLimit-Policy"))
		<-time.After(2500 * time.Millisecond)
		a := b.get(t, "/v1/orders")
		require.Equal(t, 429, a.status)
		require.Equal(t, "8", a.header.Get("Retry-After"))
		require.Equal(t, `"caller";r=0;t=8`, a.header.Get("RateLimit"))
		<-time.After(8 * time.Second)
		require.Equal(t, 200, b.get(t, "/v1/orders").status)
	})
}

// A caller is an address; of IPv6, the network that one host may have to itself.
func TestCallers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, one, other string
		same             bool
	}{
		{"one address", "192.0.2.1:1", "192.0.2.1:2", true},
		{"two addresses", "192.0.2.1:1", "192.0.2.2:1", false},
		{"one address in IPv6", "192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"two mapped addresses", "[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false},
		{"one network", "[2001:db8::1]:1", "[2001:db8::2]:1", true},
		{"two networks", "[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false},
		{"no address", "@", "@", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Logger: b.logger(), Rate: 0.001})
			require.Equal(t, 200, b.from(t, tt.one, "/v1/orders").status)

			require.Equal(t, tt.same, b.from(t, tt.other, "/v1/orders").status == 429)
		})
	}
}

func TestNoRate(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.get(t, "/v1/orders")

	require.NotContains(t, a.header, "Ratelimit")
	require.NotContains(t, a.header, "Ratelimit-Policy")
}
