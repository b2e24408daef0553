package compensation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
)

// Ended is a saga that Temporal ended from outside: it was terminated, ran out of time, or failed without turning back.
type Ended struct {
	// SagaID is its workflow ID.
	SagaID string `json:"saga_id"`
	// RunID is the run that ended; empty in recoveries that began before this field was added.
	RunID string `json:"run_id,omitempty"`
	// How it ended, for people.
	How string `json:"how"`
	// Started are the steps that its history shows as started, in that order; after a reset also those that the runs
	// before had started. An express step of a lost workflow task is in no history.
	Started []Key `json:"started"`
	// Headers are what came with its start, as in [Status].
	Headers map[string]*commonpb.Payload `json:"headers,omitempty"`
}

// Recovery is what became of the effects of a saga that was ended from outside.
type Recovery struct {
	SagaID string `json:"saga_id"`
	// Undone are the steps whose undo succeeded, in that order. Not all of them need to have been done.
	Undone []Key `json:"undone"`
	// Exceptions are the steps that an operator let stand, or undid by hand.
	Exceptions []Key `json:"exceptions,omitempty"`
	// PastPivot tells that the saga's pivot had happened, so that nothing was undone, and an operator saw to the rest.
	PastPivot bool `json:"past_pivot"`
	// Acts are what operators did.
	Acts []ActRecord `json:"acts,omitempty"`
}

// Recover undoes a saga that was ended from outside, by key, and returns what it undid. It runs in a workflow of its own,
// and takes the same updates as a saga. It may run beside what is left of the saga, and any number of times.
//
// It fences the pivot first. If the pivot turns out to have happened, nothing is undone: Recover parks until an operator
// has seen to what is missing after it and says so with [UpdateMarkDone]. It parks likewise, once everything else is
// undone, if the saga had started steps that the plan does not have any more: an operator undoes those by hand.
//
// A recovery that began at an earlier revision of the engine needs its plan at that revision, see [Plan.AtRevision].
func Recover(ctx workflow.Context, plan *Plan, ended Ended) (Recovery, error) {
	s, err := newSaga(ctx, plan.WithDeadline(0))
	if err != nil {
		return Recovery{}, err
	}
	s.id, s.state, s.turned = ended.SagaID, Compensating, true
	s.cause = "recovers " + ended.SagaID + ": " + ended.How
	s.reason = Reason{Text: "the saga was ended from outside"}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var gone []Key
	if plan.since(2) {
		gone = s.addEnded(ended.Started)
	} else {
		s.addEndedOfRevision1(ended.Started)
	}
	s.publish(ctx)
	r := Recovery{SagaID: ended.SagaID}
	switch {
	case plan.pivot() != nil && s.fence(ctx, s.pivotExecution()), s.startedAfterPivot(ended.Started):
		r.PastPivot = true
		s.finishByHand(ctx, gone)
	case plan.since(2):
		s.undoAll(ctx, never)
		s.undoByHand(ctx, gone)
	default:
		s.undoAllOfRevision1(ctx)
	}
	for _, e := range slices.Backward(s.executions) {
		switch {
		case e.undo == UndoDone, e.undo == UndoPrevented:
			r.Undone = append(r.Undone, e.key)
		case e.undo.over():
			r.Exceptions = append(r.Exceptions, e.key)
		}
	}
	if !r.PastPivot {
		r.Exceptions = append(r.Exceptions, gone...)
	}
	r.Acts = s.acts
	s.end(ctx)
	return r, nil
}

// addEnded notes every step that the ended saga may have started: those that it is known to have started, and each step
// of the plan once more without an item, since no history shows every express try. It returns the steps that the plan no
// longer has.
//
// They are undone as if the saga had run the plan in its order, one group after the other, and within a group in the
// order in which it is known to have started them: nobody knows which of them had ended when another one started.
func (s *saga) addEnded(started []Key) (gone []Key) {
	width := len(started) + 1 // places in a group
	place := -1
	noted := map[Key]bool{}
	for _, k := range started {
		k.Saga = s.id
		if noted[k] {
			continue
		}
		noted[k] = true
		i := s.plan.index(k.Step)
		if i < 0 {
			gone = append(gone, k)
			continue
		}
		e := s.add(k, s.plan.steps[i])
		place = max(place+1, e.group*width)
		e.began, e.ended = place, place+1
	}
	for _, d := range s.plan.steps {
		if k := (Key{Saga: s.id, Step: d.name}); !noted[k] {
			e := s.add(k, d)
			e.began, e.ended = d.group*width, (d.group+1)*width
		}
	}
	return gone
}

// startedAfterPivot reports whether the ended saga is known to have started a step that can only follow a pivot. If so,
// the pivot happened, whatever its service answers for its key in this plan.
func (s *saga) startedAfterPivot(started []Key) bool {
	return s.plan.since(2) && slices.ContainsFunc(started, func(k Key) bool {
		i := s.plan.index(k.Step)
		return i >= 0 && s.plan.steps[i].kind == Retriable
	})
}

// undoByHand parks until an operator has undone the steps that the plan no longer has.
func (s *saga) undoByHand(ctx workflow.Context, gone []Key) {
	if len(gone) == 0 {
		return
	}
	s.leaveToOperator(ctx, &parked{part: PartSaga, byHand: true},
		"the plan does not have these steps any more, which the saga had started: undo them by hand, by key: "+keysOf(gone))
}

// maxKeys limits the keys that a sentence lists.
const maxKeys = 50

