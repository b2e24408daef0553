package compensation

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// ReadStatus tells how the saga with that workflow ID stands, from its history alone: it needs no worker, and works
// for sagas that ended. The plan says which steps there are. An unknown ID is a
// [go.temporal.io/api/serviceerror.NotFound].
func ReadStatus(ctx context.Context, c client.Client, plan *Plan, workflowID string) (Status, error) {
	// The description first: then the history is at least as new, and no step of an ended saga seems to run.
	desc, err := c.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return Status{}, fmt.Errorf("describe saga %s: %w", workflowID, err)
	}
	return ReadDescribed(ctx, c, plan, desc)
}

// ReadDescribed is ReadStatus for who has asked for the workflow's description already.
func ReadDescribed(ctx context.Context, c client.Client, plan *Plan, desc *workflowservice.DescribeWorkflowExecutionResponse) (Status, error) {
	workflow := desc.GetWorkflowExecutionInfo().GetExecution()
	var events []*historypb.HistoryEvent
	it := c.GetWorkflowHistory(ctx, workflow.GetWorkflowId(), workflow.GetRunId(), false,
		enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		if err != nil {
			return Status{}, fmt.Errorf("read history of saga %s: %w", workflow.GetWorkflowId(), err)
		}
		events = append(events, event)
	}
	return project(plan, desc, events), nil
}

// StateOf is the state of a saga as lists of workflows show it.
func StateOf(info *workflowpb.WorkflowExecutionInfo) State {
	attribute := State(text(info.GetSearchAttributes().GetIndexedFields()[SearchAttributeState.GetName()]))
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return Completed
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		if attribute == Compensated || attribute == CompensatedWithExceptions {
			return attribute
		}
		return Terminated
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return Terminated
	default:
		if attribute == "" {
			return Running
		}
		return attribute
	}
}

// CauseOf is why a saga turned back, as lists of workflows show it; empty if it did not.
func CauseOf(info *workflowpb.WorkflowExecutionInfo) string {
	return text(info.GetMemo().GetFields()[MemoCause])
}

// StepOf is the step that a saga's state is about, as lists of workflows show it (see [SearchAttributeStep]); empty if
// none is.
func StepOf(info *workflowpb.WorkflowExecutionInfo) string {
	return text(info.GetSearchAttributes().GetIndexedFields()[SearchAttributeStep.GetName()])
}

// ParkedSinceOf is since when a saga is parked, as lists of workflows show it; zero if it is not.
func ParkedSinceOf(info *workflowpb.WorkflowExecutionInfo) time.Time {
	var since time.Time
	p := info.GetSearchAttributes().GetIndexedFields()[SearchAttributeParkedSince.GetName()]
	if StateOf(info) != Parked || p == nil || converter.GetDefaultDataConverter().FromPayload(p, &since) != nil {
		return time.Time{}
	}
	return since
}

// failureText is a recorded failure in words for people.
func failureText(f *failurepb.Failure) string {
	return plain(temporal.GetDefaultFailureConverter().FailureToError(f))
}

// text is a payload that holds a string; empty if it holds none.
func text(p *commonpb.Payload) string {
	var s string
	if p == nil || converter.GetDefaultDataConverter().FromPayload(p, &s) != nil {
		return ""
	}
	return s
}
