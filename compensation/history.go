package compensation

import (
	"context"
	"fmt"
	"maps"
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
//
// Payloads are read with the SDK's default converters. Where they are encrypted, the client has to decode them on its
// connection: see [go.temporal.io/sdk/converter.NewPayloadCodecGRPCClientInterceptor].
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
	events, err := readHistory(ctx, c, workflow.GetWorkflowId(), workflow.GetRunId())
	if err != nil {
		return Status{}, err
	}
	return project(plan, desc, events), nil
}

// ReadEndedStatus is ReadStatus for who knows that the saga has ended: then its history says all that a description would.
// An empty run ID is the last run.
func ReadEndedStatus(ctx context.Context, c client.Client, plan *Plan, workflowID, runID string) (Status, error) {
	events, err := readHistory(ctx, c, workflowID, runID)
	if err != nil {
		return Status{}, err
	}
	info := infoOf(events)
	info.Execution = &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: runID}
	return project(plan, &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, events), nil
}

func readHistory(ctx context.Context, c client.Client, workflowID, runID string) ([]*historypb.HistoryEvent, error) {
	var events []*historypb.HistoryEvent
	it := c.GetWorkflowHistory(ctx, workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		if err != nil {
			return nil, fmt.Errorf("read history of saga %s: %w", workflowID, err)
		}
		events = append(events, event)
	}
	return events, nil
}

// infoOf is what lists of workflows show of one with that history.
func infoOf(events []*historypb.HistoryEvent) *workflowpb.WorkflowExecutionInfo {
	attributes, memo := map[string]*commonpb.Payload{}, map[string]*commonpb.Payload{}
	info := &workflowpb.WorkflowExecutionInfo{
		Status:           enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		SearchAttributes: &commonpb.SearchAttributes{IndexedFields: attributes}, Memo: &commonpb.Memo{Fields: memo},
	}
	for _, event := range events {
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
			a := event.GetWorkflowExecutionStartedEventAttributes()
			info.Type, info.StartTime = a.GetWorkflowType(), event.GetEventTime()
			maps.Copy(attributes, a.GetSearchAttributes().GetIndexedFields())
			maps.Copy(memo, a.GetMemo().GetFields())
		case enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
			maps.Copy(attributes, event.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields())
		case enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
			maps.Copy(memo, event.GetWorkflowPropertiesModifiedEventAttributes().GetUpsertedMemo().GetFields())
		default:
			if status, ok := endings[event.GetEventType()]; ok {
				info.Status, info.CloseTime = status, event.GetEventTime()
			}
		}
	}
	return info
}

// endings are the events that end a workflow.
var endings = map[enumspb.EventType]enumspb.WorkflowExecutionStatus{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:  enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:     enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:   enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:  enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
}

// endOf describes how the event ended a saga from outside, or returns the cause that the saga itself had given before it
// failed. It is empty for any other event.
func endOf(event *historypb.HistoryEvent, cause string) string {
	switch event.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
		return "terminated: " + event.GetWorkflowExecutionTerminatedEventAttributes().GetReason()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		return "the workflow ran out of time"
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		if cause == "" {
			return event.GetWorkflowExecutionFailedEventAttributes().GetFailure().GetMessage()
		}
		return cause
	default:
		return ""
	}
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
