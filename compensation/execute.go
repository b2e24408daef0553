package compensation

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// The pauses between tries of what must succeed but failed for good, such as an undo that the service refuses. They
// leave time for a person to mend the cause.
const (
	firstPause = time.Minute
	lastPause  = time.Hour
)

// execute runs a registered step to its outcome. out is where the result goes.
func (s *saga) execute(ctx workflow.Context, e *execution, in, out any) error {
	switch e.kind {
	case Compensatable:
		e.err = s.do(ctx, e, in, out, false)
	case Pivot:
		e.err = s.commit(ctx, e, in, out)
	case Retriable:
		e.err = s.insist(ctx, func(ctx workflow.Context) error { return s.do(ctx, e, in, out, true) })
	}
	e.settled = true
	return e.err
}

// do runs Do as an activity and notes the outcome.
func (s *saga) do(ctx workflow.Context, e *execution, in, out any, unlimited bool) error {
	e.do = DoRunning
	s.show(ctx)
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, e.doOptions(e.key, unlimited)), e.definition.do, e.key, in).Get(ctx, out)
	e.do, e.doubtful = outcomeOf(err)
	s.show(ctx)
	if err != nil {
		return &StepError{Key: e.key, Outcome: e.do, cause: err}
	}
	return nil
}

// outcomeOf is what an activity's failure says of its effect. A refusal is doubtful unless it answers the first try:
// an earlier one may still be on its way.
func outcomeOf(err error) (outcome DoState, doubtful bool) {
	if err == nil {
		return DoDone, false
	}
	var activity *temporal.ActivityError
	if !errors.As(err, &activity) {
		return DoUnknown, false
	}
	// Only the activity's own, outermost failure counts: a timeout that quotes a refusal is no refusal.
	app, ok := activity.Unwrap().(*temporal.ApplicationError) //nolint:errorlint // just this one, not what it wraps
	if !ok || app.Type() != ErrTypeRefused {
		return DoUnknown, false
	}
	refusal, ok := refusalOf(app)
	return DoRefused, !ok || refusal.Attempt != 1
}

// commit runs the pivot. If its outcome stays unknown, its undo decides: either the pivot can never happen any more, and
// the saga may turn back, or it did happen, and the saga goes forward.
func (s *saga) commit(ctx workflow.Context, e *execution, in, out any) error {
	err := s.do(ctx, e, in, out, false)
	if e.do == DoUnknown || e.doubtful {
		happened, fenceErr := s.fence(ctx, e)
		if fenceErr != nil {
			return fenceErr
		}
		if happened {
			// The same key gets the first answer again.
			err = s.insist(ctx, func(ctx workflow.Context) error { return s.do(ctx, e, in, out, true) })
		}
	}
	if err == nil {
		s.committed = true
		s.cancel = nil // it came too late
		return nil
	}
	s.pivot = nil
	if s.cancel != nil {
		s.stop()
	}
	return err
}

// fence makes sure that the pivot never happens, or finds that it did.
func (s *saga) fence(ctx workflow.Context, e *execution) (happened bool, err error) {
	err = s.insist(ctx, func(ctx workflow.Context) error {
		err := s.undo(ctx, e)
		if typeOf(err) == ErrTypeIrreversible {
			happened = true
			e.undo = UndoNone
			return nil
		}
		return err
	})
	return happened, err
}

// insist calls f until it succeeds, with growing pauses. Nothing cancels it; the error is the pause's only.
func (s *saga) insist(ctx workflow.Context, f func(workflow.Context) error) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := f(ctx)
		if err == nil {
			return nil
		}
		workflow.GetLogger(ctx).Error("failed for good, and is tried again after a pause", "saga", s.id, "pause", pause, "error", err)
		if err := rest(ctx, pause); err != nil {
			return err
		}
	}
}

func rest(ctx workflow.Context, pause time.Duration) error {
	return workflow.NewTimerWithOptions(ctx, pause, workflow.TimerOptions{
		Summary: "pause before what was refused is tried again",
	}).Get(ctx, nil)
}

// undo runs Undo as an activity and notes the outcome.
func (s *saga) undo(ctx workflow.Context, e *execution) error {
	e.undo = UndoRunning
	s.show(ctx)
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, e.undoOptions(e.key)), e.definition.undo, e.key).Get(ctx, nil)
	e.undo = UndoDone
	if err != nil {
		e.undo = UndoFailed
		err = fmt.Errorf("undo of %s: %w", e.key.label(), err)
	}
	s.show(ctx)
	return err
}

// undoAll undoes what may stand, in reverse order of start. It goes past an undo that fails for good and comes back to
// it after a pause, until nothing is left.
func (s *saga) undoAll(ctx workflow.Context) error {
	return s.insist(ctx, func(ctx workflow.Context) error {
		var errs []error
		for i := len(s.executions) - 1; i >= 0; i-- {
			if e := s.executions[i]; s.mustUndo(e) {
				errs = append(errs, s.undo(ctx, e))
			}
		}
		return errors.Join(errs...)
	})
}

// mustUndo tells whether the step's effect may stand although it must not.
func (s *saga) mustUndo(e *execution) bool {
	if e.kind != Compensatable || e.undo == UndoDone {
		return false
	}
	switch e.do {
	case DoDone:
		return s.state == Compensating
	case DoUnknown:
		return true
	case DoRefused:
		return e.doubtful
	case DoWaiting, DoRunning, DoNotRun:
		return false
	}
	return false
}
