package api_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
)

func TestRoutesThatAreNot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/", 404, "not_found", ""},
		{"GET", "/v1/order", 404, "not_found", ""},
		{"GET", "/v1/orders/", 404, "not_found", ""},
		{"GET", "/docs/", 404, "not_found", ""},
		{"DELETE", "/v1/orders", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"PUT", "/v1/orders/" + orderID, 405, "method_not_allowed", "GET, HEAD"},
		{"GET", "/v1/orders/" + orderID + "/cancel", 405, "method_not_allowed", "POST"},
		{"POST", "/healthz", 405, "method_not_allowed", "GET, HEAD"},
		{"BREW", "/healthz", 405, "method_not_allowed", "GET, HEAD"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			a := b.do(t, httptest.NewRequest(tt.method, tt.path, nil))

			requireProblem(t, a, tt.status, tt.code)
			require.Equal(t, tt.allow, a.header.Get("Allow"))
		})
	}
}

func TestParametersThatAreNot(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 201)
	for _, tt := range []struct {
		method, target, header string
		faults                 []string
	}{
		{"GET", "/v1/orders?state=running&state=parked", "", []string{"state: is there twice"}},
		{"GET", "/v1/orders?state=", "", []string{"state: is empty"}},
		{"GET", "/v1/orders?state=%zz", "", nil},
		{"GET", "/v1/orders?page_token=a;b", "", nil},
		{"GET", "/v1/orders?page_token=%ff", "", []string{"page_token: is not UTF-8"}},
		{"GET", "/v1/orders?page_token=a%0Ab", "", []string{"page_token: has control characters"}},
		{"GET", "/v1/orders?page_token=a%E2%80%AEb", "", []string{"page_token: has U+202E, which readers do not see: leave it out"}},
		{"GET", "/v1/orders/a%1b", "", []string{"id: has control characters"}},
		{"GET", "/v1/orders/a%1B", "", []string{"id: has control characters"}},
		{"GET", "/v1/sagas/a%ff", "", []string{"id: is not UTF-8"}},
		{"GET", "/v1/sagas/%C2%9b", "", []string{"id: has control characters"}},
		{"GET", "/v1/sagas/a%2F%E2%80%8B/events", "", []string{"id: has U+200B, which readers do not see: leave it out"}},
		{"GET", "/v1/batches/%07", "", []string{"id: has control characters"}},
		{"GET", "/v1/saga-types/%00", "", []string{"type: has control characters"}},
		{"POST", "/v1/sagas/order-" + orderID + "/steps/a%1b[2J/skip", "", []string{"step: has control characters"}},
		{"POST", "/v1/sagas/order-" + orderID + "/steps/a/skip?item=%7f", "", []string{"item: has control characters"}},
		{"GET", "/v1/orders/" + orderID, "wait=5,\tx", []string{"Prefer: has control characters"}},
		{"GET", "/v1/orders/" + orderID, "a\u202e", []string{"Prefer: has U+202E, which readers do not see: leave it out"}},
		{"GET", "/v1/orders/" + orderID, "a\xff", []string{"Prefer: is not UTF-8"}},
		{"GET", "/healthz?verbose=1", "", []string{"verbose: unknown query parameter"}},
		{"GET", "/v1/orders/" + orderID, long, []string{"Prefer: expected length <= 200"}},
		{"POST", "/v1/orders", long, []string{"Prefer: expected length <= 200"}},
		{"POST", "/v1/sagas/order-" + orderID + "/steps/" + long + "/skip", "", []string{"step: expected length <= 200"}},
	} {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(exampleOrder))
			r.Header.Set("Idempotency-Key", orderKey)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Prefer", tt.header)
			if strings.Contains(tt.target, "/steps/") {
				r.Body = io.NopCloser(strings.NewReader(`{"by":"grace","reason":"it must"}`))
			}

			requireProblem(t, b.do(t, r), 400, "bad_parameter", tt.faults...)
		})
	}
}

func TestTemporalFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"away", serviceerror.NewUnavailable("dial tcp 10.0.0.7:7233"), 503, "temporal_unavailable"},
		{"slow", serviceerror.NewDeadlineExceeded("10.0.0.7"), 503, "temporal_unavailable"},
		{"overloaded", &serviceerror.ResourceExhausted{Message: "10.0.0.7"}, 503, "temporal_unavailable"},
		{"connecting", fmt.Errorf("failed reaching server 10.0.0.7: %w", contextDeadline()), 503, "temporal_unavailable"},
		{"broken", errors.New("10.0.0.7 said something"), 500, "internal"},
		{"not its namespace", serviceerror.NewNamespaceNotFound("10.0.0.7"), 500, "internal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.temporal.down = tt.err

			for _, a := range []answer{
				b.post(t, "/v1/orders", exampleOrder),
				b.get(t, "/v1/orders"),
				b.get(t, "/v1/orders/"+orderID),
				b.post(t, "/v1/orders/"+orderID+"/cancel", ""),
				b.post(t, "/v1/returns", exampleReturn),
				b.get(t, "/readyz"),
			} {
				requireProblem(t, a, tt.status, tt.code)
				require.NotContains(t, a.body, "10.0.0.7")
			}
			require.Contains(t, b.log.String(), "10.0.0.7")
			require.Equal(t, 200, b.get(t, "/healthz").status)
		})
	}
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.handler = api.New(struct{ client.Client }{}, api.Options{Access: access.Open(), Logger: b.logger()})

	a := b.get(t, "/v1/orders")

	requireProblem(t, a, 500, "internal")
	require.Contains(t, b.log.String(), "nil pointer")
	require.Contains(t, b.log.String(), "status=500")
}

func TestRequestsAreLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := httptest.NewRequest(http.MethodGet, "/v1/orders/"+orderID, nil)
	r.Header.Set("X-Request-Id", "mine")

	a := b.do(t, r)

	require.Equal(t, "mine", a.header.Get("X-Request-Id"))
	require.Contains(t, b.log.String(), "level=INFO msg=request method=GET route=/v1/orders/{id} status=404")
	require.Contains(t, b.log.String(), "request_id=mine")

	r = httptest.NewRequest(http.MethodGet, "/v1/orders/"+orderID, nil)
	r.Header.Set("X-Request-Id", "mine\nor yours")
	require.Regexp(t, `^[a-z0-9]{26}$`, b.do(t, r).header.Get("X-Request-Id"))
}
