package compensation

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Run runs body as a saga of the plan. Steps are run with the context that body gets.
//
// If body returns an error before the pivot is done, the saga turns back: what is in flight is canceled and its
// outcome awaited, the pivot is fenced, then every step that was done or may have been done is undone, in reverse order
// of start. Only then does Run return, with a failure that carries the original cause.
//
// The saga can be canceled, by Temporal's own cancel or by [UpdateCancel], until the pivot starts, or until body returns
// where the plan has no pivot. It turns back likewise, and Run returns a [*temporal.CanceledError]. A later cancel has no
// effect. The context that body gets is canceled when the saga is, and never after the pivot.
//
// A saga that turns back may find that its pivot happened in a try whose record was lost. Then it goes forward: Run
// calls body once more, with a context of its own. Steps that are done are not run again, and Run returns their
// first outcome; the others are tried without limit. So body keeps what it needs in its own variables, or in what
// updates have set.
//
// After the pivot there is no way back: an error from body is a defect in the workflow's code, so Run panics, which
// fails the workflow task until corrected code is deployed and loses nothing.
func Run[R any](ctx workflow.Context, plan *Plan, body func(workflow.Context) (R, error)) (R, error) {
	var none R
	s, err := newSaga(ctx, plan)
	if err != nil {
		return none, err
	}
	// Temporal's cancel must not reach a saga past its pivot, nor stop one half way back.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	for {
		out, err := body(s.bodyContext(ctx))
		if size := sizeOf(out); s.plan.since(2) && err == nil && size > maxResult {
			err = tooLargeToRecord("the result of "+s.plan.name, size)
		}
		again, err := s.finish(ctx, err)
		switch {
		case again:
		case err != nil:
			return none, err
		default:
			return out, nil
		}
	}
}

// saga is one run of a plan.
type saga struct {
	plan *Plan
	id   string
	// state is where the saga stands, but for Parked (see [saga.shown]).
	state State
	// run counts the calls of body.
	run int
	// executions are the steps that were started, in that order; after them those that only other tries may have started.
	executions []*execution
	// stop cancels the context of everything before the pivot.
	stop workflow.CancelFunc
	// pivot is set from the pivot's start until it is known not to happen, calling once its service may have been called.
	pivot     *execution
	calling   bool
	committed bool
	// forward is set when the pivot was found done by a try whose record was lost.
	forward bool
	// turned is set once nothing can turn the saga forward again.
	turned bool
	// closed is set once the body has returned: a step that one of its coroutines starts then does not run.
	closed bool
	// canceling is set while a cancel waits to learn whether it came in time.
	canceling bool
	// reversal is what turns the saga back; nil if nothing does.
	reversal *reversal
	// cause is why the saga turned back, for people, and turnedBackBy the step because of which it did; empty if none is.
	cause        string
	turnedBackBy string
	// reason is the reason for turning back that participants get.
	reason Reason
	// published is the cause that lists show, and unpublished tells that they do not show the state yet.
	published   string
	unpublished bool
	// publishedStep is the step that lists show.
	publishedStep string
	// recordFirst makes the next undo an ordinary activity, in sagas of revision 1.
	recordFirst bool
	// reset is set once the run is known to continue another one from an earlier point.
	reset bool
	// resetAt is when that was found out, and asked is set once the steps that were done are asked for again because of it.
	resetAt time.Time
	asked   bool
	// steps counts the starts and the ends of steps.
	steps int
	// exceptions is set when an undo was skipped.
	exceptions bool

	host     *host
	task     task
	deadline deadline
	parked   []*parked
	acts     []ActRecord
	// taken counts the acts that were accepted and have not turned out to be too late.
	taken int
}

// reversal is why a saga turns back although its body did not ask for it.
type reversal struct {
	// cancel is who asked for it; nil if nobody did.
	cancel *CancelRequest
	// err is the failure with which the saga ends then.
	err error
}

