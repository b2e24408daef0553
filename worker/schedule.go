package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/workflows"
)

const (
	// DefaultSweepEvery is how often sagas are looked for that were ended from outside. A sweep that finds none costs two
	// workflow tasks and a visibility query.
	DefaultSweepEvery = time.Minute
	// DefaultAuditEvery is how often the step services are asked whether their books balance. Each then reads all of them.
	DefaultAuditEvery = 5 * time.Minute
)

// scheduleRetry is about the pause before another try to create a schedule: half of it to one and a half, since all
// workers may begin at once.
const scheduleRetry = 10 * time.Second

// schedule is what Temporal starts by itself.
type schedule struct {
	id, workflowType string
	input            any
	every            time.Duration
	// atOnce starts it when the schedule is made, too.
	atOnce bool
	note   string
}

// schedules are those that there must be.
func schedules(sweepEvery, auditEvery time.Duration) []schedule {
	return []schedule{
		{
			id: workflows.SweepScheduleID, workflowType: workflows.TypeSweepSagas, input: workflows.SweepInput{}, every: sweepEvery,
			note: "Recovers sagas that were terminated, timed out or failed without turning back.",
		},
		{
			id: workflows.AuditScheduleID, workflowType: workflows.TypeAuditBooks, input: workflows.AuditInput{}, every: auditEvery,
			atOnce: true, note: "Asks the step services whether their books balance.",
		},
	}
}

// ensureSchedules makes the schedules, and tries again until they are there or ctx ends: a worker that polls is worth more
// than they are.
func (w *Worker) ensureSchedules(ctx context.Context) {
	for _, s := range w.schedules {
		for {
			err := s.make(ctx, w.client)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return
			}
			w.logger.Warn("a schedule is missing; trying again", "schedule", s.id, "error", err)
			timer := time.NewTimer(scheduleRetry/2 + rand.N(scheduleRetry)) //nolint:gosec // a pause need not be unpredictable
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}
}

// make makes the schedule, unless there is one. One that is there stays as it is, so that an operator can pause it or
// change its pace.
func (s schedule) make(ctx context.Context, c client.Client) error {
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID:   s.id,
		Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: s.every}}},
		Action: &client.ScheduleWorkflowAction{
			ID: s.id, Workflow: s.workflowType, TaskQueue: workflows.TaskQueue, Args: []any{s.input},
		},
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		// What was missed is made up for by the next one.
		CatchupWindow:      s.every,
		TriggerImmediately: s.atOnce,
		Note:               s.note,
	})
	if err != nil && !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return fmt.Errorf("make schedule %s: %w", s.id, err)
	}
	return nil
}
