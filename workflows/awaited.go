package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// awaited is a message that a saga waits for during one part of its way, and takes as an update there and nowhere else.
type awaited[T any] struct {
	waiting bool
	value   T
	arrived bool
}

// expect registers the update. check finds faults of a message.
func expect[T any](ctx workflow.Context, update, description string, check func(T) error) (*awaited[T], error) {
	a := &awaited[T]{}
	err := workflow.SetUpdateHandlerWithOptions(ctx, update,
		func(_ workflow.Context, value T) error {
			a.value, a.arrived = value, true
			return nil
		},
		workflow.UpdateHandlerOptions{
			Description: description,
			Validator: func(value T) error {
				if !a.waiting || a.arrived {
					return temporal.NewApplicationError("nothing waits for "+update+" here", ErrTypeNotAwaited)
				}
				return check(value)
			},
		})
	return a, err
}

// open begins the part of the saga in which the message is taken, close ends it.
func (a *awaited[T]) open()  { a.waiting = true }
func (a *awaited[T]) close() { a.waiting = false }

// await waits for the message, which may have come since open; inTime is false if it did not come within the limit.
// summary says in histories what is waited for. The error is that of a canceled ctx.
func (a *awaited[T]) await(ctx workflow.Context, within time.Duration, summary string) (value T, inTime bool, err error) {
	inTime, err = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout:      within,
		TimerOptions: workflow.TimerOptions{Summary: summary},
	}, func() bool { return a.arrived })
	return a.value, inTime, err
}