// execution is one step that was started.
type execution struct {
	definition
	key Key
	// in is the input, out a pointer to the result.
	in, out any
	do      DoState
	undo    UndoState
	// run is the call of body that started it last.
	run int
	// expressing is set from the step's start until it is not express any more.
	expressing bool
	// unseen marks a step that this try did not start, but another one may have.
	unseen bool
	// began and ended are the counts of steps at its start and when it was settled.
	began, ended int
	// undoing is set while its undo is under way, begun once the undo has requested its activity.
	undoing, begun bool
	// given is the operator's result for a pivot that this try did not start.
	given json.RawMessage
	// doubtful marks a refusal behind which an earlier try may still have its effect.
	doubtful bool
	// doEnded is the time at which the last try of Do ended; zero if this saga made no try.
	doEnded time.Time
	// settled is set once err is final. Until then the step is in flight, also while it rests between tries or its undo
	// decides about it.
	settled bool
	err     error
	// seen is set once the body has taken the outcome.
	seen bool
}

type sagaKey struct{}

// sagaOf is the saga that ctx belongs to.
func sagaOf(ctx workflow.Context, step string) *saga {
	s, ok := ctx.Value(sagaKey{}).(*saga)
	if !ok {
		panic(fmt.Sprintf("compensation: step %s: its context is not that of a saga's body (see compensation.Run)", step))
	}
	return s
}

func newSaga(ctx workflow.Context, plan *Plan) (*saga, error) {
	s := &saga{plan: plan, id: workflow.GetInfo(ctx).WorkflowExecution.ID, state: Running, stop: func() {}, host: hostOf(ctx)}
	if err := s.host.enter(ctx, s); err != nil {
		return nil, err
	}
	s.tick(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		s.askToTurnBack(reversal{cancel: &CancelRequest{By: "Temporal"}})
	})
	if err := s.handleCancel(ctx); err != nil {
		return nil, err
	}
	if err := s.handleActs(ctx); err != nil {
		return nil, err
	}
	s.startDeadline(ctx)
	s.show(ctx)
	return s, nil
}

// bodyContext is the context of the next call of body.
func (s *saga) bodyContext(ctx workflow.Context) workflow.Context {
	s.run++
	s.closed = false
	ctx, s.stop = workflow.WithCancel(workflow.WithValue(ctx, sagaKey{}, s))
	if s.reversal != nil {
		s.stop() // it came before the body
	}
	return ctx
}

// register notes that the step is about to start, so that it will be undone whatever becomes of it. One that an earlier
// call of body brought to its end comes back settled.
func (s *saga) register(ctx workflow.Context, name, item string) (*execution, error) {
	i := s.plan.index(name)
	if i < 0 {
		panic(fmt.Sprintf("compensation: step %s is not in plan %s", name, s.plan.name))
	}
	if d := s.plan.steps[i]; item != "" && s.plan.since(2) {
		switch {
		case d.kind == Pivot:
			panic(fmt.Sprintf("compensation: pivot %s runs for an item: whether it happened is asked for the step as a whole", name))
		case d.kind == Compensatable && !d.repeats:
			panic(fmt.Sprintf("compensation: step %s runs for an item, which its declaration does not say: set Repeats", name))
		}
	}
	key := Key{Saga: s.id, Step: name, Item: item}
	e := s.find(key)
	if e != nil && e.run == s.run {
		panic(fmt.Sprintf("compensation: step %s was started twice: give each repeat an item of its own (see Step.For)", key.label()))
	}
	s.hearDeadline(ctx)
	if s.state != Running || s.closed || (s.reversal != nil && !s.pastTurning()) {
		return nil, temporal.NewCanceledError()
	}
	switch {
	case e == nil:
		e = s.add(key, s.plan.steps[i])
	case e.settled && (e.do.stands() || e.undo.over() || e.undoing):
		e.run = s.run
		if s.plan.since(2) && e.err == nil && !e.do.stands() {
			e.err = &StepError{Key: key, Outcome: DoRefused, cause: temporal.NewNonRetryableApplicationError(
				"it was undone before it was started", ErrTypeRefused, nil)}
		}
		return e, nil
	}
	s.checkTurn(e)
	s.tick(ctx)
	s.steps++
	e.began = s.steps
	e.run, e.unseen, e.settled, e.seen = s.run, false, false, false
	e.do, e.undo = DoRunning, UndoNone
	e.expressing = e.isExpress()
	if e.kind == Pivot {
		s.pivot = e
	}
	return e, nil
}

