package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/workflows"
)

// DefaultSweepEvery is how often sagas are looked for that were ended from outside. A sweep that finds none costs two
// workflow tasks and a visibility query.
const DefaultSweepEvery = time.Minute

// ensureSweep makes the schedule that runs [workflows.SweepSagas], unless there is one. One that is there stays as it
// is, so that an operator can pause it or change its pace.
func ensureSweep(ctx context.Context, c client.Client, every time.Duration) error {
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID:   workflows.SweepScheduleID,
		Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}},
		Action: &client.ScheduleWorkflowAction{
			ID: workflows.SweepScheduleID, Workflow: workflows.TypeSweepSagas, TaskQueue: workflows.TaskQueue,
			Args: []any{workflows.SweepInput{}},
		},
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		// What was missed is found by the next sweep.
		CatchupWindow: every,
		Note:          "Recovers sagas that were terminated, timed out or failed without turning back.",
	})
	if err != nil && !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return fmt.Errorf("make schedule %s: %w", workflows.SweepScheduleID, err)
	}
	return nil
}
