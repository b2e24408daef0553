package compensation

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Run runs body as a saga of the plan. Steps are run with the context that body gets.
//
// If body returns an error before the pivot is done, the saga turns back: what is in flight is canceled and its
// outcome awaited, then every step that was done or may have been done is undone, in reverse order of start. Only then
// does Run return, with a failure that carries the original cause.
//
// The saga can be canceled, by Temporal's own cancel or by [UpdateCancel], until the pivot starts, or until body returns where the
// plan has no pivot. It turns back likewise, and Run returns a [*temporal.CanceledError]. A later cancel has no effect.
// The context that body gets is canceled when the saga is, and never after the pivot.
//
// After the pivot there is no way back: an error from body is a defect in the workflow's code, so Run panics, which
// fails the workflow task until corrected code is deployed and loses nothing.
func Run[R any](ctx workflow.Context, plan *Plan, body func(workflow.Context) (R, error)) (R, error) {
	var none R
	s, sagaCtx, err := newSaga(ctx, plan)
	if err != nil {
		return none, err
	}
	out, err := body(sagaCtx)
	// From here on nothing may stop the saga half way.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := s.finish(ctx, err); err != nil {
		return none, err
	}
	return out, nil
}

// saga is one run of a plan.
type saga struct {
	plan  *Plan
	id    string
	state State
	// executions are the steps that were started, in that order.
	executions []*execution
	// stop cancels the context of everything before the pivot.
	stop workflow.CancelFunc
	// pivot is set from the pivot's start until it is known not to happen.
	pivot     *execution
	committed bool
	// cancel is the request that turns the saga back; nil if there is none.
	cancel *CancelRequest
	cause  string
}

// execution is one step that was started.
type execution struct {
	definition
	key  Key
	do   DoState
	undo UndoState
	// doubtful marks a refusal behind which an earlier try may still have its effect.
	doubtful bool
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

func newSaga(ctx workflow.Context, plan *Plan) (*saga, workflow.Context, error) {
	s := &saga{plan: plan, id: workflow.GetInfo(ctx).WorkflowExecution.ID, state: Running}

	// Not a child of ctx: Temporal's cancel must not reach a saga past its pivot.
	body, _ := workflow.NewDisconnectedContext(ctx)
	body, s.stop = workflow.WithCancel(workflow.WithValue(body, sagaKey{}, s))

	workflow.Go(ctx, func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		s.askToCancel(CancelRequest{By: "Temporal"})
	})
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateCancel,
		func(_ workflow.Context, r CancelRequest) (State, error) {
			s.askToCancel(r)
			if s.cancel != nil {
				return Compensating, nil
			}
			return s.state, nil
		},
		workflow.UpdateHandlerOptions{
			Description: "Turns the saga back: everything that was started is undone. Rejected after the pivot.",
			Validator: func(CancelRequest) error {
				if s.pivot == nil {
					return nil
				}
				return temporal.NewApplicationError(
					fmt.Sprintf("too late to cancel: %s was started, and nothing after it is undone", s.pivot.name), ErrTypeTooLate)
			},
		})
	if err != nil {
		return nil, nil, fmt.Errorf("saga %s: %w", s.id, err)
	}
	s.show(ctx)
	return s, body, nil
}

// askToCancel turns the saga back as soon as it may: at once before the pivot, and when the pivot turns out not to
// happen.
func (s *saga) askToCancel(r CancelRequest) {
	if s.cancel != nil || s.committed || s.state != Running {
		return
	}
	s.cancel = &r
	if s.pivot == nil {
		s.stop()
	}
}

