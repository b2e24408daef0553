package worker

import (
	"time"

	sdkworker "go.temporal.io/sdk/worker"

	"github.com/amends-dev/amends/compensation"
)

const (
	// stickyTimeout is how long a workflow task waits for the worker that has the saga in its cache before any other gets
	// it. The SDK's 5 s are what the first update after a worker's crash would wait, longer than the API does; a worker
	// that lives takes the task within milliseconds.
	stickyTimeout = time.Second

	// DefaultTasks is how many sagas a worker drives at the same time. A workflow task holds the saga's express steps, so a
	// task that a worker takes and has no time for lets them run out of their second, and times out itself: more work, when
	// there is too much already. Of 450 to 600 orders, 150 at once on two busy cores, the SDK's 1,000 had 0 to 231 tasks
	// time out in four rounds, 100 had 0 to 148 in seven, and 50 had 0 to 7 in five. Those that wait in the queue meanwhile
	// are any worker's.
	DefaultTasks = 50

	// pollers is how many questions for workflow tasks a worker has open at the same time. A task that finds one waiting is
	// handed on in memory; any other is written to the queue's table first, and read again, and those that are later overtake
	// it meanwhile. Ten steps each, on two busy cores, without eager start, beside the SDK's 2: 20 had 1.33 times the sagas/s
	// with 50 at once and 1.36 with ten, 0.86 and 0.80 of the processor time, and a p99 of 1.5 s instead of 3.5 s with 50;
	// 10 had less of that, 30, 50 and as many as the SDK finds right had no more.
	pollers = 20

	// cachedSagas is how many sagas that wait, for a person or a service, a process keeps in memory. One takes 80 kB, so the
	// SDK's 10,000 are 0.8 GB. To read one from its history instead when its answer comes cost no more than the
	// measurement's own 2 ms of 18, once.
	cachedSagas = 1_000

	// blockedAfter is when the SDK gives up a saga's code that does not come to a halt. The SDK's 1 s also passes when the
	// whole process is halted or starved of processor time. It then fails every task that it is in the middle of, and the
	// code it has given up goes on beside its own clean-up, a data race (https://github.com/temporalio/sdk-go/issues/1240).
	// Nobody waits for this: the server gives a task to another try after workflows.TaskTimeout.
	blockedAfter = time.Minute
)

// Tuning returns the options that differ from the SDK's, each for the reason given above, and the plugin that sagas need,
// for a worker that drives that many sagas at the same time. Options that made no difference larger than the
// measurement's own stay as they are: the slots for local activities, of which a task takes three at most. With eager
// start the SDK's 2 pollers stay, too: the first task of most sagas does not come from the queue, and finds no place that
// a poller keeps for another.
func Tuning(tasks int, eagerStart bool) sdkworker.Options {
	// It is the whole process's, and always the same.
	sdkworker.SetStickyWorkflowCacheSize(cachedSagas)
	options := sdkworker.Options{
		StickyScheduleToStartTimeout:           stickyTimeout,
		MaxConcurrentWorkflowTaskExecutionSize: tasks,
		DeadlockDetectionTimeout:               blockedAfter,
		Plugins:                                []sdkworker.Plugin{compensation.NewPlugin()},
	}
	if !eagerStart {
		options.MaxConcurrentWorkflowTaskPollers = pollers
	}
	return options
}
