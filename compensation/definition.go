package compensation

import (
	"encoding/json"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// ExpressLimit bounds the express tries of a step or of an undo together. Longer, and a service that is down holds up
// every saga's workflow task; shorter, and a pause of a service's makes ordinary activities of steps that would have
// been done.
const ExpressLimit = time.Second

const (
	// expressTries is how often a step is tried express. A connection that was just closed is answered by the second.
	expressTries = 3
	// expressPause is what the second try waits, and the third twice as long.
	expressPause = 50 * time.Millisecond
	// probeLimit bounds the tries of a probe: it is a question asked on the way back, not the way itself.
	probeLimit = time.Minute
)

// definition is a step without its types: what the engine needs of it.
type definition struct {
	name            string
	kind            Kind
	do, undo, probe any
	durable         bool
	repeats         bool
	settle          time.Duration
	onUnknown       OnUnknown
	attemptTimeout  time.Duration
	limit           time.Duration
	undoLimit       time.Duration
	retry           temporal.RetryPolicy
	// group is the same for steps that start together.
	group int
	// undoSummary says in histories what the undo does.
	undoSummary string
	// checkIn and checkOut report why an operator's input or result is invalid.
	checkIn, checkOut func(json.RawMessage) error
	// readIn reads an input. readOut reads a result into the value that out points to.
	readIn  func(json.RawMessage) (any, error)
	readOut func(text json.RawMessage, out any) error
}

// withDefaults returns the definition with every zero setting replaced.
func (d definition) withDefaults() definition {
	if d.attemptTimeout == 0 {
		d.attemptTimeout = DefaultAttemptTimeout
	}
	if d.limit == 0 && d.kind != Retriable {
		d.limit = DefaultLimit
	}
	if d.undoLimit == 0 && d.kind != Retriable {
		d.undoLimit = DefaultUndoLimit
	}
	if d.retry.InitialInterval == 0 {
		d.retry.InitialInterval = 500 * time.Millisecond
	}
	if d.retry.BackoffCoefficient == 0 {
		d.retry.BackoffCoefficient = 2
	}
	if d.retry.MaximumInterval == 0 {
		d.retry.MaximumInterval = max(30*time.Second, d.retry.InitialInterval)
	}
	return d
}

// retryFault explains why the definition's Retry is invalid; empty if it is valid. Temporal would fail the workflow task
// that asks for such an activity, again and again.
func (d definition) retryFault() string {
	switch r := d.retry; {
	case r.InitialInterval < 0:
		return "Retry.InitialInterval is negative"
	case r.BackoffCoefficient != 0 && r.BackoffCoefficient < 1:
		return "Retry.BackoffCoefficient is less than 1"
	case r.MaximumInterval < 0:
		return "Retry.MaximumInterval is negative"
	case r.MaximumInterval != 0 && r.MaximumInterval < r.InitialInterval:
		return "Retry.MaximumInterval is less than InitialInterval"
	case r.MaximumAttempts < 0:
		return "Retry.MaximumAttempts is negative"
	}
	return ""
}

// express runs an activity of the step within the workflow task. No cancel reaches it: it ends soon, and then its
// outcome is known.
func (d definition) express(ctx workflow.Context, f any, summary string, args ...any) workflow.Future {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: ExpressLimit,
		StartToCloseTimeout:    min(d.attemptTimeout, ExpressLimit),
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: expressPause, BackoffCoefficient: 2, MaximumAttempts: expressTries,
		},
		Summary: summary,
	})
	// By name: the worker has the function with its receiver, a workflow often has only the method's name.
	return workflow.ExecuteLocalActivity(ctx, functionName(f), args...)
}

func (d definition) doSummary(k Key) string { return words(d.name) + itemSuffix(k.Item) }

// doOptions are the activity options of the step's Do. With unlimited, it is tried until it is done.
func (d definition) doOptions(k Key, unlimited bool) workflow.ActivityOptions {
	retry := d.retry
	o := workflow.ActivityOptions{
		ActivityID:             k.label() + doSuffix,
		StartToCloseTimeout:    d.attemptTimeout,
		ScheduleToCloseTimeout: d.limit,
		// The outcome of what is in flight must be known before anything is undone.
		WaitForCancellation: true,
		RetryPolicy:         &retry,
		Summary:             d.doSummary(k),
	}
	if unlimited {
		o.ScheduleToCloseTimeout = 0
		retry.MaximumAttempts = 0
	}
	return o
}

// undoOptions are the activity options of the step's Undo.
func (d definition) undoOptions(k Key, unlimited bool) workflow.ActivityOptions {
	retry := d.retry
	retry.MaximumAttempts = 0
	o := workflow.ActivityOptions{
		ActivityID:             k.label() + undoSuffix,
		StartToCloseTimeout:    d.attemptTimeout,
		ScheduleToCloseTimeout: d.undoLimit,
		WaitForCancellation:    true,
		RetryPolicy:            &retry,
		Summary:                d.undoSummary + itemSuffix(k.Item),
	}
	if unlimited {
		o.ScheduleToCloseTimeout = 0
	}
	return o
}

// probeOptions are the activity options of the step's Probe.
func (d definition) probeOptions(k Key) workflow.ActivityOptions {
	retry := d.retry
	return workflow.ActivityOptions{
		ActivityID:             k.label() + probeSuffix,
		StartToCloseTimeout:    d.attemptTimeout,
		ScheduleToCloseTimeout: max(probeLimit, d.attemptTimeout),
		WaitForCancellation:    true,
		RetryPolicy:            &retry,
		Summary:                "is it done? " + d.doSummary(k),
	}
}
