package api_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/longtest"
)

// slowKind is a way to take long, and what becomes of it.
type slowKind struct {
	name, sends string
	// cut asserts what the connection got in the end.
	cut func(t *testing.T, got string)
}

var slowKinds = []slowKind{
	{"headers", "GET /v1/orders HTTP/1.1\r\nHost: api\r\nX-Slow: ", func(t *testing.T, got string) {
		t.Helper()
		require.Empty(t, got, "it is closed")
	}},
	{"body", "POST /v1/orders HTTP/1.1\r\nHost: api\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", func(t *testing.T, got string) {
		t.Helper()
		require.Contains(t, got, "408 Request Timeout")
	}},
	{"answer", "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: api\r\n\r\n", func(t *testing.T, got string) {
		t.Helper()
		require.Contains(t, got, "200 OK")
		require.NotContains(t, got, "\r\n0\r\n\r\n", "the answer is complete")
	}},
}

// slowClients is how many there are at once.
const slowClients = 500

// narrow is a listener whose connections do not take a whole answer that nobody reads.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
}

// realServer serves an API with one order on real connections, until the test ends. closed counts those that it closed.
func realServer(tb testing.TB) (addr string, closed *atomic.Int64) {
	tb.Helper()
	handler := api.New(newFakeTemporal(), api.Options{Access: access.Open(), Logger: quiet})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	server := api.NewServer("", handler)
	closed = &atomic.Int64{}
	note := server.ConnState
	server.ConnState = func(conn net.Conn, to http.ConnState) {
		note(conn, to)
		if to == http.StateClosed {
			closed.Add(1)
		}
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(narrow{listener}) }()
	tb.Cleanup(func() {
		require.NoError(tb, server.Close())
		require.ErrorIs(tb, <-served, http.ErrServerClosed)
	})
	status, err := exchange(tb.Context(), "http://"+listener.Addr().String())
	require.NoError(tb, err)
	require.Equal(tb, 202, status)
	return listener.Addr().String(), closed
}

// exchange places an order, and returns the answer's status.
func exchange(ctx context.Context, url string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/orders", strings.NewReader(exampleOrder))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", rand.Text())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}

// connectSlowly opens that many connections, of every kind in turn, each of which stops in the middle.
func connectSlowly(tb testing.TB, addr string, n int) []net.Conn {
	tb.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial("tcp", addr) //nolint:noctx // it is local
		require.NoError(tb, err)
		tb.Cleanup(func() { conn.Close() })
		tcp := conn.(*net.TCPConn)
		require.NoError(tb, tcp.SetReadBuffer(4096))
		_, err = io.WriteString(conn, slowKinds[i%len(slowKinds)].sends)
		require.NoError(tb, err)
		conns[i] = conn
	}
	return conns
}

// Hundreds of clients who send slowly, or never read, keep nobody from being answered, and are cut off in the end.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)
	addr, closed := realServer(t)
	begin := time.Now()
	conns := connectSlowly(t, addr, slowClients)

	for range 200 {
		status, err := exchange(t.Context(), "http://"+addr)
		require.NoError(t, err)
		require.Equal(t, 202, status)
	}

	require.Eventually(t, func() bool { return closed.Load() == slowClients }, 2*time.Minute, 50*time.Millisecond, "some are not cut off")
	require.Greater(t, time.Since(begin), 30*time.Second, "an answer has that long to be read")
	var readers sync.WaitGroup
	got := make([]string, len(conns))
	for i, conn := range conns {
		readers.Go(func() {
			text, _ := io.ReadAll(bufio.NewReader(conn)) // a reset is an end, too
			got[i] = string(text)
		})
	}
	readers.Wait()
	for i, text := range got {
		slowKinds[i%len(slowKinds)].cut(t, text)
	}
}

