package inbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// limitBody gives a request's body [BodyTimeout] to arrive. net/http only has a limit for the whole request, which would
// also end requests whose answer takes long: when it runs out, it cancels them.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		b := &body{ReadCloser: r.Body, conn: http.NewResponseController(w)}
		b.allow(BodyTimeout)
		if stopping := stoppingOf(r.Context()); stopping != nil {
			defer context.AfterFunc(stopping, func() { b.allow(stopTimeout) })()
		}
		// net/http reads the rest, and answers only then.
		defer b.allow(stopTimeout)
		r = r.WithContext(r.Context()) // net/http looks at the body of its own request
		r.Body = b
		next.ServeHTTP(w, r)
	})
}

// A body is a request body that has to arrive in time.
type body struct {
	io.ReadCloser

	conn *http.ResponseController

	mu sync.Mutex
	// until is the time limit, and arrived is set once the whole body is there.
	until   time.Time
	arrived bool
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.arrive()
	}
	return n, err //nolint:wrapcheck // it is the body's
}

// allow lets the rest of the body take that long, but not longer than was allowed before.
func (b *body) allow(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	until := time.Now().Add(d)
	if b.arrived || (!b.until.IsZero() && b.until.Before(until)) {
		return
	}
	b.until = until
	_ = b.conn.SetReadDeadline(until) // only connections of tests have no deadlines
}

// arrive ends the limit: net/http reads on to notice when the client has gone, and would cancel the request.
func (b *body) arrive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.arrived {
		return
	}
	b.arrived = true
	_ = b.conn.SetReadDeadline(time.Time{}) // as in allow
}

// answerTimeout limits the time to read an answer.
const answerTimeout = 30 * time.Second

// LimitAnswers gives the client thirty seconds to read an answer, from when its first byte is written. Until then, the
// handler may take as long as it likes.
func LimitAnswers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w}
		defer a.begin()
		next.ServeHTTP(a, r)
	})
}

type answer struct {
	http.ResponseWriter

	begun bool
}

func (a *answer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTimeout)) // as in allow
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(p) //nolint:wrapcheck // it is the connection's
}
