package fencetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func (c *checker) repeat(t *testing.T) {
	key, body := c.key(t), c.body()
	first := requireDone(t, c.put(t, key, body))
	for range 3 {
		require.JSONEq(t, first, requireDone(t, c.put(t, key, body)), "the same key gets the same answer")
	}
}

func (c *checker) keyReused(t *testing.T) {
	key, body := c.key(t), c.body()
	first := requireDone(t, c.put(t, key, body))
	requireProblem(t, c.put(t, key, c.body()), http.StatusConflict, "key_reused")
	require.JSONEq(t, first, requireDone(t, c.put(t, key, body)), "the first body still gets the first answer")
}

// sameBody writes the body with white space and, through a map, with its fields in another order:
// languages differ in both, and a saga may go on with another version of its program.
func (c *checker) sameBody(t *testing.T) {
	key := c.key(t)
	written := encode(t, c.body())
	d := json.NewDecoder(bytes.NewReader(written))
	d.UseNumber()
	var fields any
	require.NoError(t, d.Decode(&fields))
	rewritten, err := json.MarshalIndent(fields, "", "   ")
	require.NoError(t, err)

	first := requireDone(t, c.putRaw(t, key, written))
	require.JSONEq(t, first, requireDone(t, c.putRaw(t, key, rewritten)), "the body is the same to JSON")
}

func (c *checker) undoFirst(t *testing.T) {
	key, body := c.key(t), c.body()
	requireUndone(t, c.delete(t, key), "undoing a key never seen")
	requireProblem(t, c.put(t, key, body), http.StatusGone, "")
	require.Equal(t, "undone", c.state(t, key))
	requireUndone(t, c.delete(t, key), "undoing it again")
}

func (c *checker) undo(t *testing.T) {
	key, body := c.key(t), c.body()
	first := requireDone(t, c.put(t, key, body))
	if c.step.Irreversible {
		requireProblem(t, c.delete(t, key), http.StatusConflict, "irreversible")
		require.Equal(t, "done", c.state(t, key))
		require.JSONEq(t, first, requireDone(t, c.put(t, key, body)), "it stays done")
		return
	}
	requireUndone(t, c.delete(t, key), "undoing what was done")
	require.Equal(t, "undone", c.state(t, key))
}

func (c *checker) undoTwice(t *testing.T) {
	key := c.key(t)
	requireDone(t, c.put(t, key, c.body()))
	for range 3 {
		c.requireUndo(t, key)
	}
}

func (c *checker) doAfterUndo(t *testing.T) {
	key, body := c.key(t), c.body()
	first := requireDone(t, c.put(t, key, body))
	c.requireUndo(t, key)
	if c.step.Irreversible {
		require.JSONEq(t, first, requireDone(t, c.put(t, key, body)), "it stays done")
		return
	}
	requireProblem(t, c.put(t, key, body), http.StatusGone, "")
	requireProblem(t, c.put(t, key, c.body()), http.StatusGone, "")
	require.Equal(t, "undone", c.state(t, key))
}

// requireUndo undoes a key that was done.
func (c *checker) requireUndo(t *testing.T, key string) {
	t.Helper()
	a := c.delete(t, key)
	if c.step.Irreversible {
		requireProblem(t, a, http.StatusConflict, "irreversible")
		return
	}
	requireUndone(t, a, "undoing what was done")
}

func (c *checker) tenAtOnce(t *testing.T) {
	key, body := c.key(t), encode(t, c.body())
	var answers [10]answer
	var calls errgroup.Group
	for i := range answers {
		calls.Go(func() (err error) {
			answers[i], err = c.definite(t.Context(), http.MethodPut, key, body)
			return err
		})
	}
	require.NoError(t, calls.Wait())
	first := requireDone(t, answers[0])
	for _, a := range answers {
		require.JSONEq(t, first, requireDone(t, a), "the same key gets the same answer")
	}
}

// doWhileUndo lets a do and an undo of one key meet. Either may come first; what stands in the end
// must be what both were told.
func (c *checker) doWhileUndo(t *testing.T) {
	for range 8 {
		key, body := c.key(t), encode(t, c.body())
		var did, undid answer
		var calls errgroup.Group
		calls.Go(func() (err error) {
			did, err = c.definite(t.Context(), http.MethodPut, key, body)
			return err
		})
		calls.Go(func() (err error) {
			undid, err = c.definite(t.Context(), http.MethodDelete, key, nil)
			return err
		})
		require.NoError(t, calls.Wait())

		if undid.status != http.StatusNoContent && c.step.Irreversible {
			requireProblem(t, undid, http.StatusConflict, "irreversible")
			requireDone(t, did)
			require.Equal(t, "done", c.state(t, key))
			continue
		}
		requireUndone(t, undid, "undoing what is being done")
		require.Equal(t, "undone", c.state(t, key))
		if did.status == http.StatusGone || c.step.Irreversible {
			requireProblem(t, did, http.StatusGone, "")
		} else {
			requireDone(t, did)
		}
		requireProblem(t, c.putRaw(t, key, body), http.StatusGone, "")
	}
}

