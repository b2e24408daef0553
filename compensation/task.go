package compensation

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// A saga's express steps run in a workflow task. The steps are on record once the task has completed, and requests from
// outside wait until then. Where either matters, a saga ends its task early, with an activity: that is three events and a
// task, and takes some 10 ms. A timer takes a second, since Temporal's are not finer than that.
const (
	// lookAfter limits the age of a task in which the pivot is called. A request to turn back that comes in an older task
	// is heard before the pivot; nobody who has seen the saga's start can send one sooner. A PlaceOrder whose services
	// answer in 5 ms comes to its pivot after 60 ms.
	lookAfter = 500 * time.Millisecond
	// endTaskLimit limits the activity's time. However it ends, the task has ended.
	endTaskLimit = 10 * time.Second
	// maxCarried limits the results in a task, in bytes, before it is ended. gRPC takes up to 4 MiB from the SDK.
	maxCarried = 1 << 20
	// maxExpressing limits the express steps in flight at the same time, each with a result of up to maxExpressResult:
	// with what the task carries already, they take half of the 4 MiB, since a codec can add to it.
	maxExpressing = 16
)

// A task is the saga's view of its current workflow task.
type task struct {
	// length is the history's length when the task began: it tells tasks apart.
	length int
	// began is the task's start on the workflow's clock; looked is the time at which the engine last asked.
	began, looked time.Time
	// carried is the size of the results of its express steps, in bytes.
	carried int
	// expressing is the number of express steps in flight.
	expressing int
	// ending is settled when the task has been ended; nil if nothing is ending it.
	ending workflow.Future
}

// tick notes whether another task has begun.
func (s *saga) tick(ctx workflow.Context) {
	now, length := workflow.Now(ctx), historyLength(ctx)
	if length != s.task.length {
		s.task.length, s.task.carried, s.task.began = length, 0, now
		if s.task.expressing > 0 {
			s.task.began = s.task.looked // it began while they ran, which no workflow clock shows
		}
	}
	s.task.looked = now
}

// historyLength returns the history's length when the current workflow task began.
func historyLength(ctx workflow.Context) int { return workflow.GetInfo(ctx).GetCurrentHistoryLength() }

// ready ends the task where an express step or undo must not run in it: while a person's decision is not on record, or
// when the task carries a lot.
func (s *saga) ready(ctx workflow.Context) {
	s.tick(ctx)
	if s.host.heardAt == s.task.length || s.task.carried > maxCarried {
		s.endTask(ctx)
	}
}

// look ends the task before the pivot if it has lasted so long that somebody may have asked the saga to turn back.
func (s *saga) look(ctx workflow.Context) {
	s.tick(ctx)
	if s.task.looked.Sub(s.task.began) >= lookAfter {
		s.endTask(ctx)
	}
}

// endTask ends the workflow task, and returns in the next one, once everything that waited has been heard. No cancel
// reaches it.
func (s *saga) endTask(ctx workflow.Context) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if s.task.ending != nil {
		_ = s.task.ending.Get(ctx, nil) // settled without an error
		return
	}
	ending, settle := workflow.NewFuture(ctx)
	s.task.ending = ending
	_ = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              workflow.GetInfo(ctx).TaskQueueName,
		ScheduleToCloseTimeout: endTaskLimit,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
		Summary:                "what was decided so far is put on record",
	}), ActivityEndTask).Get(ctx, nil) // a failure ends the task, too: if no worker has room for it, say
	// The SDK resumes this coroutine before those that came later, such as one that waits for Temporal's cancel. A
	// coroutine that starts now has its turn after all of them.
	heard := false
	workflow.Go(ctx, func(workflow.Context) { heard = true })
	wait(ctx, func() bool { return heard })
	s.task.ending = nil
	settle.SetValue(nil)
	s.tick(ctx)
}
