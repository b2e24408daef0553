package compensation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
)

// Ended is a saga that Temporal ended from outside: it was terminated, ran out of time, or failed without turning back.
type Ended struct {
	// SagaID is its workflow ID.
	SagaID string `json:"saga_id"`
	// How it ended, for people.
	How string `json:"how"`
	// Started are the steps that its history shows as started, in that order.
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
// has seen to what is missing after it and says so with [UpdateMarkDone].
func Recover(ctx workflow.Context, plan *Plan, ended Ended) (Recovery, error) {
	s, err := newSaga(ctx, plan.WithDeadline(0))
	if err != nil {
		return Recovery{}, err
	}
	s.id, s.state, s.turned = ended.SagaID, Compensating, true
	s.cause = "recovers " + ended.SagaID + ": " + ended.How
	s.reason = Reason{Text: "the saga was ended from outside"}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	for _, k := range ended.Started {
		if i := plan.index(k.Step); i >= 0 {
			s.add(Key{Saga: s.id, Step: k.Step, Item: k.Item}, plan.steps[i])
		}
	}
	for _, d := range plan.steps {
		if k := (Key{Saga: s.id, Step: d.name}); s.find(k) == nil && !hasItems(ended.Started, d.name) {
			s.add(k, d)
		}
	}
	s.publish(ctx)
	r := Recovery{SagaID: ended.SagaID}
	if plan.pivot() != nil && s.fence(ctx, s.pivotExecution()) {
		r.PastPivot = true
		s.finishByHand(ctx)
	} else {
		s.undoAll(ctx)
	}
	for _, e := range slices.Backward(s.executions) {
		switch {
		case e.undo == UndoDone, e.undo == UndoPrevented:
			r.Undone = append(r.Undone, e.key)
		case e.undo.over():
			r.Exceptions = append(r.Exceptions, e.key)
		}
	}
	r.Acts = s.acts
	s.end(ctx)
	return r, nil
}

// hasItems tells whether the step ran for items.
func hasItems(started []Key, step string) bool {
	return slices.ContainsFunc(started, func(k Key) bool { return k.Step == step && k.Item != "" })
}

// finishByHand parks until an operator has seen to what should follow a pivot that happened.
func (s *saga) finishByHand(ctx workflow.Context) {
	var after []string
	for _, d := range s.plan.steps {
		if d.kind == Retriable {
			after = append(after, d.name)
		}
	}
	item := &parked{part: PartSaga, byHand: true}
	reason := s.plan.pivot().name + " had happened, so nothing was undone."
	if len(after) > 0 {
		reason += " See to what should follow it and may be missing: " + strings.Join(after, ", ")
	}
	s.park(ctx, item, reason)
	wait(ctx, func() bool { return item.act != nil })
	s.unpark(ctx, item)
	item.act = nil
}

// ReadEnded tells what [Recover] needs to know of a saga that was ended from outside. ok is false if there is nothing to
// recover: it is still running, was continued by another run, or turned back before it ended.
func ReadEnded(ctx context.Context, c client.Client, workflowID string) (ended Ended, ok bool, err error) {
	status, err := ReadStatus(ctx, c, &Plan{}, workflowID)
	if err != nil {
		return Ended{}, false, err
	}
	if status.State != Terminated {
		return Ended{}, false, nil
	}
	ended = Ended{SagaID: workflowID, How: status.Cause, Headers: status.Headers}
	if ended.How == "" {
		ended.How = "it ended without turning back"
	}
	for _, st := range status.Steps {
		if st.Do != DoWaiting && st.Do != DoNotRun {
			ended.Started = append(ended.Started, Key{Saga: workflowID, Step: st.Name, Item: st.Item})
		}
	}
	return ended, true, nil
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