// unsent are requests whose bodies never arrive, with their answers.
var unsent = []struct{ name, method, path, headers, answer string }{
	{"place an order", "POST", "/v1/orders", "Idempotency-Key: k\r\nContent-Type: application/json\r\n", "408 "},
	{"place an order and wait", "POST", "/v1/orders", "Idempotency-Key: k\r\nContent-Type: application/json\r\nPrefer: wait=60\r\n", "408 "},
	{"without a key, and wait", "POST", "/v1/orders", "Prefer: wait=60\r\n", "400 "},
	{"by nobody, and wait", "POST", "/v1/orders", "Prefer: wait=60\r\n", "401 "},
	{"news", "GET", "/v1/orders/" + orderID, "Prefer: wait=60\r\nIf-None-Match: *\r\n", "408 "},
	{"a list", "GET", "/v1/orders", "", "408 "},
	{"a list that does not wait", "GET", "/v1/orders", "Prefer: wait=60\r\n", "408 "},
	{"a stream", "GET", eventsOf42, "", "408 "},
	{"the headers of a stream", "HEAD", eventsOf42, "Prefer: wait=60\r\n", "408 "},
	{"readiness", "GET", "/readyz", "Prefer: wait=60\r\n", "408 "},
	{"the page", "GET", "/docs", "Prefer: wait=60\r\n", "200 "},
	{"the description", "GET", "/openapi.json", "", "200 "},
	{"nothing", "GET", "/nothing", "Prefer: wait=60\r\n", "404 "},
	{"a method that is not", "DELETE", "/v1/orders", "Prefer: wait=60\r\n", "405 "},
}

// unsentRequest returns a request whose body stops in the middle, or does not come at all.
func unsentRequest(i int) string {
	request := unsent[i/2]
	framing, body := "Content-Length: 1000\r\n\r\n", "{"
	if i%2 == 1 {
		framing, body = "Transfer-Encoding: chunked\r\n\r\n", ""
	}
	return request.method + " " + request.path + " HTTP/1.1\r\nHost: api\r\n" + request.headers + framing + body
}

// The server does not wait for a body that never comes, whatever the request is and whatever its caller prefers.
func TestBodiesThatNeverArrive(t *testing.T) {
	t.Parallel()
	for i := range 2 * len(unsent) {
		t.Run(fmt.Sprint(unsent[i/2].name, i%2), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.started(t, "/v1/orders", exampleOrder)
			if unsent[i/2].answer == "401 " {
				b.handler = api.New(b.temporal, api.Options{Logger: quiet}) // it identifies no callers
			}
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				l := oneConn{conn: make(chan net.Conn, 1)}
				l.conn <- theirs
				server := api.NewServer("", b.handler)
				served := make(chan error, 1)
				go func() { served <- server.Serve(l) }()
				begin := time.Now()

				_, err := io.WriteString(ours, unsentRequest(i))
				require.NoError(t, err)
				got, err := io.ReadAll(ours)

				require.NoError(t, err)
				require.True(t, strings.HasPrefix(string(got), "HTTP/1.1 "+unsent[i/2].answer), string(got))
				require.LessOrEqual(t, time.Since(begin), 11*time.Second)
				close(l.conn)
				require.ErrorIs(t, <-served, net.ErrClosed)
			})
		})
	}
}

// A server that is shut down ends in good order, whatever its clients fail to send.
func TestStopWithSlowClients(t *testing.T) {
	t.Parallel()
	handler := api.New(newFakeTemporal(), api.Options{Access: access.Open(), Logger: quiet})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := api.NewServer("", handler)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	status, err := exchange(t.Context(), "http://"+listener.Addr().String())
	require.NoError(t, err)
	require.Equal(t, 202, status)
	sends := []string{"", "GET /v1/orders HTTP/1.1\r\nHost: api\r\nX-Slow: "}
	for i := range 2 * len(unsent) {
		sends = append(sends, unsentRequest(i))
	}
	for _, text := range sends {
		conn, err := net.Dial("tcp", listener.Addr().String()) //nolint:noctx // it is local
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
	}
	status, err = exchange(t.Context(), "http://"+listener.Addr().String())
	require.NoError(t, err)
	require.Equal(t, 202, status, "those before it have come in")

	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // the limit of amends api
	defer cancel()
	require.NoError(t, server.Shutdown(ctx))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

// How long a normal request takes, alone and beside slow clients; go test ./api -run '^$' -bench SlowClients
func BenchmarkSlowClients(b *testing.B) {
	for _, n := range []int{0, slowClients} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			addr, _ := realServer(b)
			var took []time.Duration
			connected := time.Time{}
			for b.Loop() {
				if n > 0 && time.Since(connected) > 4*time.Second { // before the first of them are cut off
					b.StopTimer()
					connectSlowly(b, addr, n)
					connected = time.Now()
					b.StartTimer()
				}
				begin := time.Now()
				status, err := exchange(b.Context(), "http://"+addr)
				took = append(took, time.Since(begin))
				require.NoError(b, err)
				require.Equal(b, 202, status)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
