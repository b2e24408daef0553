package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxAnswer bounds what is read of an answer, and of one event, in bytes.
const maxAnswer = 16 << 20

// request is a request, and its repeats.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	// body is encoded as JSON; nil for none.
	body any
	// wait is how long the API may wait with its answer.
	wait time.Duration
	// stream leaves the body of a 200 unread, without a limit of time but that something arrives every silence.
	stream bool
	// once: it is not repeated.
	once bool
}

// answer is an answer of success, or 304.
type answer struct {
	status int
	header http.Header
	body   []byte
	// stream is the body of a stream's 200, and closed by whoever reads it.
	stream io.ReadCloser
}

// replayed says whether the request was taken before, and this is its answer again.
func (a *answer) replayed() bool { return a.header.Get("Idempotent-Replayed") == "true" }

// etag is the answer's tag as If-Match and If-None-Match take it.
func (a *answer) etag() string { return a.header.Get("ETag") }

// prefer asks the API to wait. It counts in seconds; a wait that is shorter is one.
func (r *request) prefer(wait time.Duration) {
	if wait <= 0 {
		return
	}
	seconds := max(1, int(wait/time.Second))
	r.wait = time.Duration(seconds) * time.Second
	r.set("Prefer", "wait="+strconv.Itoa(seconds))
}

// name gives the request its key, which its repeats have, too.
func (r *request) name(key string) {
	if key == "" {
		key = rand.Text()
	}
	r.set("Idempotency-Key", key)
}

func (r *request) set(name, value string) {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(name, value)
}

// get reads what is at the path.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (*T, error) {
	out, _, err := ask[T](ctx, c, request{method: http.MethodGet, path: path, query: query})
	return out, err
}

// ask sends the request and decodes the answer, unless that is 304: then it is nil.
func ask[T any](ctx context.Context, c *Client, r request) (*T, *answer, error) {
	a, err := c.send(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if a.status == http.StatusNotModified {
		return nil, a, nil
	}
	out := new(T)
	if err := json.Unmarshal(a.body, out); err != nil {
		return nil, nil, fmt.Errorf("%s %s: read the answer: %w", r.method, r.path, err)
	}
	return out, a, nil
}

// send sends the request, again while that makes sense and is allowed, and returns the answer. Its error wraps a
// [*Problem], [ErrUnreachable] or why ctx ended.
func (c *Client) send(ctx context.Context, r request) (*answer, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("%s %s: encode: %w", r.method, r.path, err)
		}
	}
	for repeats := 0; ; repeats++ {
		a, err := c.try(ctx, r, body)
		if err == nil {
			return a, nil
		}
		pause, again := c.pause(err, repeats)
		if r.once || !again || ctx.Err() != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		if sleep(ctx, pause) != nil {
			return nil, fmt.Errorf("%s %s: %w, after: %w", r.method, r.path, context.Cause(ctx), err)
		}
	}
}

// pause is how long to wait before a request that failed is sent again, and whether it is at all.
func (c *Client) pause(err error, repeats int) (time.Duration, bool) {
	if repeats >= c.options.Repeats {
		return 0, false
	}
	most := c.options.LongestPause
	if most>>repeats > c.options.FirstPause {
		most = c.options.FirstPause << repeats
	}
	pause := randomPart(most)
	var p *Problem
	if errors.As(err, &p) {
		if p.RetryAfter > 0 {
			// Many clients get the same Retry-After.
			pause = max(pause, p.RetryAfter+randomPart(p.RetryAfter/4+1))
		}
		return pause, p.passing() && p.RetryAfter <= c.options.LongestPause
	}
	var untrusted *tls.CertificateVerificationError
	return pause, errors.Is(err, ErrUnreachable) && !errors.As(err, &untrusted)
}

// randomPart is a part of d, so that many clients don't come back at once.
func randomPart(d time.Duration) time.Duration { return mrand.N(d) + 1 }

// sleep returns nil after d, or why ctx ended before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errNoAnswer = errors.New("no answer in time")

// try sends the request once.
func (c *Client) try(ctx context.Context, r request, body []byte) (*answer, error) {
	within, cancel := context.WithCancelCause(ctx)
	limit := c.options.AnswerWithin + r.wait
	watchdog := time.AfterFunc(limit, func() { cancel(errNoAnswer) })
	end := func() { watchdog.Stop(); cancel(nil) }

	a, err := c.exchange(within, r, body)
	if err == nil && a.stream != nil {
		a.stream = &streamBody{ReadCloser: a.stream, watchdog: watchdog, end: end}
		return a, nil
	}
	if context.Cause(within) == errNoAnswer && ctx.Err() == nil { //nolint:errorlint // the very one
		err = fmt.Errorf("%w: no answer within %s", ErrUnreachable, limit)
	}
	end()
	return a, err
}

// exchange sends the request and reads the answer, but not that of a stream.
func (c *Client) exchange(ctx context.Context, r request, body []byte) (*answer, error) {
	req, err := c.prepare(ctx, r, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.options.HTTP.Do(req)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if r.stream && a.status == http.StatusOK {
		a.stream = resp.Body
		return a, nil
	}
	defer resp.Body.Close()
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return nil, unreachable(ctx, fmt.Errorf("read the answer: %w", err))
	}
	if (a.status < 200 || a.status > 299) && a.status != http.StatusNotModified {
		return nil, problemOf(a.status, a.header, a.body)
	}
	return a, nil
}

// unreachable is the error of a connection that failed, unless the caller gave up.
func unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func (c *Client) prepare(ctx context.Context, r request, body []byte) (*http.Request, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	req.Header.Set("User-Agent", c.options.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	token := c.options.Token
	if c.options.TokenSource != nil {
		if token, err = c.options.TokenSource(ctx); err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}
