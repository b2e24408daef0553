package inbound_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/inbound"
)

// pipes is a listener whose connections are pipes, which use a bubble's clock.
type pipes struct {
	conns chan net.Conn
	// closed ends Accept.
	closed func()
	over   chan struct{}
}

func newPipes() pipes {
	p := pipes{conns: make(chan net.Conn), over: make(chan struct{})}
	p.closed = sync.OnceFunc(func() { close(p.over) })
	return p
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	p.closed()
	return nil
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// serve serves the handler, until the server is shut down or the test is over.
func serve(t *testing.T, h http.Handler) (_ *http.Server, dial func() net.Conn) {
	t.Helper()
	server := inbound.NewServer("", h)
	p := newPipes()
	served := make(chan error, 1)
	go func() { served <- server.Serve(p) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return server, func() net.Conn {
		ours, theirs := net.Pipe()
		p.conns <- theirs
		return ours
	}
}

// send sends the text over a connection of its own, and returns the bytes that come back until it is closed, and the time
// that took.
func send(t *testing.T, conn net.Conn, text string) (got string, took time.Duration) {
	t.Helper()
	begin := time.Now()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer), time.Since(begin)
}

// reading answers with the error of reading the body.
var reading = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%d, timeout %t, stopping %t", n, errors.Is(err, os.ErrDeadlineExceeded), inbound.Stopping(r.Context()))
})

// The server does not wait for a request that does not arrive, whatever it is.
func TestRequestsThatDoNotArrive(t *testing.T) {
	t.Parallel()
	ignoring := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(time.Minute)
		reading(w, r)
	})
	for _, tt := range []struct {
		name    string
		handler http.Handler
		sends   string
		answer  string
		took    time.Duration
	}{
		{"headers", reading, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ", "", 5 * time.Second},
		{"nothing", reading, "", "", 5 * time.Second},
		{"a body", reading, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n12345", "5, timeout true, stopping false", 10 * time.Second},
		{"a body in chunks", reading, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123", "3, timeout true, stopping false", 10 * time.Second},
		{"a body of a GET", reading, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", "0, timeout true, stopping false", 10 * time.Second},
		{"a body that nobody reads", ignoring, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", "200 OK", 2 * time.Second},
		{"a body that nobody reads, when the answer took long", slow, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", "0, timeout true", time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, dial := serve(t, tt.handler)
				got, took := send(t, dial(), tt.sends)
				require.Contains(t, got, tt.answer)
				require.InDelta(t, tt.took, took, float64(600*time.Millisecond), "net/http lingers for half a second")
			})
		})
	}
}

// The arrival limit does not apply to a request that has arrived: neither to its answer, nor to the next request on the
// connection.
func TestRequestsThatArrive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			<-time.After(time.Hour)
			fmt.Fprintf(w, "%v %v", err, r.Context().Err())
		}))
		conn := dial()
		defer conn.Close()
		answers := bufio.NewReader(conn)
		for range 2 {
			_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n1")
			require.NoError(t, err)
			<-time.After(9 * time.Second)
			_, err = io.WriteString(conn, "23")
			require.NoError(t, err)
			answer, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, errors.Join(err, answer.Body.Close()))
			require.Equal(t, "<nil> <nil>", string(text))
			<-time.After(time.Minute)
		}
	})
}

// A server that is shut down waits for two seconds for the rest of a request, and no longer than it otherwise would.
func TestStopWhileRequestsDoNotArrive(t *testing.T) {
	t.Parallel()
	waiting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := inbound.UntilStop(r.Context())
		defer cancel()
		<-ctx.Done()
		fmt.Fprint(w, "over")
	})
	for _, tt := range []struct {
		name, sends string
		handler     http.Handler
		after       time.Duration
		answer      string
		took        time.Duration
	}{
		{"nothing", "", reading, time.Second, "", 2 * time.Second},
		{"headers", "GET / HTTP/1.1\r\nX: ", reading, time.Second, "", 2 * time.Second},
		{"headers, nearly over", "GET / HTTP/1.1\r\nX: ", reading, 4 * time.Second, "", 2 * time.Second},
		{"a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n12345", reading, time.Second, "5, timeout true, stopping true", 2 * time.Second},
		{"a body, nearly over", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n12345", reading, 9 * time.Second, "5, timeout true, stopping true", time.Second},
		{"a wait", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", waiting, time.Second, "over", 0},
		{"a wait whose body does not arrive", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", waiting, time.Second, "over", 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server, dial := serve(t, tt.handler)
				conn := dial()
				type answer struct {
					text string
					err  error
				}
				got := make(chan answer, 1)
				go func() {
					_, err := io.WriteString(conn, tt.sends)
					text, readErr := io.ReadAll(conn)
					got <- answer{string(text), errors.Join(err, readErr)}
				}()
				<-time.After(tt.after)
				begin := time.Now()
				require.NoError(t, server.Shutdown(t.Context()))
				// It checks every half a second whether connections are over.
				require.InDelta(t, tt.took, time.Since(begin), float64(1200*time.Millisecond))
				a := <-got
				require.NoError(t, a.err)
				require.Contains(t, a.text, tt.answer)
			})
		})
	}
}

// Headers end at the documented limit, to the byte.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	for size, status := range map[int]string{
		inbound.MaxHeader: "200 OK", inbound.MaxHeader + 1: "431 ", inbound.MaxHeader + 4<<10: "431 ", 1 << 20: "431 ",
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			server := inbound.NewServer("", reading)
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			defer func() {
				require.NoError(t, server.Shutdown(context.WithoutCancel(t.Context())))
				require.ErrorIs(t, <-served, http.ErrServerClosed)
			}()
			conn, err := net.Dial("tcp", listener.Addr().String()) //nolint:noctx // it is local
			require.NoError(t, err)
			defer conn.Close()

			const before, after = "GET /path?query HTTP/1.1\r\nHost: somewhere\r\nX-A: 1\r\nX-A: 2\r\nX-Long: ", "\r\n\r\n"
			go func() {
				_, _ = io.WriteString(conn, before+strings.Repeat("x", size-len(before)-len(after))+after) // it may be closed before the end
			}()
			line, err := bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, status)
		})
	}
}

// A client has time to read an answer from its beginning, however long that took.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		_, dial := serve(t, inbound.LimitAnswers(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(time.Hour)
			for {
				if _, err := io.WriteString(w, strings.Repeat("x", 1<<10)); err != nil {
					ended <- time.Now()
					return
				}
			}
		})))
		conn := dial()
		defer conn.Close()
		begin := time.Now()
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		require.NoError(t, err)
		require.Equal(t, time.Hour+30*time.Second, (<-ended).Sub(begin))
	})
}
