package compensation

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// A workflow task is where a saga's express steps run. What it did is on record once it has completed, and what comes
// from outside meanwhile waits until then. A saga ends its task in between where one of the two matters, with an activity:
// that is three events and a task, and takes some 10 ms. A timer takes a second, since Temporal's are not finer than that.
const (
	// lookAfter is how long a task may have lasted for the pivot to be called in it. Whoever asks a saga to turn back in a
	// task that lasts longer is heard before the pivot; nobody can ask sooner who has seen the saga's start. A PlaceOrder
	// whose services answer in 5 ms comes to its pivot after 60 ms.
	lookAfter = 500 * time.Millisecond
	// endTaskLimit is how long the activity may take. However it ends, the task has ended.
	endTaskLimit = 10 * time.Second
	// maxCarried is how much results may make of a task before it is ended, in bytes. gRPC takes 4 MiB of the SDK.
	maxCarried = 1 << 20
	// maxExpressing is how many express steps may be in flight at the same time, each with a result of up to
	// maxExpressResult: with what the task carries already, half of the 4 MiB, since a codec can add to it.
	maxExpressing = 16
)

// task is what the saga knows of the workflow task that it is in.
type task struct {
	// length is the history's when the task began: it tells tasks apart.
	length int
	// began is when it did, on the workflow's clock; looked is when the engine last asked.
	began, looked time.Time
	// carried is how much the results of its express steps are, in bytes.
	carried int
	// expressing is how many express steps are in flight.
	expressing int
	// ending is settled when the task has been ended; nil if nobody ends it.
	ending workflow.Future
}

// tick notes whether another task has begun.
func (s *saga) tick(ctx workflow.Context) {
	now, length := workflow.Now(ctx), historyLength(ctx)
	if length != s.task.length {
		s.task.length, s.task.carried, s.task.began = length, 0, now
		if s.task.expressing > 0 {
			s.task.began = s.task.looked // it began while they ran, which no clock of a workflow's shows
		}
	}
	s.task.looked = now
}

// historyLength is the history's length when the current workflow task began.
func historyLength(ctx workflow.Context) int { return workflow.GetInfo(ctx).GetCurrentHistoryLength() }

// ready ends the task where an express step or undo must not run in it: while something that people decided is not on
// record, or when the task carries a lot.
func (s *saga) ready(ctx workflow.Context) {
	s.tick(ctx)
	if s.host.heardAt == s.task.length || s.task.carried > maxCarried {
		s.endTask(ctx)
	}
}

// look ends the task before the pivot if it has lasted for so long that somebody may have asked for the saga to turn back.
func (s *saga) look(ctx workflow.Context) {
	s.tick(ctx)
	if s.task.looked.Sub(s.task.began) >= lookAfter {
		s.endTask(ctx)
	}
}

// endTask ends the workflow task, and returns in the next one, when everything that waited has been heard. No cancel
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
	}), ActivityEndTask).Get(ctx, nil) // a failure ends the task, too: there is no worker with a place for it, say
	// The SDK lets this coroutine go on before those that came later, such as one that waits for Temporal's cancel. Another
	// one that starts now has its turn after all of them.
	heard := false
	workflow.Go(ctx, func(workflow.Context) { heard = true })
	wait(ctx, func() bool { return heard })
	s.task.ending = nil
	settle.SetValue(nil)
	s.tick(ctx)
}