// register notes that the step is about to start, so that it will be undone whatever becomes of it.
func (s *saga) register(ctx workflow.Context, d definition, item string) (*execution, error) {
	i := s.plan.index(d.name)
	if i < 0 {
		panic(fmt.Sprintf("compensation: step %s is not in plan %s", d.name, s.plan.name))
	}
	e := &execution{
		definition: s.plan.steps[i],
		key:        Key{Saga: s.id, Step: d.name, Item: item},
		do:         DoRunning, undo: UndoNone,
	}
	if slices.ContainsFunc(s.executions, func(o *execution) bool { return o.key == e.key }) {
		panic(fmt.Sprintf("compensation: step %s was started twice: give each repeat an item of its own (see Step.For)", e.key.label()))
	}
	if s.state != Running || (s.cancel != nil && s.pivot == nil) {
		return nil, temporal.NewCanceledError()
	}
	s.checkTurn(e)
	if e.kind == Pivot {
		s.pivot = e
	}
	s.executions = append(s.executions, e)
	s.show(ctx)
	return e, nil
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
			if !o.settled {
				panic(fmt.Sprintf("compensation: pivot %s was started while %s was running: wait for its outcome first", e.name, o.key.label()))
			}
		}
	case Retriable:
		if !s.committed {
			panic(fmt.Sprintf("compensation: step %s is retriable but was started before the pivot was done", e.name))
		}
	}
}

func (s *saga) inFlight() bool {
	return slices.ContainsFunc(s.executions, func(e *execution) bool { return !e.settled })
}

// finish brings the saga to its end after its body returned err. ctx is one that no cancel reaches.
func (s *saga) finish(ctx workflow.Context, err error) error {
	if s.pivot != nil {
		// While the pivot runs nobody knows which way the saga goes.
		if err := s.await(ctx); err != nil {
			return err
		}
	}
	if err != nil && s.committed {
		panic(fmt.Sprintf("compensation: the body of %s failed after its pivot %s, when a saga only goes forward: %v", s.plan.name, s.pivot.name, err))
	}
	if err != nil {
		return s.turnBack(ctx, err)
	}
	if err := s.await(ctx); err != nil {
		return err
	}
	if s.cancel != nil {
		return s.turnBack(ctx, nil)
	}
	for _, e := range s.executions {
		// The body did not ask for this outcome; it counts all the same.
		if e.err != nil && !e.seen {
			return s.turnBack(ctx, e.err)
		}
	}
	// The body went on without a step whose effect may stand.
	if err := s.undoAll(ctx); err != nil {
		return err
	}
	s.state = Completed
	s.show(ctx)
	return nil
}

// await waits until every step that was started has an outcome.
func (s *saga) await(ctx workflow.Context) error {
	return workflow.Await(ctx, func() bool { return !s.inFlight() })
}

// turnBack undoes the saga and returns the failure with which it ends.
func (s *saga) turnBack(ctx workflow.Context, cause error) error {
	s.state = Compensating
	if s.cancel != nil {
		s.cause = s.cancel.sentence()
	} else {
		s.cause = plain(cause)
	}
	s.stop()
	if err := s.publish(ctx); err != nil {
		return err
	}
	if err := s.await(ctx); err != nil {
		return err
	}
	if err := s.undoAll(ctx); err != nil {
		return err
	}
	s.state = Compensated
	if err := s.publish(ctx); err != nil {
		return err
	}
	if s.cancel != nil {
		return temporal.NewCanceledError(*s.cancel)
	}
	return failureOf(cause)
}

// publish writes the state of a saga that turned back to where lists and searches find it.
func (s *saga) publish(ctx workflow.Context) error {
	s.show(ctx)
	if s.state == Compensating {
		if err := workflow.UpsertMemo(ctx, map[string]any{MemoCause: s.cause}); err != nil {
			return fmt.Errorf("saga %s: memo %s: %w", s.id, MemoCause, err)
		}
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, SearchAttributeState.ValueSet(string(s.state))); err != nil {
		return fmt.Errorf("saga %s: search attribute %s: %w", s.id, SearchAttributeState.GetName(), err)
	}
	return nil
}

// sentence is the cause of a saga that was canceled.
func (r CancelRequest) sentence() string {
	text := "canceled"
	if r.By != "" {
		text += " by " + r.By
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}
