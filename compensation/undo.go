package compensation

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"
)

// undoExpress runs Undo as a local activity, if it may, and notes the outcome.
func (s *saga) undoExpress(ctx workflow.Context, e *execution) error {
	e.begun = e.isExpress()
	if !e.isExpress() || s.recordFirst {
		s.recordFirst = false
		return errNotTried
	}
	if s.plan.since(2) {
		s.ready(ctx)
	}
	return s.noteUndo(ctx, e, e.express(s.withReason(ctx), e.definition.undo, e.undoSummary, e.key).Get(ctx, nil))
}

// undoDurable runs Undo as an ordinary activity, and notes the outcome. before is the outcome of the tries before. With
// unlimited, it is tried until it is done.
func (s *saga) undoDurable(ctx workflow.Context, e *execution, before error, unlimited bool) error {
	e.expressing, e.begun = false, true
	s.flush(ctx)
	if s.awaitSettle(ctx, e) != nil || s.pause(ctx, e, before) != nil {
		return before
	}
	e.undo = UndoRunning
	s.show(ctx)
	return s.noteUndo(ctx, e, workflow.ExecuteActivity(workflow.WithActivityOptions(s.withReason(ctx), e.undoOptions(e.key, unlimited)),
		functionName(e.definition.undo), e.key).Get(ctx, nil))
}

// noteUndo notes the outcome of Undo. A pivot that happened is an answer, too.
func (s *saga) noteUndo(ctx workflow.Context, e *execution, err error) error {
	switch {
	case e.kind == Pivot && typeOf(err) == ErrTypeIrreversible:
		e.undo, err = UndoNone, nil
	case err != nil:
		e.undo = UndoFailed
		err = fmt.Errorf("undo of %s: %w", e.key.label(), err)
	case e.kind == Pivot, e.do == DoNotRun:
		e.undo = UndoPrevented
	default:
		e.undo = UndoDone
	}
	s.show(ctx)
	return err
}

// fence makes sure that the pivot never happens, or finds that it did.
func (s *saga) fence(ctx workflow.Context, e *execution) (happened bool) {
	_ = s.insist(ctx, e, PartUndo) // it notes what it settles
	return e.undo == UndoNone
}

// undoAll undoes what may stand, in reverse order of start. It ends when all is undone or an operator has settled it, or
// when enough reports true. It goes past an undo that parks the saga to the next. If neither of two steps had ended when
// the other started, they do not wait for each other's limits.
func (s *saga) undoAll(ctx workflow.Context, enough func() bool) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	for !enough() {
		if e := s.nextUndo(); e != nil {
			s.startUndo(ctx, e)
			continue
		}
		if !s.isUndoing() && !s.hasToUndo() {
			return
		}
		wait(ctx, func() bool { return enough() || s.nextUndo() != nil || (!s.isUndoing() && !s.hasToUndo()) })
	}
}

func never() bool { return false }

// startUndo starts the step's undo, which runs concurrently.
func (s *saga) startUndo(ctx workflow.Context, e *execution) {
	e.undoing, e.expressing, e.begun = true, e.isExpress(), false
	workflow.Go(ctx, func(ctx workflow.Context) {
		_ = s.insist(ctx, e, PartUndo) // it notes what it settles
		e.undoing, e.expressing = false, false
	})
	wait(ctx, func() bool { return e.begun || !e.undoing }) // they begin in the order of the history
}

func (s *saga) isUndoing() bool {
	return slices.ContainsFunc(s.executions, func(e *execution) bool { return e.undoing })
}

// nextUndo returns the step whose undo is due; nil while no undo is. A step waits for the undos of the steps that began
// after it had ended, since those may have counted on it. Express tries come one after the other, since they are over
// soon.
func (s *saga) nextUndo() *execution {
	last := 0
	for _, e := range s.executions {
		if e.undoing && e.expressing {
			return nil
		}
		if (e.undoing || s.mustUndo(e)) && !s.isParked(e) {
			last = max(last, e.began)
		}
	}
	for _, e := range slices.Backward(s.executions) {
		if !e.undoing && s.mustUndo(e) && e.ended > last {
			return e
		}
	}
	return nil
}

// undoRest undoes what may stand although the body went on without it, before the pivot is called. It ends early when the
// saga is to turn back.
func (s *saga) undoRest(ctx workflow.Context) {
	if !s.hasToUndo() {
		return
	}
	s.endTask(ctx) // another try may be working with what is undone here
	s.undoAll(ctx, func() bool { return s.reversal != nil && !s.forward })
}

// undoUnseen undoes, before the saga completes, what only another try may have done. It runs last, so that this try's own
// steps do not wait for a service that they may not need.
func (s *saga) undoUnseen(ctx workflow.Context) {
	if !s.certain(ctx) {
		s.addUnseen(ctx)
	}
	if s.hasToUndo() {
		s.endTask(ctx) // another try may be working with what is undone here
		s.undoAll(ctx, func() bool { return s.reversal != nil && !s.committed && !s.forward })
	}
	if s.reversal == nil || s.committed || s.forward {
		s.undoRepeats(ctx)
	}
}

// undoRepeats waits for an operator to undo what no saga can: repeats of a step that a reset made it forget, with items
// that nobody knows.
func (s *saga) undoRepeats(ctx workflow.Context) {
	if !s.wasReset(ctx) {
		return
	}
	var steps []string
	for _, d := range s.plan.steps {
		if d.repeats && d.kind == Compensatable {
			steps = append(steps, d.name)
		}
	}
	if len(steps) > 0 {
		s.leaveToOperator(ctx, &parked{part: PartSaga, byHand: true}, "the workflow was reset, which made it forget for which items it ran "+strings.Join(steps, ", ")+
			": undo by hand what the history of the run before has and this one's has not")
	}
}

func (s *saga) hasToUndo() bool { return slices.ContainsFunc(s.executions, s.mustUndo) }

// mustUndo reports whether the step's effect may stand although it must not.
func (s *saga) mustUndo(e *execution) bool {
	if e.kind != Compensatable || e.undo.over() {
		return false
	}
	switch e.do {
	case DoDone, DoMarkedDone:
		return s.state == Compensating
	case DoUnknown:
		return true
	case DoRefused:
		return e.doubtful
	case DoNotRun:
		return e.unseen
	case DoWaiting, DoRunning, DoSkipped:
		return false
	}
	return false
}
