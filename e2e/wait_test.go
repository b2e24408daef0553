package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A caller may wait for the end of what it starts, and for news of what it watches, longer than the server gives to
// requests that do not wait.
func TestWait(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	start := func(file, prefer string) (int, string, saga) {
		body, err := json.Marshal(example(t, "orders/"+file))
		require.NoError(t, err)
		answer := s.ask(http.MethodPost, s.apiURL+"/v1/orders", body, "Prefer", prefer)
		var v saga
		require.NoError(t, json.Unmarshal(answer.body, &v))
		if answer.status == http.StatusCreated {
			shown := s.ask(http.MethodGet, s.apiURL+answer.header.Get("Location"), nil)
			require.JSONEq(t, string(shown.body), string(answer.body), "what is shown later, too")
		}
		return answer.status, answer.header.Get("Location"), v
	}

	status, _, v := start("good.json", "wait=60")
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "completed", v.State)
	require.Equal(t, "done", v.step("CapturePayment").Do)

	status, _, v = start("card-declined.json", "wait=60")
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "compensated", v.State)

	status, path, v := start("fraud-review.json", "wait=1")
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, "running", v.State)
	s.awaitWait(path)

	tag := s.ask(http.MethodGet, s.apiURL+path, nil).header.Get("ETag")
	news := func(prefer string) (status int) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.apiURL+path, nil)
		if err != nil {
			return 0
		}
		req.Header.Set("If-None-Match", tag)
		req.Header.Set("Prefer", prefer)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		_ = answer.Body.Close() // the status says all
		return answer.StatusCode
	}
	begin := time.Now()
	require.Equal(t, http.StatusNotModified, news("wait=32"), "the server's limits are 15 and 30 s")
	require.GreaterOrEqual(t, time.Since(begin), 32*time.Second)

	told := make(chan int)
	go func() { told <- news("wait=60") }()
	s.decide(path, true)
	require.Equal(t, http.StatusOK, <-told)
	require.Equal(t, "completed", s.awaitEnd(path).State)
}
