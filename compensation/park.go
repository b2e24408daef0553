package compensation

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// parked is something that waits for an operator. Until it is parked, it is only being watched.
type parked struct {
	// execution is nil for PartSaga.
	execution *execution
	part      Part
	// reason is why it waits, for people; empty while it does not.
	reason string
	since  time.Time
	// trying is set while it is still tried and goes on by itself if it succeeds.
	trying bool
	// byHand marks what only an operator can finish.
	byHand bool
	// late marks what only the deadline has parked.
	late bool
	// act is an operator's act; nil once it is answered.
	act *operation
}

// operation is an act that was accepted.
type operation struct {
	name string
	Act
	// input is the new input of a retry.
	input  any
	record ActRecord
	// answered is set once the act was carried out, or found to be too late. In the latter case err is the reason.
	answered bool
	err      error
}

// try is a run of a step's Do or Undo beside whoever waits for it.
type try struct {
	stop    workflow.CancelFunc
	settled bool
	// noted is set once the saga has drawn its conclusions from a failure.
	noted bool
	err   error
}

// insist tries a step's Do or Undo until it is done or an operator settles it, express first.
func (s *saga) insist(ctx workflow.Context, e *execution, part Part) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if part == PartUndo {
		return s.insistAfter(ctx, e, part, s.undoExpress(ctx, e))
	}
	return s.insistAfter(ctx, e, part, s.doExpress(ctx, e))
}

// insistAfter is insist when the express tries ended with this error.
func (s *saga) insistAfter(ctx workflow.Context, e *execution, part Part, err error) error {
	if err == nil {
		return nil
	}
	item := &parked{execution: e, part: part}
	if !undecided(err) {
		return s.persist(ctx, item, &try{settled: true, err: err}, false)
	}
	unlimited := part == PartDo
	if !unlimited && s.pausesTooLong(err, e.undoLimit) {
		s.park(ctx, item, "not done within its limit: "+plain(err))
		unlimited = true
	}
	return s.persist(ctx, item, s.start(ctx, item, err, unlimited), unlimited)
}

// persist goes on from a try until the item is done or an operator settles it. What may still succeed is tried without
// end; what was refused, or takes longer than its limit, parks the saga.
//
// The error is nil, but for a step before the pivot that does not become done (see [ParkUnknown]).
func (s *saga) persist(ctx workflow.Context, item *parked, t *try, unlimited bool) error {
	e, part := item.execution, item.part
	mayGiveUp := part == PartDo && e.kind == Compensatable && !s.forward
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	defer s.settle(ctx, item)
	for {
		wait(ctx, func() bool {
			return (t.settled && !t.noted) || item.act != nil || (mayGiveUp && s.reversal != nil) ||
				(part == PartDo && item.reason == "" && s.isOverdue())
		})
		switch {
		case t.settled && t.err == nil:
			return nil
		case item.act != nil:
			s.abandon(ctx, t)
			if t.err == nil {
				return nil // it was done meanwhile
			}
			if s.carryOut(ctx, item) {
				return nil
			}
			if !mayGiveUp || s.reversal == nil {
				unlimited = part == PartDo && (!mayGiveUp || !s.plan.since(2))
				t = s.start(ctx, item, t.err, unlimited)
			}
		case mayGiveUp && (s.reversal != nil || (t.settled && e.do == DoRefused)):
			s.abandon(ctx, t)
			return t.err
		case t.settled && outOfTime(t.err) && !unlimited:
			s.park(ctx, item, "not done within its limit: "+plain(t.err))
			unlimited = true
			t = s.start(ctx, item, t.err, unlimited)
		case t.settled:
			t.noted, item.trying = true, false
			s.park(ctx, item, plain(t.err))
		default:
			item.late = true
			s.park(ctx, item, "not done by the saga's deadline")
		}
	}
}

