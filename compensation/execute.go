package compensation

import (
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// execute runs a registered step to its outcome.
func (s *saga) execute(ctx workflow.Context, e *execution) error {
	switch {
	case e.kind == Pivot:
		e.err = s.commit(ctx, e)
	case e.kind == Retriable, s.forward:
		e.err = s.insist(ctx, e, PartDo)
	default:
		e.err = s.attempt(ctx, e)
	}
	e.settled, e.expressing = true, false
	return e.err
}

// attempt runs a compensatable step within its limit.
func (s *saga) attempt(ctx workflow.Context, e *execution) error {
	err := s.do(ctx, e)
	if e.do != DoUnknown || ctx.Err() != nil {
		return err
	}
	switch e.onUnknown {
	case UndoUnknown:
	case ProbeUnknown:
		if s.probe(ctx, e) == nil {
			return nil
		}
	case ParkUnknown:
		return s.persist(ctx, &parked{execution: e, part: PartDo}, &try{settled: true, err: err}, false)
	}
	return err
}

// do runs Do within its limit, express first.
func (s *saga) do(ctx workflow.Context, e *execution) error {
	err := s.doExpress(ctx, e)
	if undecided(err) {
		err = s.doDurable(ctx, e, err, false)
	}
	return err
}

// doExpress runs Do as a local activity, if it may, and notes the outcome.
func (s *saga) doExpress(ctx workflow.Context, e *execution) error {
	if ctx.Err() != nil {
		e.do = DoNotRun
		return ctx.Err()
	}
	if !e.isExpress() {
		return errNotTried
	}
	certain := s.certain(ctx)
	err := e.express(ctx, e.definition.do, e.doSummary(e.key), e.key, e.in).Get(ctx, e.out)
	// Without a record, this may be the second try, and the first may still be on its way.
	return s.noteDo(ctx, e, err, !certain)
}

// doDurable runs Do as an ordinary activity, and notes the outcome. before is that of the tries before. With unlimited,
// it is tried until it is done.
func (s *saga) doDurable(ctx workflow.Context, e *execution, before error, unlimited bool) error {
	e.expressing = false
	if s.pause(ctx, e, before) != nil {
		return before
	}
	e.do = DoRunning
	s.show(ctx)
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, e.doOptions(e.key, unlimited)),
		functionName(e.definition.do), e.key, e.in).Get(ctx, e.out)
	return s.noteDo(ctx, e, err, !errors.Is(before, errNotTried))
}

// noteDo notes the outcome of Do. A refusal is doubtful if there may have been tries before.
func (s *saga) noteDo(ctx workflow.Context, e *execution, err error, before bool) error {
	e.doEnded = workflow.Now(ctx)
	e.do, e.doubtful = outcomeOf(err)
	e.doubtful = e.doubtful || (e.do == DoRefused && before)
	s.show(ctx)
	if err != nil {
		return &StepError{Key: e.key, Outcome: e.do, cause: err}
	}
	return nil
}

// errNotTried stands for the outcome of express tries where there are none.
var errNotTried = errors.New("not tried express")

// isExpress tells whether the step runs as a local activity first.
func (e *execution) isExpress() bool { return !e.durable && e.key.Item == "" }

// undecided tells whether another try may succeed where express ones did not.
func undecided(err error) bool {
	var app *temporal.ApplicationError
	return err != nil && (!errors.As(err, &app) || !app.NonRetryable())
}

// pause waits as long as the participant asked for, if it did.
func (s *saga) pause(ctx workflow.Context, e *execution, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.NextRetryDelay() <= 0 {
		return nil
	}
	return workflow.NewTimerWithOptions(ctx, app.NextRetryDelay(), workflow.TimerOptions{
		Summary: "the pause that " + e.key.label() + " asked for",
	}).Get(ctx, nil)
}

// outcomeOf is what an activity's failure says of its effect. A refusal is doubtful unless it answers the first try:
// an earlier one may still be on its way.
func outcomeOf(err error) (outcome DoState, doubtful bool) {
	if err == nil {
		return DoDone, false
	}
	var activity *temporal.ActivityError
	if errors.As(err, &activity) {
		err = activity.Unwrap()
	}
	// Only the activity's own, outermost failure counts: a timeout that quotes a refusal is no refusal.
	app, ok := err.(*temporal.ApplicationError) //nolint:errorlint // just this one, not what it wraps
	if !ok || app.Type() != ErrTypeRefused {
		return DoUnknown, false
	}
	refusal, ok := refusalOf(app)
	return DoRefused, !ok || refusal.Attempt != 1
}

