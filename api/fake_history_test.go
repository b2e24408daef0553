package api_test

import (
	"context"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

func (f *fakeTemporal) GetWorkflowHistory(
	_ context.Context, id, _ string, _ bool, _ enumspb.HistoryEventFilterType,
) client.HistoryEventIterator {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sagas[id]
	begin := &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, EventTime: s.info.GetStartTime(),
		Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
			WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{
				WorkflowType: s.info.GetType(), SearchAttributes: s.info.GetSearchAttributes(), Memo: s.info.GetMemo(),
			},
		},
	}
	return &fakeHistory{events: append(append([]*historypb.HistoryEvent{begin}, s.events...), s.ending()...)}
}

// ending is the event with which the saga has ended; none if it runs.
func (s *saga) ending() []*historypb.HistoryEvent {
	event := &historypb.HistoryEvent{EventTime: s.info.GetCloseTime()}
	switch s.info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		event.EventType = enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
		result, err := converter.GetDefaultDataConverter().ToPayloads(s.result)
		if err != nil {
			panic(err)
		}
		event.Attributes = &historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes{
			WorkflowExecutionCompletedEventAttributes: &historypb.WorkflowExecutionCompletedEventAttributes{Result: result},
		}
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		event.EventType = enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		event.EventType = enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED
	default:
		event.EventType = enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED
	}
	return []*historypb.HistoryEvent{event}
}

type fakeHistory struct{ events []*historypb.HistoryEvent }

func (h *fakeHistory) HasNext() bool { return len(h.events) > 0 }

func (h *fakeHistory) Next() (*historypb.HistoryEvent, error) {
	next := h.events[0]
	h.events = h.events[1:]
	return next, nil
}