// start begins a try as an ordinary activity. before is the outcome of the tries before.
func (s *saga) start(ctx workflow.Context, item *parked, before error, unlimited bool) *try {
	t := &try{}
	ctx, t.stop = workflow.WithCancel(ctx)
	item.trying = true
	run := s.doDurable
	if item.part == PartUndo {
		run = s.undoDurable
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		t.err = run(ctx, item.execution, before, unlimited)
		t.settled = true
	})
	return t
}

// abandon ends a try, and waits for its outcome.
func (s *saga) abandon(ctx workflow.Context, t *try) {
	if t.stop != nil {
		t.stop()
	}
	wait(ctx, func() bool { return t.settled })
}

// carryOut does what the operator wants. over tells that nothing is left to try.
func (s *saga) carryOut(ctx workflow.Context, item *parked) (over bool) {
	e, op := item.execution, item.act
	defer func() {
		s.answer(item, nil)
		s.unpark(ctx, item)
	}()
	switch op.name {
	case UpdateSkip:
		if item.part == PartUndo {
			e.undo, s.exceptions = UndoSkipped, true
			return true
		}
		e.do = DoSkipped
		return true
	case UpdateMarkPrevented:
		e.undo = UndoMarkedDone
		return true
	case UpdateMarkHappened:
		e.do, e.undo, e.given = DoMarkedDone, UndoNone, op.Result
		if len(op.Result) > 0 && e.out != nil {
			s.readResult(e, op.Result)
		}
		s.committed = true
		return true
	case UpdateMarkDone:
		if item.part == PartUndo {
			e.undo = UndoMarkedDone
			return true
		}
		e.do = DoMarkedDone
		if len(op.Result) > 0 {
			s.readResult(e, op.Result)
		}
		return true
	case UpdateRetryWithInput:
		e.in = op.input
	case UpdateCompensate:
		s.askToTurnBack(reversal{cancel: &CancelRequest{By: op.By, Reason: op.Reason}})
	}
	return false
}

// readResult reads an operator's result.
func (s *saga) readResult(e *execution, text json.RawMessage) {
	if err := e.readOut(text, e.out); err != nil {
		panic(fmt.Sprintf("compensation: result of %s: it was checked when the update came: %v", e.key.label(), err))
	}
}

// stuck parks a saga whose pivot is known to have happened, but whose body ended without it.
func (s *saga) stuck(ctx workflow.Context, cause error) {
	reason := s.plan.pivot().name + " happened in a try whose record was lost, but now the saga ends without it"
	if cause != nil {
		reason += ": " + plain(cause)
	}
	s.leaveToOperator(ctx, &parked{part: PartSaga}, reason)
}

// leaveToOperator parks the saga until an operator has handled the item.
func (s *saga) leaveToOperator(ctx workflow.Context, item *parked, reason string) {
	s.park(ctx, item, reason)
	wait(ctx, func() bool { return item.act != nil })
	s.answer(item, nil)
	s.settle(ctx, item)
}

// park puts the item on the list of what waits for an operator.
func (s *saga) park(ctx workflow.Context, item *parked, reason string) {
	item.reason = reason
	item.late = item.late && item.trying
	if item.since.IsZero() {
		item.since = workflow.Now(ctx)
	}
	if item.execution != nil {
		item.execution.expressing = false
	}
	if !slices.Contains(s.parked, item) {
		s.parked = append(s.parked, item)
	}
	// Not why: a service's words may name people.
	about := []any{"saga", s.id, "part", string(item.part)}
	if item.execution != nil {
		about = append(about, "step", item.execution.key.Step)
	}
	workflow.GetLogger(ctx).Error("saga is parked", about...)
	s.publishParked(ctx)
}

// unpark takes the item from the list.
func (s *saga) unpark(ctx workflow.Context, item *parked) {
	i := slices.Index(s.parked, item)
	if i < 0 {
		return
	}
	item.reason, item.since, item.late = "", time.Time{}, false
	s.parked = slices.Delete(s.parked, i, i+1)
	s.publishParked(ctx)
}

