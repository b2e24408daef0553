// Package inbound bounds the cost of clients to a process that serves HTTP: how long they may take to send and to read,
// also while the process stops, how large their headers are, how often costly values are made for them, and by which
// names they may reach it. It does not know what the process serves.
package inbound

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// BodyTimeout limits the time for a request's body to arrive, whatever the method.
	BodyTimeout = 10 * time.Second
	// MaxHeader limits a request's line and headers together, in bytes.
	MaxHeader = 16 << 10

	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	// stopTimeout limits the time for the rest of a request to arrive once the server is shut down, or its answer is
	// made.
	stopTimeout = 2 * time.Second
)

// NewServer returns a server for the handler that waits for no client for long. Headers have five seconds, a body has
// [BodyTimeout]: after that, reading it fails with [os.ErrDeadlineExceeded]. Once it is shut down, the rest of a request
// has two more seconds. The caller limits the time to read an answer: see [LimitAnswers].
func NewServer(addr string, h http.Handler) *http.Server {
	stopping, stop := context.WithCancel(context.Background()) //nolint:forbidigo // the server's own life, which begins here
	silent := &silent{conns: map[net.Conn]struct{}{}}
	server := &http.Server{
		Addr:              addr,
		Handler:           limitHeader(limitBody(h)),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    MaxHeader, // net/http allows 4 KiB more, and HTTP/2 counts in another way: see limitHeader
		ConnState:         silent.note,
	}
	server.RegisterOnShutdown(func() {
		stop()
		silent.hurry()
	})
	server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, stoppingKey{}, stopping)
	}
	return server
}

type stoppingKey struct{}

// stoppingOf returns a context that is done when the server of the request is shut down; nil for a handler without a
// server of ours.
func stoppingOf(ctx context.Context) context.Context {
	stopping, _ := ctx.Value(stoppingKey{}).(context.Context)
	return stopping
}

// UntilStop returns a request's context that also ends when its server, which waits for the request, is shut down.
func UntilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	stopping := stoppingOf(ctx)
	ctx, cancel := context.WithCancel(ctx)
	if stopping == nil {
		return ctx, cancel
	}
	forget := context.AfterFunc(stopping, cancel)
	return ctx, func() {
		forget()
		cancel()
	}
}

// Stopping reports whether the server that serves the request is shut down.
func Stopping(ctx context.Context) bool {
	stopping := stoppingOf(ctx)
	return stopping != nil && stopping.Err() != nil
}

// silent are the connections without a request so far. A server that is shut down would wait for them.
type silent struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func (s *silent) note(conn net.Conn, to http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to == http.StateNew {
		s.conns[conn] = struct{}{}
		return
	}
	delete(s.conns, conn)
}

func (s *silent) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.SetReadDeadline(time.Now().Add(stopTimeout)) // it is closed already
	}
}

// limitHeader refuses requests whose line and headers are longer than [MaxHeader] as HTTP/1.1 writes them. net/http
// refuses only even longer ones.
func limitHeader(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const ends = len("\r\n")
		size := len(r.Method) + len(" ") + len(r.RequestURI) + len(" HTTP/1.1") + ends + len("Host: ") + len(r.Host) + ends + ends
		for name, values := range r.Header {
			for _, value := range values {
				size += len(name) + len(": ") + len(value) + ends
			}
		}
		if size > MaxHeader {
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("A request has at most %d bytes before its body.", MaxHeader))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers with a problem (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}) // an error means that the client has gone
}
