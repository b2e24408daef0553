package compensation

import (
	"errors"
	"time"

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
	s.steps++
	e.ended = s.steps
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
	if undecided(err) && !s.pausesTooLong(err, e.limit) {
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
	if s.plan.since(2) {
		s.ready(ctx)
		switch {
		case ctx.Err() != nil:
			e.do = DoNotRun
			return ctx.Err()
		case s.task.expressing >= maxExpressing:
			return errNotTried // their results could be too much for the task
		}
	}
	if err := s.turn(e); err != nil {
		return err
	}
	certain := s.certain(ctx)
	s.task.expressing++
	err := e.express(ctx, e.definition.do, e.doSummary(e.key), e.key, e.in).Get(ctx, e.out)
	s.tick(ctx)
	s.task.expressing--
	if s.plan.since(2) {
		// A worker that was lost after a heartbeat may have begun the call, which is then made again in a later task.
		certain = certain && s.certain(ctx)
		s.task.carried += sizeOf(e.out)
	}
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
	if s.plan.since(2) {
		size := sizeOf(e.in)
		if size > maxResult {
			return s.noteDo(ctx, e, tooLargeToRecord("the input of "+e.key.label(), size), true)
		}
		s.carry(ctx, size)
		if ctx.Err() != nil && e.do == DoRunning && errors.Is(before, errNotTried) {
			e.do = DoNotRun
			return ctx.Err()
		}
	}
	if err := s.turn(e); err != nil {
		return err
	}
	e.do = DoRunning
	s.show(ctx)
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, e.doOptions(e.key, unlimited)),
		functionName(e.definition.do), e.key, e.in).Get(ctx, e.out)
	// The attempt in a refusal proves nothing: `temporal activity reset` counts from 1 again, and a workflow that was
	// reset forgets earlier tries.
	return s.noteDo(ctx, e, err, s.plan.since(2) || !errors.Is(before, errNotTried))
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
	return err != nil && (!errors.As(err, &app) || !app.NonRetryable() || app.Type() == errTypeNotExpress)
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

// pausesTooLong reports whether a participant asked for a longer pause than its step's tries may take together.
func (s *saga) pausesTooLong(err error, limit time.Duration) bool {
	var app *temporal.ApplicationError
	return s.plan.since(2) && limit > 0 && errors.As(err, &app) && app.NextRetryDelay() > limit
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
	if s.plan.since(2) {
		if err := s.prepare(ctx); err != nil {
			e.do, s.pivot = DoNotRun, nil
			return err
		}
	} else {
		s.undoRestOfRevision1(ctx)
	}
	e.expressing = e.isExpress()
	err := s.callPivot(ctx, e)
	if err == nil {
		s.committed = true
		s.reversal = nil // it came too late
		if s.deadline.passed {
			s.overdue(ctx)
		}
		return nil
	}
	s.pivot, s.calling = nil, false
	if s.reversal != nil {
		s.stop()
	}
	return err
}

// prepare undoes what the body went on without, and hears requests to turn back. It returns an error if the saga turns
// back, and then has asked nothing of the pivot's service.
func (s *saga) prepare(ctx workflow.Context) error {
	s.undoRest(ctx)
	if s.reversal == nil && !s.forward {
		s.look(ctx)
	}
	if s.reversal == nil && s.wasReset(ctx) {
		if err := s.askAgain(ctx); err != nil {
			return err
		}
	}
	s.hearDeadline(ctx)
	if s.reversal != nil {
		return temporal.NewCanceledError()
	}
	return nil
}

// turn marks the last moment at which a saga can turn back without asking the pivot's service: when its call begins.
// Its error says that the saga turns back instead.
func (s *saga) turn(e *execution) error {
	if e.kind != Pivot || s.calling || !s.plan.since(2) {
		return nil
	}
	if s.reversal != nil && !s.forward {
		e.do = DoNotRun
		return temporal.NewCanceledError()
	}
	s.calling = true
	return nil
}

func (s *saga) callPivot(ctx workflow.Context, e *execution) error {
	if s.forward {
		return s.insist(ctx, e, PartDo)
	}
	err := s.do(ctx, e)
	if (e.do == DoUnknown || e.doubtful) && s.fence(ctx, e) {
		if e.do == DoMarkedDone {
			return nil
		}
		err = s.insist(ctx, e, PartDo) // the same key gets the first answer again
	}
	return err
}

// outOfTime tells whether an activity ended because of its time limit and not because of an answer.
func outOfTime(err error) bool {
	var activity *temporal.ActivityError
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) || (errors.As(err, &activity) && undecided(err))
}
