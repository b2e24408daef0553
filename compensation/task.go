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
	// ending is the end of this task or of an earlier one, as long as its waiters have not gone on; nil if nobody waits.
	ending *taskEnding
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

// ready ends the task where an express step or undo must not run in it: while something that people decided is not on
// record, or when the task carries a lot. The task that it returns in is one that nothing was decided in.
func (s *saga) ready(ctx workflow.Context) {
	s.tick(ctx)
	for s.host.heardAt == s.task.length || s.task.carried > maxCarried {
		s.endTask(ctx)
	}
}

// carry adds size bytes to what the task carries, and ends it first where that would be too much.
func (s *saga) carry(ctx workflow.Context, size int) {
	s.tick(ctx)
	for s.task.carried > 0 && s.task.carried+size > maxCarried {
		s.endTask(ctx)
	}
	s.task.carried += size
}

// look ends the task before the pivot if it has lasted for so long that somebody may have asked for the saga to turn back.
func (s *saga) look(ctx workflow.Context) {
	s.tick(ctx)
	if s.task.looked.Sub(s.task.began) >= lookAfter {
		s.endTask(ctx)
	}
}

// taskEnding is the end of a workflow task that somebody waits for.
type taskEnding struct {
	// length is the history's when the task began.
	length int
	over   workflow.Future
}

// endTask ends the workflow task, and returns in a later one, when everything that waited has been heard. No cancel
// reaches it.
func (s *saga) endTask(ctx workflow.Context) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	s.tick(ctx)
	if ending := s.task.ending; ending != nil && ending.length == s.task.length {
		_ = ending.over.Get(ctx, nil) // settled without an error
		s.tick(ctx)
		return
	}
	over, settle := workflow.NewFuture(ctx)
	ending := &taskEnding{s.task.length, over}
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
	if s.task.ending == ending {
		s.task.ending = nil
	}
	settle.SetValue(nil)
	s.tick(ctx)
	if s.task.length == ending.length {
		// No task of a server's begins with the length of another one, but the SDK's test environment counts no events.
		s.host.heardAt, s.task.carried = unheard, 0
	}
}
