package fencetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answer is what the service said to a call.
type answer struct {
	key    string
	status int
	header http.Header
	body   []byte
}

// key returns a new key, in the form that sagas use, and undoes at the end of t what was done with it.
func (c *checker) key(t *testing.T) string {
	t.Helper()
	key := "fencetest-" + strings.ToLower(rand.Text()) + ":" + c.step.Name
	c.cleanUp(t, key)
	return key
}

func (c *checker) cleanUp(t *testing.T, key string) {
	t.Helper()
	if c.step.Irreversible {
		return
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context()) // which has ended by now
		_, err := c.definite(ctx, http.MethodDelete, key, nil)
		require.NoError(t, err)
	})
}

func (c *checker) url(key string) string {
	return strings.TrimSuffix(c.step.URL, "/") + "/" + url.PathEscape(key)
}

func (c *checker) put(t *testing.T, key string, body any) answer {
	t.Helper()
	return c.putRaw(t, key, encode(t, body))
}

func (c *checker) putRaw(t *testing.T, key string, body []byte) answer {
	t.Helper()
	return c.must(t, http.MethodPut, key, body)
}

func (c *checker) delete(t *testing.T, key string) answer {
	t.Helper()
	return c.must(t, http.MethodDelete, key, nil)
}

func (c *checker) get(t *testing.T, key string) answer {
	t.Helper()
	return c.must(t, http.MethodGet, key, nil)
}

func (c *checker) must(t *testing.T, method, key string, body []byte) answer {
	t.Helper()
	a, err := c.definite(t.Context(), method, key, body)
	require.NoError(t, err)
	return a
}

func encode(t *testing.T, body any) []byte {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	return raw
}

// definite calls until the outcome is known, as a saga does, with these headers besides its own.
func (c *checker) definite(ctx context.Context, method, key string, body []byte, headers ...string) (answer, error) {
	deadline := time.Now().Add(patience)
	for attempt := 1; ; attempt++ {
		a, err := c.call(ctx, method, c.url(key), key, attempt, body, headers...)
		if err != nil || !a.unknown() {
			return a, err
		}
		if time.Now().After(deadline) {
			return a, fmt.Errorf("%s %s: the outcome is still unknown after %s: %s", method, key, patience, a)
		}
		pause := time.NewTimer(a.retryAfter())
		select {
		case <-pause.C:
		case <-ctx.Done():
			return a, ctx.Err()
		}
	}
}

// call calls once, with the headers that sagas send.
func (c *checker) call(ctx context.Context, method, url, key string, attempt int, body []byte, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if method == http.MethodPut {
		req.Header.Set("Content-Type", "application/json")
	}
	saga, _, _ := strings.Cut(key, ":")
	req.Header.Set("Saga-Id", saga)
	req.Header.Set("Saga-Step", c.step.Name)
	req.Header.Set("Saga-Attempt", strconv.Itoa(attempt))
	var ids [24]byte
	_, _ = rand.Read(ids[:]) // it never fails
	req.Header.Set("Traceparent", "00-"+hex.EncodeToString(ids[:16])+"-"+hex.EncodeToString(ids[16:])+"-01")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	return answer{key, res.StatusCode, res.Header, read}, err
}

// unknown reports whether the contract says to try again with the same key.
func (a answer) unknown() bool {
	switch a.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusConflict:
		return a.code() == "in_progress"
	}
	return a.status >= 500
}

func (a answer) retryAfter() time.Duration {
	if s, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && s >= 0 {
		return min(time.Duration(s)*time.Second, 5*time.Second)
	}
	return 100 * time.Millisecond
}

// problem is a failure in the form of the contract.
type problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	// UndoReason may come with the code undone.
	UndoReason string `json:"undo_reason"`
}

// problem returns the problem in the body, empty if there is no problem.
func (a answer) problem() (p problem) {
	if json.Unmarshal(a.body, &p) != nil {
		return problem{}
	}
	return p
}

func (a answer) code() string { return a.problem().Code }

func (a answer) String() string { return strconv.Itoa(a.status) + " " + string(a.body) }

// requireDone checks that a says done and returns the result.
func requireDone(t *testing.T, a answer) string {
	t.Helper()
	require.Contains(t, []int{http.StatusOK, http.StatusCreated}, a.status, "want done, got %s", a)
	require.Equal(t, "application/json", a.media(), "the content type of the answer")
	require.True(t, json.Valid(a.body), "the result is not JSON: %s", a)
	requireKey(t, a)
	return string(a.body)
}

// requireUndone checks that a has the code undone.
func requireUndone(t *testing.T, a answer, about string) {
	t.Helper()
	require.Equal(t, http.StatusNoContent, a.status, "%s: %s", about, a)
	requireKey(t, a)
}

// requireProblem checks that a is a problem with status and, unless it is "", with code.
func requireProblem(t *testing.T, a answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a)
	require.Equal(t, "application/problem+json", a.media(), "the content type of an error")
	p := a.problem()
	require.Regexp(t, "^[a-z][a-z0-9_]{0,63}$", p.Code, "the code of the problem: %s", a)
	require.Equal(t, status, p.Status, "the status in the problem: %s", a)
	require.NotEmpty(t, p.Detail, "the problem has no detail: %s", a)
	if code != "" {
		require.Equal(t, code, p.Code)
	}
	requireKey(t, a)
}

// requireKey checks that a names its key; without the key, a saga does not believe a refusal.
func requireKey(t *testing.T, a answer) {
	t.Helper()
	named := a.header.Values("Saga-Key")
	require.Len(t, named, 1, "the header Saga-Key of %s", a)
	key, err := url.PathUnescape(named[0])
	require.NoError(t, err, "the header Saga-Key of %s", a)
	require.Equal(t, a.key, key, "the header Saga-Key of %s", a)
}

// media returns the content type without parameters, or "".
func (a answer) media() string {
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return media
}
