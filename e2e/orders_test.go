package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"
)

func TestOrders(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	d := example(t, "orders/card-declined.json")
	path := s.place("orders", d)
	require.Equal(t, path, s.place("orders", d), "the same order is the same saga")
	declined := s.awaitEnd(path)
	require.Equal(t, path, s.place("orders", d), "also when it has ended")
	require.Equal(t, declined, s.get(path))

	status, body := s.post(s.apiURL+"/v1/orders", d.with("points", 1))
	require.Equal(t, http.StatusUnprocessableEntity, status, "%s", body)
	require.Contains(t, string(body), `"idempotency_key_reused"`)

	status, body = s.post(s.apiURL+"/v1/orders", d.with("lines", []any{map[string]any{"sku": "CUP-PORCELAIN", "quantity": 0}}))
	require.Equal(t, http.StatusUnprocessableEntity, status, "%s", body)
	require.Contains(t, string(body), `"/lines/0/quantity"`)

	completed := s.awaitEnd(place("good.json")(s))
	waiting := place("fraud-review.json")(s)
	s.awaitWait(waiting)
	for state, want := range map[string]string{"compensated": declined.ID, "completed": completed.ID, "running": s.get(waiting).ID} {
		s.awaitList("?state="+state, []string{want})
	}
	s.awaitList("", []string{s.get(waiting).ID, completed.ID, declined.ID})

	// What the Web UI shows as the saga's current details.
	answer, err := s.dial().QueryWorkflow(t.Context(), workflowID(path), "", "__temporal_workflow_metadata")
	require.NoError(t, err)
	var metadata sdkpb.WorkflowMetadata
	require.NoError(t, answer.Get(&metadata))
	require.Contains(t, metadata.GetCurrentDetails(), "**compensated**: AuthorizePayment refused\\: ")
	require.Contains(t, metadata.GetCurrentDetails(), "\n| ReserveStock | compensatable | done | done |\n")
	require.Contains(t, metadata.GetCurrentDetails(), "\n| CapturePayment | pivot | not_run | prevented |\n")
}

// awaitList waits until the list of orders has these IDs.
func (s *system) awaitList(query string, want []string) {
	s.t.Helper()
	s.awaitFound("/v1/orders"+query, want)
}

// awaitFound waits until the list has these IDs: lists follow a moment later than sagas.
func (s *system) awaitFound(path string, want []string) {
	s.t.Helper()
	var got []string
	require.Eventually(s.t, func() bool {
		status, body := s.send(http.MethodGet, s.apiURL+path, nil)
		require.Equal(s.t, http.StatusOK, status, "%s", body)
		var list struct{ Items []saga }
		require.NoError(s.t, json.Unmarshal(body, &list))
		got = nil
		for _, item := range list.Items {
			got = append(got, item.ID)
		}
		return slices.Equal(got, want)
	}, 10*time.Second, 50*time.Millisecond, "%s: %v, not %v", path, &got, want)
}
