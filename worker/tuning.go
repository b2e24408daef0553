package worker

import (
	"time"

	sdkworker "go.temporal.io/sdk/worker"
)

const (
	// stickyTimeout is how long a workflow task waits for the worker that has the saga in its cache before any other gets
	// it. The SDK's 5 s are what the first update after a worker's crash would wait, longer than the API does; a worker
	// that lives takes the task within milliseconds.
	stickyTimeout = time.Second

	// workflowTasks is how many sagas a worker drives at the same time. A workflow task holds the saga's express steps, so a
	// task that a worker takes and has no time for lets them run out of their second, and times out itself: more work, when
	// there is too much already. With 150 orders at once on two busy cores, the SDK's 1,000 had 101 and 231 tasks time
	// out of 500, and 50 had none. Those that wait in the queue meanwhile are any worker's.
	workflowTasks = 50
)

// tuned are the options that differ from the SDK's, each for the reason given above. Pollers (2, 5, 10 and those that
// scale by themselves) and the size of the cache made no difference that was larger than the measurement's own.
func tuned(o Options) sdkworker.Options {
	return sdkworker.Options{
		WorkerStopTimeout:                      o.StopTimeout,
		StickyScheduleToStartTimeout:           stickyTimeout,
		MaxConcurrentWorkflowTaskExecutionSize: workflowTasks,
	}
}