// probe asks whether a step of unknown outcome happened. If it did, it counts as done.
func (s *saga) probe(ctx workflow.Context, e *execution) error {
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, e.probeOptions(e.key)),
		functionName(e.definition.probe), e.key).Get(ctx, e.out)
	if err == nil {
		e.do = DoDone
		s.show(ctx)
	}
	return err
}

// commit runs the pivot. If its outcome stays unknown, its undo decides: either the pivot can never happen any more, and
// the saga may turn back, or it did happen, and the saga goes forward.
func (s *saga) commit(ctx workflow.Context, e *execution) error {
	e.expressing = false
	s.undoRest(ctx)
	e.expressing = e.isExpress()
	var err error
	if s.forward {
		err = s.insist(ctx, e, PartDo)
	} else if err = s.do(ctx, e); e.do == DoUnknown || e.doubtful {
		if s.fence(ctx, e) {
			err = s.insist(ctx, e, PartDo) // the same key gets the first answer again
		}
	}
	if err == nil {
		s.committed = true
		s.reversal = nil // it came too late
		if s.deadline.passed {
			s.overdue(ctx)
		}
		return nil
	}
	s.pivot = nil
	if s.reversal != nil {
		s.stop()
	}
	return err
}

// undoExpress runs Undo as a local activity, if it may, and notes the outcome.
func (s *saga) undoExpress(ctx workflow.Context, e *execution) error {
	if !e.isExpress() || s.recordFirst {
		s.recordFirst = false
		return errNotTried
	}
	return s.noteUndo(ctx, e, e.express(s.withReason(ctx), e.definition.undo, e.undoSummary, e.key).Get(ctx, nil))
}

// undoDurable runs Undo as an ordinary activity, and notes the outcome. before is that of the tries before. With
// unlimited, it is tried until it is done.
func (s *saga) undoDurable(ctx workflow.Context, e *execution, before error, unlimited bool) error {
	e.expressing = false
	s.flush(ctx)
	if s.awaitSettle(ctx, e) != nil || s.pause(ctx, e, before) != nil {
		return before
	}
	e.undo = UndoRunning
	s.show(ctx)
	return s.noteUndo(ctx, e, workflow.ExecuteActivity(workflow.WithActivityOptions(s.withReason(ctx), e.undoOptions(e.key, unlimited)),
		functionName(e.definition.undo), e.key).Get(ctx, nil))
}

// noteUndo notes the outcome of Undo. That a pivot happened is an answer, too.
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
	_ = s.insist(ctx, e, PartUndo) // what it settles, it notes
	return e.undo == UndoNone
}

// undoAll undoes what may stand, in reverse order of start. It goes past an undo that parks the saga to the next, and
// comes to its end when all are done or an operator has settled them.
func (s *saga) undoAll(ctx workflow.Context) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	left := 0
	for i := len(s.executions) - 1; i >= 0; i-- {
		e := s.executions[i]
		if !s.mustUndo(e) {
			continue
		}
		err := s.undoExpress(ctx, e)
		if err == nil {
			continue
		}
		left++
		done := false
		workflow.Go(ctx, func(ctx workflow.Context) {
			_ = s.insistAfter(ctx, e, PartUndo, err) // what it settles, it notes
			left--
			done = true
		})
		wait(ctx, func() bool { return done || s.isParked(e) })
	}
	wait(ctx, func() bool { return left == 0 })
}

// undoRest undoes what may stand although the body went on without it. It comes before the pivot, after which nothing
// is undone, and for a plan without one before the end.
func (s *saga) undoRest(ctx workflow.Context) {
	if s.committed {
		return
	}
	if !s.certain(ctx) && !s.forward {
		s.addUnseen()
	}
	s.recordFirst = true // another try may be going on with what is undone here
	s.undoAll(ctx)
	s.recordFirst = false
}

func (s *saga) hasToUndo() bool { return slices.ContainsFunc(s.executions, s.mustUndo) }

// mustUndo tells whether the step's effect may stand although it must not.
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

// outOfTime tells whether an activity ended because of its time limit and not because of an answer.
func outOfTime(err error) bool {
	var activity *temporal.ActivityError
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) || (errors.As(err, &activity) && undecided(err))
}
