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

// sweepRetry is the pause before the schedule is tried to be made again.
const sweepRetry = 10 * time.Second

// ensureSweep makes the schedule, and tries again until it is there or ctx ends: a worker that polls is worth more than
// its schedule.
func (w *Worker) ensureSweep(ctx context.Context) {
	for {
		err := makeSweep(ctx, w.client, w.sweep)
		if err == nil || ctx.Err() != nil {
			return
		}
		w.logger.Warn("sagas that were ended from outside are not recovered yet; trying again", "error", err)
		timer := time.NewTimer(sweepRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// makeSweep makes the schedule that runs [workflows.SweepSagas], unless there is one. One that is there stays as it
// is, so that an operator can pause it or change its pace.
func makeSweep(ctx context.Context, c client.Client, every time.Duration) error {
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
