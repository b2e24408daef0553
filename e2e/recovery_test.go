package e2e_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
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
	require.Empty(t, sweep.Started, "a recovery that completed is not started again")
	if *record {
		s.recordHistory(workflows.RecoveryWorkflowID(workflowID(beforePivot)), workflows.TypeRecoverSaga, "undone")
		s.recordHistory(recovery, workflows.TypeRecoverSaga, "past-pivot")
	}
}

// A recovery can be ended from outside like any saga. The next sweep takes it up again.
func TestTerminatedRecoveriesAreTakenUpAgain(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	c := s.dial()
	path := place("fraud-review.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true}})(s)
	s.awaitWait(path)
	reset := place("fraud-review.json")(s)
	s.awaitWait(reset)
	require.NoError(t, c.TerminateWorkflow(t.Context(), workflowID(path), "", "by mistake"))
	s.reset(workflowID(reset)) // this terminates its run, too
	recovery := workflows.RecoveryWorkflowID(workflowID(path))
	s.sweepUntil(func(sweep workflows.Sweep) bool { return sweep.Known == 1 && sweep.NothingToDo == 1 })
	first := s.awaitParkedRecovery(recovery)
	require.NoError(t, c.TerminateWorkflow(t.Context(), recovery, first, "by mistake, too"))

	s.sweepUntil(func(sweep workflows.Sweep) bool { return sweep.Known == 1 })
	second := s.awaitParkedRecovery(recovery)
	require.NotEqual(t, first, second)
	s.clearFault("inventory", "ReserveStock")
	handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: recovery, UpdateName: compensation.UpdateRetry, WaitForStage: client.WorkflowUpdateStageCompleted,
		Args: []any{compensation.Act{By: "grace"}},
	})
	require.NoError(t, err)
	require.NoError(t, handle.Get(t.Context(), nil))
	var report compensation.Recovery
	require.NoError(t, c.GetWorkflow(t.Context(), recovery, second).Get(t.Context(), &report))
	require.Contains(t, report.Undone, compensation.Key{Saga: workflowID(path), Step: "ReserveStock"})
	require.Empty(t, report.Exceptions)

	sweep := s.sweepUntil(func(sweep workflows.Sweep) bool { return sweep.Known == 1 })
	require.Empty(t, sweep.Started)
	_, err = c.DescribeWorkflowExecution(t.Context(), workflows.RecoveryWorkflowID(workflowID(reset)), "")
	var none *serviceerror.NotFound
	require.ErrorAs(t, err, &none, "a saga that was reset goes on by itself")
	s.decide(reset, false)
	require.Equal(t, "compensated", s.awaitEnd(reset).State)
	s.requireNothingHalfDone()
	if *record {
		s.recordHistory(recovery, workflows.TypeRecoverSaga, "undo-parked-and-retried")
	}
}

// awaitParkedRecovery waits until the recovery is parked, and returns its run ID.
func (s *system) awaitParkedRecovery(id string) (run string) {
	s.t.Helper()
	c := s.dial()
	require.Eventually(s.t, func() bool {
		desc, err := c.DescribeWorkflowExecution(s.t.Context(), id, "")
		if err != nil {
			return false
		}
		run = desc.GetWorkflowExecutionInfo().GetExecution().GetRunId()
		return compensation.StateOf(desc.GetWorkflowExecutionInfo()) == compensation.Parked
	}, time.Minute, 100*time.Millisecond, "%s is not parked", id)
	return run
}

// reset continues the workflow in a new run, from the end of its first task.
func (s *system) reset(id string) {
	s.t.Helper()
	c := s.dial()
	var finished int64
	it := c.GetWorkflowHistory(s.t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() && finished == 0 {
		event, err := it.Next()
		require.NoError(s.t, err)
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			finished = event.GetEventId()
		}
	}
	_, err := c.ResetWorkflowExecution(s.t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id},
		Reason: "to try", WorkflowTaskFinishEventId: finished, RequestId: uuid.NewString(),
	})
	require.NoError(s.t, err)
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
