package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/workflows"
)

// batch is an act on many sagas as the API shows it.
type batch struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Matched  int    `json:"matched"`
	Done     int    `json:"done"`
	Failed   int    `json:"failed"`
	Failures []struct {
		Saga   string `json:"saga"`
		Reason string `json:"reason"`
	} `json:"failures"`
}

// The same is done to many parked sagas: each that refuses is reported, a worker's death loses nothing, and a batch can be
// stopped. With -record, histories of batches are recorded for the replay tests.
func TestBatches(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	const parked = 4
	s.setFault("notification", "NotifyCustomer", settings{"refuse": true})
	var paths []string
	for range parked {
		paths = append(paths, place("good.json")(s))
	}
	for _, path := range paths {
		s.awaitParked(path)
	}
	request := func(act string, more ...any) map[string]any {
		r := map[string]any{"act": act, "filter": map[string]any{"step": "NotifyCustomer"}, "by": "grace", "reason": "mended"}
		for i := 0; i < len(more); i += 2 {
			r[more[i].(string)] = more[i+1]
		}
		return r
	}
	require.Eventually(t, func() bool {
		status, body := s.post(s.apiURL+"/v1/batches", request("retry", "dry_run", true))
		require.Equal(t, http.StatusOK, status, "%s", body)
		return string(body) == "{\"matched\":4}\n"
	}, 10*time.Second, 50*time.Millisecond)

	refused := s.awaitBatch(s.startBatch(request("skip", "step", "IssueInvoice")), "completed")
	require.Equal(t, []int{parked, 0, parked}, []int{refused.Matched, refused.Done, refused.Failed})
	require.Contains(t, refused.Failures[0].Reason, "IssueInvoice is not parked; parked is NotifyCustomer")
	s.recordBatch(refused, "refused")

	stopped := s.startBatch(request("retry", "per_second", 1))
	answer := s.ask(http.MethodPost, s.apiURL+"/v1/batches/"+stopped+"/cancel", nil)
	require.Equal(t, http.StatusAccepted, answer.status, "%s", answer.body)
	canceled := s.awaitBatch(stopped, "canceled")
	require.Less(t, canceled.Done, parked)
	s.recordBatch(canceled, "canceled")
	s.clearFault("notification", "NotifyCustomer")
	for _, path := range paths {
		s.awaitParked(path) // again, where the one that was stopped came to it
	}
	killed := s.startBatch(request("retry", "per_second", 1))
	s.awaitEndOfOne(paths)
	s.worker.kill()
	require.Equal(t, "running", s.getBatch(killed).State, "it is shown also while no worker runs")
	s.startWorker()
	completed := s.awaitBatch(killed, "completed")
	require.Equal(t, []int{parked, parked, 0}, []int{completed.Matched, completed.Done, completed.Failed}, "%v", completed.Failures)
	s.recordBatch(completed, "completed")
	for _, path := range paths {
		v := s.awaitEnd(path)
		require.Equal(t, "completed", v.State)
		require.Contains(t, v.acts(), "retry by grace: mended")
	}
}

// startBatch starts the batch and returns its ID.
func (s *system) startBatch(request map[string]any) string {
	s.t.Helper()
	status, body := s.post(s.apiURL+"/v1/batches", request)
	require.Equal(s.t, http.StatusAccepted, status, "%s", body)
	var b batch
	require.NoError(s.t, json.Unmarshal(body, &b))
	return b.ID
}

// awaitBatch waits until the batch has ended, and requires that it did so.
func (s *system) awaitBatch(id, state string) batch {
	s.t.Helper()
	var b batch
	require.Eventually(s.t, func() bool {
		b = s.getBatch(id)
		return b.State != "running"
	}, time.Minute, 50*time.Millisecond, "batch %s runs on", id)
	require.Equal(s.t, state, b.State)
	return b
}

func (s *system) getBatch(id string) batch {
	s.t.Helper()
	status, body := s.send(http.MethodGet, s.apiURL+"/v1/batches/"+id, nil)
	require.Equal(s.t, http.StatusOK, status, "%s", body)
	var b batch
	require.NoError(s.t, json.Unmarshal(body, &b))
	return b
}

func (s *system) recordBatch(b batch, name string) {
	s.t.Helper()
	if *record {
		s.recordHistory(workflows.BatchWorkflowID(b.ID), workflows.TypeActOnSagas, name)
	}
}

// awaitEndOfOne waits until one of the sagas has ended.
func (s *system) awaitEndOfOne(paths []string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		return slices.ContainsFunc(paths, func(path string) bool { return ended(s.get(path)) })
	}, time.Minute, 50*time.Millisecond, "none of %v ends", paths)
}
