package compensation

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// awaitSettle waits until no request of the step's Do can be on its way any more (see [Step.Settle]). It fails if ctx is
// canceled.
func (s *saga) awaitSettle(ctx workflow.Context, e *execution) error {
	if e.settle == 0 {
		return nil
	}
	ended := e.doEnded
	if s.wasReset(ctx) {
		// The run before may have called a moment ago, and its try may still be running.
		if at := s.resetAt.Add(e.attemptTimeout); at.After(ended) {
			ended = at
		}
	}
	if ended.IsZero() {
		// Another workflow started the step, and its try may still be running. It began before this workflow did.
		ended = workflow.GetInfo(ctx).WorkflowStartTime.Add(e.attemptTimeout)
	}
	left := e.settle - workflow.Now(ctx).Sub(ended)
	if left <= 0 {
		return ctx.Err()
	}
	return workflow.NewTimerWithOptions(ctx, left, workflow.TimerOptions{
		Summary: "until no request of " + e.key.label() + " can be on its way",
	}).Get(ctx, nil)
}

// settleFault explains why the definition's Settle is invalid; empty if it is valid.
func (d definition) settleFault() string {
	switch {
	case d.settle < 0:
		return "Settle is negative"
	case d.settle == 0:
		return ""
	case d.kind == Retriable:
		return "is retriable, so there is no undo that Settle could put off"
	case !d.durable:
		return "has a Settle but is not Durable: a record that is lost forgets when the last request was sent"
	}
	return ""
}

// undoWithin returns the longest time that the undo takes before it parks the saga.
func (d definition) undoWithin(express bool) time.Duration {
	t := d.settle + d.undoLimit
	if express {
		t += ExpressLimit
	}
	return t
}
