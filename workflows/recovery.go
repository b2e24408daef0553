package workflows

import (
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
)

// sagas is for its method names only, as the participants are.
var sagas *activities.Sagas

// RecoverInput starts RecoverSaga.
type RecoverInput struct {
	// Type is the saga's workflow type.
	Type  string             `json:"type"`
	Ended compensation.Ended `json:"ended"`
}

// StartHeaders are those of the saga that is recovered: tracing goes on in its trace.
func (in RecoverInput) StartHeaders() map[string]*commonpb.Payload { return in.Ended.Headers }

// RecoverSaga undoes what a saga left behind that was ended from outside.
func RecoverSaga(ctx workflow.Context, in RecoverInput) (compensation.Recovery, error) {
	for _, plan := range Plans() {
		if plan.Name() == in.Type {
			return compensation.Recover(ctx, plan, in.Ended)
		}
	}
	return compensation.Recovery{}, fmt.Errorf("recover %s: %s is no saga's type", in.Ended.SagaID, in.Type)
}

// SweepInput starts SweepSagas.
type SweepInput struct {
	// Lookback is how long ago a saga may have ended. It should be shorter than the namespace keeps ended workflows: a
	// recovery whose record is gone would run once more, to no effect. Default [DefaultSweepLookback].
	Lookback time.Duration `json:"lookback,omitempty"`
}

// maxRecoveries bounds what one sweep starts, and with it its history. The next one goes on.
const maxRecoveries = 500

// Sweep is what SweepSagas did.
type Sweep struct {
	// Found is how many sagas were ended from outside within the lookback, as far as this sweep came.
	Found int `json:"found"`
	// Started are the sagas whose recovery this sweep started.
	Started []string `json:"started,omitempty"`
	// Known counts those whose recovery an earlier sweep started.
	Known int `json:"known"`
	// NothingToDo counts those that have another run, or none any more.
	NothingToDo int `json:"nothing_to_do"`
}

// SweepSagas finds the sagas that were terminated, timed out or failed without turning back, and starts a recovery for
// each that has none. It may run any number of times.
func SweepSagas(ctx workflow.Context, in SweepInput) (Sweep, error) {
	if in.Lookback <= 0 {
		in.Lookback = DefaultSweepLookback
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 5}, // the next sweep comes soon
	})
	find := activities.FindEnded{Since: workflow.Now(ctx).Add(-in.Lookback), RecoveryPrefix: RecoveryWorkflowID("")}
	for _, plan := range Plans() {
		find.Types = append(find.Types, plan.Name())
	}
	var sweep Sweep
	for {
		var page activities.EndedPage
		if err := workflow.ExecuteActivity(ctx, sagas.FindEnded, find).Get(ctx, &page); err != nil {
			return sweep, err
		}
		sweep.Found += len(page.IDs) + page.Known
		sweep.Known += page.Known
		for _, id := range page.IDs {
			if err := sweep.recover(ctx, id, page.Types[id]); err != nil {
				return sweep, err
			}
		}
		find.PageToken = page.PageToken
		if len(find.PageToken) == 0 || len(sweep.Started) >= maxRecoveries {
			return sweep, nil
		}
	}
}

// recover starts the recovery of the saga, unless it has one.
func (s *Sweep) recover(ctx workflow.Context, id, sagaType string) error {
	var ended activities.EndedSaga
	if err := workflow.ExecuteActivity(ctx, sagas.ReadEnded, id).Get(ctx, &ended); err != nil {
		return err
	}
	if !ended.Recover {
		s.NothingToDo++
		return nil
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            RecoveryWorkflowID(id),
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		TypedSearchAttributes: temporal.NewSearchAttributes(compensation.SearchAttributeState.ValueSet(string(compensation.Compensating))),
		StaticSummary:         "recovery of " + compensation.EscapeMarkdown(id),
	})
	err := workflow.ExecuteChildWorkflow(ctx, TypeRecoverSaga, RecoverInput{Type: sagaType, Ended: ended.Ended}).
		GetChildWorkflowExecution().Get(ctx, nil)
	switch {
	case err == nil:
		s.Started = append(s.Started, id)
	case temporal.IsWorkflowExecutionAlreadyStartedError(err):
		s.Known++
	default:
		return err
	}
	return nil
}
