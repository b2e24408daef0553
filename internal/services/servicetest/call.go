package servicetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Answer is what a service said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Code is the code of a problem, or empty.
	Code string
}

// Call sends body, as JSON unless it is nil, and reads the answer. It may be called from several
// goroutines of a test: instead of ending the test, it fails it and returns no answer.
func Call(t *testing.T, method, target string, body any) Answer {
	t.Helper()
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if !fine(t, err) {
			return Answer{}
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, payload)
	if !fine(t, err) {
		return Answer{}
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if !fine(t, err) {
		return Answer{}
	}
	answer := Answer{Status: res.StatusCode, Header: res.Header}
	answer.Body, err = io.ReadAll(res.Body)
	if !fine(t, err) || !fine(t, res.Body.Close()) {
		return Answer{}
	}
	if res.Header.Get("Content-Type") == "application/problem+json" {
		var problem struct{ Code string }
		fine(t, json.Unmarshal(answer.Body, &problem))
		answer.Code = problem.Code
	}
	return answer
}

func fine(t *testing.T, err error) bool {
	t.Helper()
	if err != nil {
		t.Errorf("call: %v", err)
	}
	return err == nil
}

// Resource is the URL of the step's resource: collection, as in …/payment/captures, and the key.
func Resource(collection, key string) string { return collection + "/" + url.PathEscape(key) }

// Do does a step and requires that it is done; it returns the result.
func Do[Result any](t *testing.T, collection, key string, body any) Result {
	t.Helper()
	answer := Call(t, http.MethodPut, Resource(collection, key), body)
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
	var result Result
	require.NoError(t, json.Unmarshal(answer.Body, &result))
	return result
}

// Undo undoes a step and requires that it is undone.
func Undo(t *testing.T, collection, key string) {
	t.Helper()
	answer := Call(t, http.MethodDelete, Resource(collection, key), nil)
	require.Equal(t, http.StatusNoContent, answer.Status, "%s", answer.Body)
}

// Irreversible undoes a step and requires that it cannot be undone.
func Irreversible(t *testing.T, collection, key string) {
	t.Helper()
	answer := Call(t, http.MethodDelete, Resource(collection, key), nil)
	require.Equal(t, http.StatusConflict, answer.Status, "%s", answer.Body)
	require.Equal(t, "irreversible", answer.Code)
}

// Refused tries a step and requires that it is refused with code.
func Refused(t *testing.T, collection, key string, body any, code string) {
	t.Helper()
	answer := Call(t, http.MethodPut, Resource(collection, key), body)
	require.Equal(t, http.StatusUnprocessableEntity, answer.Status, "%s", answer.Body)
	require.Equal(t, code, answer.Code, "%s", answer.Body)
}

// AtOnce does a step n times at once, each with a key of its own, and returns how many were done.
// The others must be refused with code.
func AtOnce(t *testing.T, n int, collection string, body any, code string) int {
	t.Helper()
	var done atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			answer := Call(t, http.MethodPut, Resource(collection, fmt.Sprintf("at-once-%d", i)), body)
			if answer.Status == http.StatusOK {
				done.Add(1)
			} else if answer.Status != http.StatusUnprocessableEntity || answer.Code != code {
				t.Errorf("call %d: %d %s", i, answer.Status, answer.Body)
			}
		})
	}
	wg.Wait()
	return int(done.Load())
}