// keysOf lists the keys in a sentence.
func keysOf(keys []Key) string {
	texts := make([]string, min(len(keys), maxKeys))
	for i := range texts {
		texts[i] = keys[i].String()
	}
	list := strings.Join(texts, ", ")
	if more := len(keys) - len(texts); more > 0 {
		list += fmt.Sprintf(" and %d more, which are in the saga's history", more)
	}
	return list
}

// finishByHand parks until an operator has seen to what should follow a pivot that happened.
func (s *saga) finishByHand(ctx workflow.Context, gone []Key) {
	var after []string
	for _, d := range s.plan.steps {
		if d.kind == Retriable {
			after = append(after, d.name)
		}
	}
	reason := s.plan.Pivot() + " had happened, so nothing was undone."
	if len(after) > 0 {
		reason += " See to what should follow it and may be missing: " + strings.Join(after, ", ")
	}
	if len(gone) > 0 {
		reason += ". It had also started steps that the plan does not have any more: " + keysOf(gone)
	}
	s.leaveToOperator(ctx, &parked{part: PartSaga, byHand: true}, reason)
}

// ReadEnded reads what [Recover] needs to know of a saga that was ended from outside. ok is false if there is nothing to
// recover: the newest run with that ID still runs, completed, or turned back before it ended; or it failed because it could
// not be a saga (see [ErrTypeNotASaga]).
//
// Runs with one ID have the same keys, so the effects under those keys belong to the newest run. A run that was ended by
// a reset, or was followed by a new one, has nothing to recover. Steps that such runs had started and the newest one
// forgot by the reset are among [Ended.Started].
func ReadEnded(ctx context.Context, c client.Client, workflowID string) (ended Ended, ok bool, err error) {
	desc, err := c.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return Ended{}, false, fmt.Errorf("describe saga %s: %w", workflowID, err)
	}
	info := desc.GetWorkflowExecutionInfo()
	if StateOf(info) != Terminated {
		return Ended{}, false, nil
	}
	run := info.GetExecution().GetRunId()
	events, err := readHistory(ctx, c, workflowID, run)
	if err != nil {
		return Ended{}, false, err
	}
	ended = Ended{SagaID: workflowID, RunID: run, How: "it ended without turning back"}
	if cause := CauseOf(info); cause != "" {
		ended.How = cause
	}
	for _, event := range events {
		if a := event.GetWorkflowExecutionStartedEventAttributes(); a != nil {
			ended.Headers = a.GetHeader().GetFields()
		}
		if how := endOf(event, CauseOf(info)); how != "" {
			ended.How = how
		}
	}
	if ended.Started, err = startedBefore(ctx, c, workflowID, run, events); err != nil {
		return Ended{}, false, err
	}
	return ended, len(ended.Started) > 0 || !neverASaga(events), nil
}

// startedBefore returns the steps that the run with that history had started, and the runs that it was reset from.
func startedBefore(ctx context.Context, c client.Client, workflowID, run string, events []*historypb.HistoryEvent) ([]Key, error) {
	histories := [][]*historypb.HistoryEvent{events}
	seen := map[string]bool{run: true}
	for i := 0; i < len(histories); i++ {
		for _, event := range histories[i] {
			base := event.GetWorkflowTaskFailedEventAttributes().GetBaseRunId()
			if base == "" || seen[base] {
				continue
			}
			seen[base] = true
			before, err := readHistory(ctx, c, workflowID, base)
			if gone := (*serviceerror.NotFound)(nil); errors.As(err, &gone) {
				continue // its retention is over, or somebody deleted it
			}
			if err != nil {
				return nil, err
			}
			histories = append(histories, before)
		}
	}
	var started []Key
	noted := map[Key]bool{}
	for _, events := range slices.Backward(histories) {
		for _, event := range events {
			k, ok := startedBy(event)
			k.Saga = workflowID
			if ok && !noted[k] {
				noted[k] = true
				started = append(started, k)
			}
		}
	}
	return started, nil
}

// startedBy returns the step that the event shows as started. The event of an express step is its outcome, which has the
// step's name in words only; a workflow's own local activity with such a summary is taken for a step.
func startedBy(event *historypb.HistoryEvent) (k Key, ok bool) {
	if id := event.GetActivityTaskScheduledEventAttributes().GetActivityId(); id != "" {
		label, ok := strings.CutSuffix(id, doSuffix)
		k.Step, k.Item, _ = strings.Cut(label, ".")
		return k, ok && stepName.MatchString(k.Step)
	}
	if event.GetMarkerRecordedEventAttributes().GetMarkerName() == localActivityMarker {
		k.Step, ok = unworded(text(event.GetUserMetadata().GetSummary()))
	}
	return k, ok
}

// neverASaga reports whether the history is that of a workflow that failed because it could not be a saga.
func neverASaga(events []*historypb.HistoryEvent) bool {
	return slices.ContainsFunc(events, func(event *historypb.HistoryEvent) bool {
		return event.GetWorkflowExecutionFailedEventAttributes().GetFailure().GetApplicationFailureInfo().GetType() == ErrTypeNotASaga
	})
}

// EndedQuery is the visibility query for sagas of these workflow types that were ended from outside.
func EndedQuery(workflowTypes ...string) string {
	quote := func(values ...string) string {
		for i, v := range values {
			values[i] = fmt.Sprintf("%q", v)
		}
		return strings.Join(values, ", ")
	}
	return fmt.Sprintf("WorkflowType IN (%s) AND ExecutionStatus IN (%s) AND %s IN (%s)",
		quote(slices.Clone(workflowTypes)...),
		quote(enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED.String(), enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT.String(),
			enumspb.WORKFLOW_EXECUTION_STATUS_FAILED.String()),
		SearchAttributeState.GetName(), quote(string(Running), string(Compensating), string(Parked)))
}
