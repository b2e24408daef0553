package compensation

import (
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// turnBack undoes the saga and returns the failure that ends it, unless it finds that the pivot happened.
func (s *saga) turnBack(ctx workflow.Context, cause error) (again bool, _ error) {
	s.state = Compensating
	s.cause = shortened(plain(cause), maxText)
	if s.reversal != nil {
		cause = s.reversal.err
		s.cause = s.reversal.sentence()
	}
	s.turnedBackBy, s.reason = turnedBackBy(cause), reasonOf(cause, s.reversal)
	s.stop()
	s.publishLater(ctx)
	s.await(ctx)
	certain := s.certain(ctx)
	// A certain saga with nothing to undo cannot harm another try.
	if s.needsFence(ctx) && (!certain || s.hasToUndo()) && s.fence(ctx, s.pivotExecution()) {
		s.goForward(ctx)
		return true, nil
	}
	s.turned = true
	if !certain {
		s.addUnseen(ctx)
	}
	if s.plan.since(2) {
		// Another try that goes on beside this one cannot complete without the pivot, or not once this is on record.
		if s.hasToUndo() && (!s.fenced() || !s.plan.pivotRequired) {
			s.endTask(ctx)
		}
		s.undoAll(ctx, never)
		s.undoRepeats(ctx)
	} else {
		s.recordFirst = !s.fenced()
		s.undoAllOfRevision1(ctx)
	}
	s.state = Compensated
	if s.exceptions {
		s.state = CompensatedWithExceptions
	}
	s.publish(ctx)
	s.end(ctx)
	if s.reversal != nil && s.reversal.cancel != nil {
		return false, temporal.NewCanceledError(*s.reversal.cancel)
	}
	return false, bounded(failureOf(cause))
}

// goForward resumes a saga whose pivot was done by a try whose record was lost.
func (s *saga) goForward(ctx workflow.Context) {
	s.forward = true
	s.reversal = nil // it came too late
	s.state, s.cause, s.turnedBackBy = Running, "", ""
	if !s.unpublished {
		s.publish(ctx)
	}
	s.unpublished = false
	if s.deadline.passed {
		s.overdue(ctx)
	}
}

// end waits until every sender of an update has an answer, and leaves nothing behind.
func (s *saga) end(ctx workflow.Context) {
	s.deadline.stop()
	for _, item := range slices.Clone(s.parked) {
		s.settle(ctx, item)
	}
	s.show(ctx)
	wait(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}
