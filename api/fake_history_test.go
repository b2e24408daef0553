package api_test

import (
	"context"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

func (f *fakeTemporal) GetWorkflowHistory(
	ctx context.Context, id, _ string, wait bool, _ enumspb.HistoryEventFilterType,
) client.HistoryEventIterator {
	return &fakeHistory{ctx: ctx, temporal: f, saga: f.sagas[id], wait: wait}
}

// history are the saga's events.
func (s *saga) history() []*historypb.HistoryEvent {
	begin := &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, EventTime: s.info.GetStartTime(),
		Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
			WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{
				WorkflowType: s.info.GetType(), SearchAttributes: s.info.GetSearchAttributes(), Memo: s.info.GetMemo(),
				Header: &commonpb.Header{Fields: payloads(s.headers)},
			},
		},
	}
	return append(append([]*historypb.HistoryEvent{begin}, s.events...), s.ending()...)
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

// fakeHistory are a saga's events; with wait, also those to come until it ends.
type fakeHistory struct {
	ctx      context.Context //nolint:containedctx // as the SDK's has it
	temporal *fakeTemporal
	saga     *saga
	wait     bool
	read     int
}

func (h *fakeHistory) HasNext() bool {
	for {
		_, more, over := h.peek()
		if more || over || !h.wait {
			return more
		}
		select {
		case <-time.After(time.Millisecond):
		case <-h.ctx.Done():
			return true // Next has the error
		}
	}
}

func (h *fakeHistory) Next() (*historypb.HistoryEvent, error) {
	next, more, _ := h.peek()
	if !more {
		return nil, h.ctx.Err()
	}
	h.read++
	return next, nil
}

// peek is the next event, if there is one, and whether no more will come.
func (h *fakeHistory) peek() (next *historypb.HistoryEvent, more, over bool) {
	h.temporal.mu.Lock()
	defer h.temporal.mu.Unlock()
	events := h.saga.history()
	over = h.temporal.down != nil || h.saga.info.GetCloseTime() != nil
	if h.read == len(events) {
		return nil, false, over
	}
	return events[h.read], true, over
}