// settle takes the item off the list for good. An act about it that has come meanwhile is too late.
func (s *saga) settle(ctx workflow.Context, item *parked) {
	s.unpark(ctx, item)
	if op := item.act; op != nil && op.name == UpdateRetry {
		s.answer(item, nil) // what it asks for has happened
	} else if op != nil {
		s.answer(item, actFailure(op.name, fmt.Errorf("too late: %s was settled before", item.label())))
	}
}

// answer ends the act about the item.
func (s *saga) answer(item *parked, err error) {
	op := item.act
	if err == nil {
		s.acts = append(s.acts, op.record)
	}
	op.answered, op.err = true, err
	item.act = nil
}

func (s *saga) isParked(e *execution) bool {
	return slices.ContainsFunc(s.parked, func(p *parked) bool { return p.execution == e })
}

// isOverdue tells whether the saga is past its deadline and nobody has extended it.
func (s *saga) isOverdue() bool { return s.deadline.passed && (s.committed || s.forward) }

// shown is the saga's state as others see it.
func (s *saga) shown() State {
	if len(s.parked) > 0 {
		return Parked
	}
	return s.state
}

// shownStep is the step that the saga's state is about; empty if none is.
func (s *saga) shownStep() string {
	for _, p := range s.parked {
		if p.execution != nil {
			return p.execution.key.Step
		}
	}
	return s.turnedBackBy
}

// publish writes the saga's state to where lists and searches find it.
func (s *saga) publish(ctx workflow.Context) {
	s.show(ctx)
	if s.published != s.cause {
		s.upsertMemo(ctx, map[string]any{MemoCause: s.cause})
		s.published = s.cause
	}
	s.unpublished = false
	s.upsertState(ctx)
}

// publishLater publishes the state when the saga waits for something that is not express. Most sagas that turn back come
// to their end before that, and nobody could have seen the state between.
func (s *saga) publishLater(ctx workflow.Context) {
	s.show(ctx)
	s.unpublished = true
	slow := slices.ContainsFunc(s.executions, func(e *execution) bool { return !e.settled && !e.expressing })
	if slow || !s.plan.hasExpress() {
		s.publish(ctx)
	}
}

// flush publishes what was left for later.
func (s *saga) flush(ctx workflow.Context) {
	if s.unpublished {
		s.publish(ctx)
	}
}

// publishParked writes what is parked to where lists and searches find it.
func (s *saga) publishParked(ctx workflow.Context) {
	s.show(ctx)
	// Temporal terminates a workflow whose memo has more than 2 MiB.
	items := make([]ParkedStep, min(len(s.parked), maxListed))
	for i, p := range s.parked[:len(items)] {
		items[i] = ParkedStep{Part: p.part, Reason: shortened(p.reason, maxText/(1+len(items)/100)), Since: p.since.UTC(), Trying: p.trying}
		if p.execution != nil {
			items[i].Step, items[i].Item = p.execution.key.Step, p.execution.key.Item
		}
	}
	if s.unpublished {
		s.upsertMemo(ctx, map[string]any{MemoCause: s.cause})
		s.published, s.unpublished = s.cause, false
	}
	s.upsertMemo(ctx, map[string]any{MemoParked: items})
	since := SearchAttributeParkedSince.ValueUnset()
	if len(items) > 0 {
		since = SearchAttributeParkedSince.ValueSet(items[0].Since)
	}
	s.upsertState(ctx, since)
}

func (s *saga) upsertMemo(ctx workflow.Context, memo map[string]any) {
	if err := workflow.UpsertMemo(ctx, memo); err != nil {
		panic(fmt.Sprintf("compensation: saga %s: memo: %v", s.id, err))
	}
}

// upsertState writes the state, with the step that it is about and what else is to be written.
func (s *saga) upsertState(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) {
	updates = append(updates, SearchAttributeState.ValueSet(string(s.shown())))
	step := s.shownStep()
	switch {
	case step != "":
		updates = append(updates, SearchAttributeStep.ValueSet(step))
	case s.publishedStep != "":
		updates = append(updates, SearchAttributeStep.ValueUnset())
	}
	s.publishedStep = step
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		panic(fmt.Sprintf("compensation: saga %s: search attributes: %v", s.id, err))
	}
}
