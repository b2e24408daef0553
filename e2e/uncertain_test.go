package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/amends-dev/amends/workflows"
)

// Sagas whose worker is killed in the middle of their first workflow task, and that are canceled before another worker
// takes over. What the first try did is in no record: the saga has to find out.
func TestUncertain(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name string
		// step is where the worker is killed.
		step, service string
		state, cause  string
		undone        []string
		check         func(*testing.T, saga)
	}{
		{
			name: "uncertain-turned-back", service: "shipping", step: "BookShipment",
			state: "compensated", cause: "canceled by Temporal",
			check: func(t *testing.T, v saga) {
				t.Helper()
				for _, st := range []string{"PriceOrder", "ScreenFraud", "ReserveStock", "HoldPoints", "AuthorizePayment", "BookShipment", "CapturePayment"} {
					require.Equal(t, "not_run", v.step(st).Do, st)
					require.Equal(t, "prevented", v.step(st).Undo, st)
				}
			},
		},
		{
			name: "uncertain-found-its-pivot-done", service: "inventory", step: "CommitStock", state: "completed",
			check: func(t *testing.T, v saga) {
				t.Helper()
				require.Equal(t, "done", v.step("CapturePayment").Do)
				require.Equal(t, "done", v.step("ReserveStock").Do)
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			s := startSystem(t)
			s.setFault(tt.service, tt.step, settings{"latency_ms": 900, "times": 1})
			path := place("good.json")(s)
			s.awaitCall(tt.service, tt.step)
			s.worker.kill()
			require.NoError(t, s.dial().CancelWorkflow(t.Context(), workflowID(path), ""))
			s.startWorker()

			v := s.awaitEnd(path)
			require.Equal(t, tt.state, v.State, "%+v", v)
			require.Equal(t, tt.cause, v.Cause)
			tt.check(t, v)
			s.requireNothingHalfDone()
			s.requireOneLostTask(path)
			if *record {
				s.recordHistory(workflowID(path), workflows.TypePlaceOrder, tt.name)
			}
		})
	}
}

// awaitCall waits until a fault that meets one call has met it.
func (s *system) awaitCall(service, stepName string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		_, body := s.send("GET", s.servicesURL+"/"+service+"/faults", nil)
		return string(body) == "[]\n" || string(body) == "[]"
	}, time.Minute, 10*time.Millisecond, "nobody calls %s", stepName)
}

// requireOneLostTask requires that a workflow task was lost, so that the saga had reason to be uncertain.
func (s *system) requireOneLostTask(path string) {
	s.t.Helper()
	it := s.dial().GetWorkflowHistory(s.t.Context(), workflowID(path), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		require.NoError(s.t, err)
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT {
			return
		}
	}
	require.Fail(s.t, "no workflow task was lost")
}
