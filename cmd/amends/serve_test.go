package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/inbound"
)

// listenings are the URLs in the log lines of listeners.
type listenings chan string

func (l listenings) Write(line []byte) (int, error) {
	if _, url, ok := strings.Cut(string(line), "url="); ok {
		l <- strings.TrimSpace(url)
	}
	return len(line), nil
}

// A process that is told to end does so in good order, even if a request never ends.
func TestStopWithARequestThatNeverEnds(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	urls := make(listenings, 1)
	p := &process{ctx: ctx, logger: slog.New(slog.NewTextHandler(urls, nil))}
	entered, over := make(chan struct{}), make(chan struct{})
	server := inbound.NewServer("127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-over
	}))
	served := make(chan error, 1)
	go func() { served <- serve(p, "test", server, ending{drain: func() {}}) }()
	var asking sync.WaitGroup
	asking.Go(func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, <-urls, nil)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			err = answer.Body.Close()
		}
		require.Error(t, err, "it is cut off")
	})
	<-entered

	end()

	require.NoError(t, <-served)
	close(over)
	asking.Wait()
}

// The step services do not wait for long for slow callers.
func TestServicesWithSlowCallers(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	urls := make(listenings, 1)
	served := make(chan error, 1)
	go func() {
		served <- run(ctx, []string{"services", "--data", t.TempDir(), "--addr", "127.0.0.1:0"}, strings.NewReader(""), io.Discard, urls)
	}()
	addr := strings.TrimPrefix(<-urls, "http://")
	var conns []net.Conn
	for _, sends := range []string{
		"PUT /inventory/reservations/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
		"GET /inventory/audit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
	} {
		conn, err := net.Dial("tcp", addr) //nolint:noctx // it is local
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = io.WriteString(conn, sends)
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	for i, answer := range []string{"HTTP/1.1 408 ", "HTTP/1.1 200 ", ""} {
		require.NoError(t, conns[i].SetReadDeadline(time.Now().Add(time.Minute)))
		text, err := io.ReadAll(conns[i])
		require.NoError(t, err, "the service hangs up")
		require.True(t, strings.HasPrefix(string(text), answer), string(text))
	}

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/inventory/audit", nil)
	require.NoError(t, err)
	r.Host = "evil.example"
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusMisdirectedRequest, answer.StatusCode, "a page in a browser whose name points here")

	end()
	require.NoError(t, <-served)
}
