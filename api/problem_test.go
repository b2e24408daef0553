package api_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
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

func TestBodiesThatAreNot(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33)
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
		faults     []string
	}{
		{"empty", "", 400, "malformed", nil},
		{"no JSON", `{"id":`, 400, "malformed", nil},
		{"something behind", exampleOrder + `{}`, 400, "malformed", nil},
		{"not UTF-8", "{\"id\":\"\xff\"}", 400, "malformed", nil},
		{"a name twice", with(`"currency":"EUR"`, `"currency":"EUR","currency":"USD"`), 400, "malformed", []string{"/currency: is there twice"}},
		{
			"a name twice, inside", with(`"quantity":2`, `"quantity":2,"quantity":3`), 400, "malformed",
			[]string{"/lines/0/quantity: is there twice"},
		},
		{
			"unknown field", with(`"sku":`, `"price":1,"sku":`), 400, "malformed",
			[]string{"/lines/0/price: is not a field of this resource"},
		},
		{
			"field in capitals", with(`"currency":`, `"Currency":`), 400, "malformed",
			[]string{"/Currency: is not a field of this resource", "/currency: is missing"},
		},
		{
			"strange field", with(`"sku":`, `"a/b.c[1]":1,"sku":`), 400, "malformed",
			[]string{"/lines/0/a~1b.c[1]: is not a field of this resource"},
		},
		{
			"too deep", deep, 400, "malformed",
			[]string{strings.Repeat("/a", 32) + ": is nested more than 32 deep"},
		},
		{"no object", `[]`, 422, "invalid", []string{": expected object"}},
		{"null", `null`, 422, "invalid", []string{": expected object"}},
		{"field missing", with(`"sku":"TEA-EARL-GREY",`, ``), 422, "invalid", []string{"/lines/0/sku: is missing"}},
		{"text for a number", with(`"quantity":2`, `"quantity":"2"`), 422, "invalid", []string{"/lines/0/quantity: expected integer"}},
		{
			"fraction", with(`"quantity":2`, `"quantity":2.5`), 422, "invalid",
			[]string{"/lines/0/quantity: must be a whole number of at most 64 bits, without fraction or exponent"},
		},
		{
			"exponent", with(`"quantity":2`, `"quantity":2e3`), 422, "invalid",
			[]string{"/lines/0/quantity: must be a whole number of at most 64 bits, without fraction or exponent"},
		},
		{
			"overflow", with(`"quantity":2`, `"quantity":9223372036854775808`), 422, "invalid",
			[]string{"/lines/0/quantity: must be a whole number of at most 64 bits, without fraction or exponent"},
		},
		{
			"two faults", with(`"quantity":2`, `"quantity":0`, `"EUR"`, `"euro"`), 422, "invalid",
			[]string{"/currency: expected string to be an ISO 4217 code, such as EUR", "/lines/0/quantity: expected number >= 1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			a := b.post(t, "/v1/orders", tt.body)

			requireProblem(t, a, tt.status, tt.code, tt.faults...)
			require.Empty(t, b.temporal.sagas, "a saga was started")
		})
	}
}

func TestBodyIsTooLarge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fill := func(size int) string { return exampleOrder + strings.Repeat(" ", size-len(exampleOrder)) }

	requireProblem(t, b.post(t, "/v1/orders", fill(1<<20+1)), 413, "body_too_large")
	require.Equal(t, 202, b.post(t, "/v1/orders", fill(1<<20)).status)
}

func TestBodyIsOfAnotherType(t *testing.T) {
	t.Parallel()
	for contentType, status := range map[string]int{
		"":                                  415,
		"text/json":                         415,
		"application/x-www-form-urlencoded": 415,
		"application/problem+json":          415,
		"application/json; charset=latin1":  415,
		"application/json;":                 202,
		"Application/JSON; charset=UTF-8":   202,
	} {
		t.Run(contentType, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(exampleOrder))
			r.Header.Set("Idempotency-Key", orderKey)
			r.Header.Set("Content-Type", contentType)
			w := httptest.NewRecorder()

			b.handler.ServeHTTP(w, r)

			require.Equal(t, status, w.Code, w.Body.String())
		})
	}
}

// oneConn is a listener that takes one connection.
type oneConn struct {
	net.Listener
	conn chan net.Conn
}

func (l oneConn) Accept() (net.Conn, error) {
	c, ok := <-l.conn
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l oneConn) Close() error { return nil }

func (l oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// In a real server, which reads on by itself: a request whose body stops in the middle is answered, and let go.
func TestBodyIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ours, theirs := net.Pipe()
		l := oneConn{conn: make(chan net.Conn, 1)}
		l.conn <- theirs
		server := api.NewServer("", b.handler)
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		start := time.Now()

		_, err := io.WriteString(ours, "POST /v1/orders HTTP/1.1\r\nHost: api\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
		require.NoError(t, err)
		got, err := io.ReadAll(ours)

		require.NoError(t, err)
		require.Contains(t, string(got), "408 Request Timeout")
		require.Contains(t, string(got), `"code":"body_timeout"`)
		require.Equal(t, 10*time.Second, time.Since(start))
		close(l.conn)
		require.ErrorIs(t, <-served, net.ErrClosed)
	})
}

func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/orders", io.MultiReader(strings.NewReader(`{"id"`), errorReader{}))
	r.Header.Set("Idempotency-Key", orderKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()

	b.handler.ServeHTTP(w, r)

	require.Equal(t, 400, w.Code, w.Body.String())
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

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
	b.handler = api.New(struct{ client.Client }{}, api.Options{Logger: b.logger()})

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