func (c *checker) probe(t *testing.T) {
	key := c.key(t)
	requireProblem(t, c.get(t, key), http.StatusNotFound, "")
	result := requireDone(t, c.put(t, key, c.body()))

	a := c.get(t, key)
	require.Equal(t, http.StatusOK, a.status, "%s", a)
	requireKey(t, a)
	var probe struct {
		Key, State string
		Result     json.RawMessage
	}
	require.NoError(t, json.Unmarshal(a.body, &probe))
	require.Equal(t, key, probe.Key)
	require.Equal(t, "done", probe.State)
	require.JSONEq(t, result, string(probe.Result), "a probe tells the result")
}

// state probes key.
func (c *checker) state(t *testing.T, key string) string {
	t.Helper()
	a := c.get(t, key)
	require.Equal(t, http.StatusOK, a.status, "%s", a)
	var probe struct{ State string }
	require.NoError(t, json.Unmarshal(a.body, &probe))
	return probe.State
}

func (c *checker) malformed(t *testing.T) {
	key := c.key(t)
	for _, body := range []string{"", "{", `{"a":`, "nonsense", `"text"`, "[1,2]", "\xff"} {
		a := c.putRaw(t, key, []byte(body))
		require.GreaterOrEqual(t, a.status, 400, "%q was accepted: %s", body, a)
		require.NotContains(t, []int{http.StatusConflict, http.StatusGone}, a.status, "%q: want a refusal", body)
		requireProblem(t, a, a.status, "")
	}
	requireProblem(t, c.get(t, key), http.StatusNotFound, "")
	requireDone(t, c.put(t, key, c.body()))
}

// escapedKey uses a key with characters that have a meaning in URLs: an item of a step may be
// anything.
func (c *checker) escapedKey(t *testing.T) {
	key := c.key(t) + ".item 1/2 +%2F é?"
	c.cleanUp(t, key)
	body := c.body()
	first := requireDone(t, c.put(t, key, body))
	require.JSONEq(t, first, requireDone(t, c.put(t, key, body)))
	a := c.get(t, key)
	require.Equal(t, http.StatusOK, a.status, "%s", a)
	var probe struct{ Key string }
	require.NoError(t, json.Unmarshal(a.body, &probe))
	require.Equal(t, key, probe.Key)
}

// reason undoes with a reason. A service that keeps it returns it as it came.
func (c *checker) reason(t *testing.T) {
	key, body := c.key(t), c.body()
	const given = `"Pay refused: na%C3%AFve";step=Pay;code=card_declined`
	a, err := c.definite(t.Context(), http.MethodDelete, key, nil, "Undo-Reason", given)
	require.NoError(t, err)
	requireUndone(t, a, "undoing with a reason")
	a = c.put(t, key, body)
	requireProblem(t, a, http.StatusGone, "undone")
	if told := a.problem().UndoReason; told != "" {
		require.Equal(t, given, told, "the reason that was given")
	}
}

// longestKey uses a key of the greatest length.
func (c *checker) longestKey(t *testing.T) {
	key := c.key(t)
	key = strings.Repeat("k", 512-len(key)) + key
	c.cleanUp(t, key)
	body := c.body()
	first := requireDone(t, c.put(t, key, body))
	require.JSONEq(t, first, requireDone(t, c.put(t, key, body)))
	c.requireUndo(t, key)
}

// lostAnswer puts a proxy in between that passes the call on, keeps the answer to itself and breaks
// the connection, as when the service or the network fails after the effect.
func (c *checker) lostAnswer(t *testing.T) {
	key, body := c.key(t), c.body()
	var kept answer
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		passed, err := io.ReadAll(r.Body)
		if err == nil {
			kept, _ = c.call(r.Context(), r.Method, c.url(key), key, 1, passed)
		}
		panic(http.ErrAbortHandler)
	}))
	_, err := c.call(t.Context(), http.MethodPut, proxy.URL, key, 1, encode(t, body))
	proxy.Close() // and waits for the handler
	require.Error(t, err, "the proxy breaks the connection")

	again := requireDone(t, c.put(t, key, body))
	if !kept.unknown() {
		require.JSONEq(t, requireDone(t, kept), again, "the repeat gets the first answer")
	}
	c.requireUndo(t, key)
}
