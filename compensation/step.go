package compensation

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Kind says what a step means to the saga's way back.
type Kind int

const (
	// Compensatable steps come before the pivot. Each can be undone.
	Compensatable Kind = iota
	// Pivot is the point of no return, at most one in a plan: once it is done the saga only goes forward.
	Pivot
	// Retriable steps come after the pivot. They are tried until they are done.
	Retriable
)

// String is the kind's name on the wire: "compensatable", "pivot" or "retriable".
func (k Kind) String() string {
	switch k {
	case Compensatable:
		return "compensatable"
	case Pivot:
		return "pivot"
	case Retriable:
		return "retriable"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// MarshalText implements [encoding.TextMarshaler].
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// What a [Step] gets where it says nothing.
const (
	DefaultAttemptTimeout = 10 * time.Second
	DefaultLimit          = 5 * time.Minute
)

// Step is one participant's part in a saga: an activity that does it and the one that undoes it. Steps are values
// declared once, at package level; a [Plan] checks them.
//
// Do and Undo are activities, given as functions or method values, and registered with the worker under their own
// names. They are run any number of times with one key and must have the effect of one run.
//
// Do has three outcomes. nil: it is done. An error made by [Refuse]: it definitely has no effect, and trying again
// would not help. Any other error: unknown; Do is tried again with the same key until Limit.
type Step[In, Out any] struct {
	// Name is part of the key and of recorded histories, so it never changes: a capital letter, then letters and
	// digits, at most 64.
	Name string
	Kind Kind
	Do   func(context.Context, Key, In) (Out, error)
	// Undo takes back what Do did with this key, and makes a Do that comes later fail. It succeeds if Do never ran
	// and if Undo already ran. For a pivot it makes sure that the pivot never happens, or fails with [Irreversible] if it
	// happened. A retriable step has none.
	Undo func(context.Context, Key) error
	// AttemptTimeout bounds one try of Do or of Undo. Default [DefaultAttemptTimeout].
	AttemptTimeout time.Duration
	// Limit bounds all tries of Do together. After it the outcome counts as unknown, and a saga that gives up undoes
	// the step too. Default [DefaultLimit]. A retriable step has none.
	Limit time.Duration
	// Retry spaces the tries. Default: 500 ms, doubling, at most 30 s. MaximumAttempts bounds the tries of Do for a
	// compensatable step or a pivot; tries of a retriable step and of an undo have no bound.
	Retry temporal.RetryPolicy

	item string
}

// For returns the step for one of several items, such as one reservation for each warehouse. Each item has a key of
// its own. An item is 1 to 64 letters, digits, "-" and "_".
func (st Step[In, Out]) For(item string) Step[In, Out] {
	if !itemName.MatchString(item) {
		panic(fmt.Sprintf("compensation: step %s: item %q must be 1 to 64 letters, digits, - and _", st.Name, item))
	}
	st.item = item
	return st
}

// Run runs the step and waits for its outcome. The error, if any, is a [*StepError]; a [*temporal.CanceledError] if
// the saga turned back before the step was started.
func (st Step[In, Out]) Run(ctx workflow.Context, in In) (Out, error) {
	return st.Start(ctx, in).Get(ctx)
}

// Start runs the step beside others. Its undo is registered before it starts.
func (st Step[In, Out]) Start(ctx workflow.Context, in In) *Future[Out] {
	s := sagaOf(ctx, st.Name)
	settled, settle := workflow.NewFuture(ctx)
	f := &Future[Out]{settled: settled}

	e, err := s.register(ctx, st.definition(), st.item)
	if err != nil {
		settle.SetError(err)
		return f
	}
	f.execution = e
	workflow.Go(ctx, func(ctx workflow.Context) {
		settle.SetError(s.execute(ctx, e, in, &f.out))
	})
	return f
}

// Future is the outcome of a step that was started.
type Future[Out any] struct {
	settled   workflow.Future
	execution *execution
	out       Out
}

// Get waits for the outcome; errors are those of [Step.Run].
func (f *Future[Out]) Get(ctx workflow.Context) (Out, error) {
	err := f.settled.Get(ctx, nil)
	if f.execution != nil {
		f.execution.seen = true
	}
	return f.out, err
}

// definition is a step without its types: what the engine needs of it.
type definition struct {
	name           string
	kind           Kind
	do, undo       any
	attemptTimeout time.Duration
	limit          time.Duration
	retry          temporal.RetryPolicy
}

func (st Step[In, Out]) definition() definition {
	d := definition{
		name: st.Name, kind: st.Kind,
		attemptTimeout: st.AttemptTimeout, limit: st.Limit, retry: st.Retry,
	}
	// A nil func in an interface is not nil.
	if st.Do != nil {
		d.do = st.Do
	}
	if st.Undo != nil {
		d.undo = st.Undo
	}
	return d
}

// withDefaults returns the definition with every zero setting replaced.
func (d definition) withDefaults() definition {
	if d.attemptTimeout == 0 {
		d.attemptTimeout = DefaultAttemptTimeout
	}
	if d.limit == 0 && d.kind != Retriable {
		d.limit = DefaultLimit
	}
	if d.retry.InitialInterval == 0 {
		d.retry.InitialInterval = 500 * time.Millisecond
	}
	if d.retry.BackoffCoefficient == 0 {
		d.retry.BackoffCoefficient = 2
	}
	if d.retry.MaximumInterval == 0 {
		d.retry.MaximumInterval = 30 * time.Second
	}
	return d
}

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
		Summary:             words(d.name) + itemSuffix(k.Item),
	}
	if unlimited {
		o.ScheduleToCloseTimeout = 0
		retry.MaximumAttempts = 0
	}
	return o
}

// undoOptions are the activity options of the step's Undo. It is tried until it succeeds or fails for good.
func (d definition) undoOptions(k Key) workflow.ActivityOptions {
	retry := d.retry
	retry.MaximumAttempts = 0
	return workflow.ActivityOptions{
		ActivityID:          k.label() + undoSuffix,
		StartToCloseTimeout: d.attemptTimeout,
		RetryPolicy:         &retry,
		Summary:             "UNDO " + words(functionName(d.undo)) + itemSuffix(k.Item),
	}
}