func (s *saga) find(k Key) *execution {
	i := slices.IndexFunc(s.executions, func(e *execution) bool { return e.key == k })
	if i < 0 {
		return nil
	}
	return s.executions[i]
}

// add notes a step that this try has not started (yet).
func (s *saga) add(k Key, d definition) *execution {
	e := &execution{definition: d, key: k, do: DoNotRun, undo: UndoNone, unseen: true, settled: true}
	s.executions = append(s.executions, e)
	return e
}

// checkTurn panics if a step of this kind must not start now: that is a defect in the workflow's code.
func (s *saga) checkTurn(e *execution) {
	switch e.kind {
	case Compensatable:
		if s.pivot != nil {
			panic(fmt.Sprintf("compensation: step %s is compensatable but was started after the pivot %s", e.name, s.pivot.name))
		}
	case Pivot:
		for _, o := range s.executions {
			if o != e && !o.settled {
				panic(fmt.Sprintf("compensation: pivot %s was started while %s was running: wait for its outcome first", e.name, o.key.label()))
			}
		}
	case Retriable:
		if !s.committed {
			panic(fmt.Sprintf("compensation: step %s is retriable but was started before the pivot was done", e.name))
		}
	}
}

// finish brings the saga to its end after its body returned err. again asks for another call of body.
func (s *saga) finish(ctx workflow.Context, err error) (again bool, _ error) {
	if s.pivot != nil {
		s.await(ctx) // while the pivot runs nobody knows which way the saga goes
	}
	if err == nil {
		s.await(ctx)
		s.closed = s.plan.since(2)
		if !s.committed && !s.forward {
			s.hearDeadline(ctx)
			if s.reversal == nil && s.wasReset(ctx) {
				err = s.askAgain(ctx)
			}
		}
		if err == nil && s.reversal == nil {
			err = s.overlooked()
		}
	}
	pastPivot := s.committed || s.forward
	switch {
	case s.forward && (err != nil || !s.committed):
		s.stuck(ctx, err)
		return true, nil
	case err != nil && pastPivot:
		panic(fmt.Sprintf("compensation: the body of %s failed after its pivot %s, when a saga only goes forward: %v", s.plan.name, s.pivot.name, err))
	case err != nil || (s.reversal != nil && !pastPivot):
		return s.turnBack(ctx, err)
	}
	if s.needsFence(ctx) && !s.certain(ctx) && s.fence(ctx, s.pivotExecution()) {
		s.goForward(ctx) // the body went on without the pivot, but another try did not
		return true, nil
	}
	if s.plan.pivotRequired && !s.committed && s.reversal == nil {
		panic(fmt.Sprintf("compensation: the body of %s returned without its pivot %s, which its plan requires", s.plan.name, s.plan.Pivot()))
	}
	if s.plan.since(2) {
		s.undoUnseen(ctx)
	} else {
		s.undoRestOfRevision1(ctx)
	}
	if s.reversal != nil && !s.committed {
		return s.turnBack(ctx, nil)
	}
	s.state = Completed
	s.end(ctx)
	return false, nil
}

// overlooked is the failure of a step whose outcome the body did not ask for. It counts all the same.
func (s *saga) overlooked() error {
	for _, e := range s.executions {
		if e.err != nil && !e.seen && e.run == s.run {
			return e.err
		}
	}
	return nil
}

func (s *saga) inFlight() bool {
	return slices.ContainsFunc(s.executions, func(e *execution) bool { return !e.settled })
}

// await waits until every step that was started has an outcome.
func (s *saga) await(ctx workflow.Context) {
	wait(ctx, func() bool { return !s.inFlight() })
}

// wait waits in a context that nothing cancels.
func wait(ctx workflow.Context, condition func() bool) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(ctx, condition); err != nil {
		panic(fmt.Sprintf("compensation: a context that nothing cancels was canceled: %v", err))
	}
}

// sentence is why the saga turns back, for people.
func (r *reversal) sentence() string {
	if r.cancel == nil {
		return plain(r.err)
	}
	text := "canceled"
	if r.cancel.By != "" {
		text += " by " + r.cancel.By
	}
	if r.cancel.Reason != "" {
		text += ": " + r.cancel.Reason
	}
	return text
}
