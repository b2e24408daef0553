package e2e_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// Temporal runs no code of a saga that is terminated. A sweep finds such sagas, and a recovery undoes them by key.
func TestTerminatedSagasAreRecovered(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	c := s.dial()
	beforePivot := place("fraud-review.json")(s)
	s.awaitWait(beforePivot)
	pastPivot := place("good.json", fault{"inventory", "CommitStock", settings{"down": true}})(s)
	s.awaitStep(pastPivot, "CapturePayment", "done")
	rest := place("good.json")(s)
	s.awaitEnd(rest)
	for _, path := range []string{beforePivot, pastPivot} {
		require.NoError(t, c.TerminateWorkflow(t.Context(), workflowID(path), "", "by mistake"))
		require.Equal(t, "terminated", s.awaitEnd(path).State)
	}
	require.Eventually(t, func() bool {
		_, err := c.ScheduleClient().GetHandle(t.Context(), workflows.SweepScheduleID).Describe(t.Context())
		return err == nil
	}, time.Minute, 100*time.Millisecond, "the worker does not make the schedule")
	s.sweepUntil(func(sweep workflows.Sweep) bool { return sweep.Known == 2 })

	var undone compensation.Recovery
	require.NoError(t, c.GetWorkflow(t.Context(), workflows.RecoveryWorkflowID(workflowID(beforePivot)), "").Get(t.Context(), &undone))
	require.False(t, undone.PastPivot)
	require.Contains(t, undone.Undone, compensation.Key{Saga: workflowID(beforePivot), Step: "PriceOrder"})
	require.Contains(t, undone.Undone, compensation.Key{Saga: workflowID(beforePivot), Step: "BookShipment"}, "also what nobody saw start")

	// Nothing of the second one can be undone; a person sees to the rest.
	recovery := workflows.RecoveryWorkflowID(workflowID(pastPivot))
	s.clearFault("inventory", "CommitStock")
	require.Eventually(t, func() bool {
		handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
			WorkflowID: recovery, UpdateName: compensation.UpdateMarkDone, WaitForStage: client.WorkflowUpdateStageCompleted,
			Args: []any{compensation.Act{By: "grace", Reason: "shipped by hand", Reference: "T-19"}},
		})
		return err == nil && handle.Get(t.Context(), nil) == nil
	}, time.Minute, 100*time.Millisecond, "the recovery is not parked")
	var report compensation.Recovery
	require.NoError(t, c.GetWorkflow(t.Context(), recovery, "").Get(t.Context(), &report))
	require.True(t, report.PastPivot)
	require.Empty(t, report.Undone)
	require.Equal(t, "T-19", report.Acts[0].Reference)

	sweep := s.sweepUntil(func(workflows.Sweep) bool { return true })
	require.Empty(t, sweep.Started, "a recovery is started once")
}

// sweepUntil sweeps until the sweep found what is wanted: visibility follows a moment later.
func (s *system) sweepUntil(wanted func(workflows.Sweep) bool) (sweep workflows.Sweep) {
	s.t.Helper()
	c := s.dial()
	require.Eventually(s.t, func() bool {
		run, err := c.ExecuteWorkflow(s.t.Context(), client.StartWorkflowOptions{ID: "sweep-" + uuid.NewString(), TaskQueue: workflows.TaskQueue},
			workflows.TypeSweepSagas, workflows.SweepInput{})
		require.NoError(s.t, err)
		require.NoError(s.t, run.Get(s.t.Context(), &sweep))
		return wanted(sweep)
	}, time.Minute, 100*time.Millisecond, "%+v", sweep)
	return sweep
}
