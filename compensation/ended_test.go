package compensation

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// A keeper is Temporal with the runs of one saga.
type keeper struct {
	client.Client // panics on any other call

	// newest is the newest run, and status its end.
	newest string
	status enumspb.WorkflowExecutionStatus
	state  State
	runs   map[string]*tape
	err    error
}

func (k *keeper) DescribeWorkflowExecution(_ context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if k.newest == "" || run != "" {
		return nil, serviceerror.NewNotFound("workflow not found in shard 7")
	}
	state, err := converter.GetDefaultDataConverter().ToPayload(string(k.state))
	if err != nil {
		return nil, err
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Execution:        &commonpb.WorkflowExecution{WorkflowId: id, RunId: k.newest},
		Status:           k.status,
		SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{SearchAttributeState.GetName(): state}},
	}}, nil
}

func (k *keeper) GetWorkflowHistory(_ context.Context, _, run string, _ bool, _ enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	switch h := k.runs[run]; {
	case k.err != nil:
		return &reel{err: k.err}
	case h == nil:
		return &reel{err: serviceerror.NewNotFound("workflow not found in shard 7")}
	default:
		return &reel{events: h.events}
	}
}

// A reel returns a history's events, or the error.
type reel struct {
	events []*historypb.HistoryEvent
	err    error
}

func (r *reel) HasNext() bool { return r.err != nil || len(r.events) > 0 }

func (r *reel) Next() (*historypb.HistoryEvent, error) {
	if r.err != nil {
		return nil, r.err
	}
	event := r.events[0]
	r.events = r.events[1:]
	return event, nil
}

func (h *tape) terminated(reason string) {
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionTerminatedEventAttributes{
			WorkflowExecutionTerminatedEventAttributes: &historypb.WorkflowExecutionTerminatedEventAttributes{Reason: reason},
		},
	})
}

func (h *tape) timedOut() {
	h.add(&historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT})
}

func (h *tape) workflowFailed(f *failurepb.Failure) {
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionFailedEventAttributes{
			WorkflowExecutionFailedEventAttributes: &historypb.WorkflowExecutionFailedEventAttributes{Failure: f},
		},
	})
}

// resetFrom begins a run that continues another one from an earlier point.
func (h *tape) resetFrom(run string) {
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED,
		Attributes: &historypb.HistoryEvent_WorkflowTaskFailedEventAttributes{
			WorkflowTaskFailedEventAttributes: &historypb.WorkflowTaskFailedEventAttributes{
				Cause: enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW, BaseRunId: run,
			},
		},
	})
}

// started returns the keys of order-42's steps.
func started(labels ...string) []Key {
	var keys []Key
	for _, label := range labels {
		k, err := ParseKey("order-42:" + label)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	return keys
}

const (
	hasTerminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
	hasTimedOut   = enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
	hasFailed     = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
)

func TestReadEnded(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		status  enumspb.WorkflowExecutionStatus
		state   State
		history func(*testing.T, *tape)
		how     string
		started []Key
		nothing bool
	}{
		"terminated": {
			hasTerminated, Running, func(t *testing.T, h *tape) {
				t.Helper()
				h.marker(t, "book flight", 1, nil)
				h.completed(h.scheduled("BookHotel.rome/do"))
				h.marker(t, "book car", 1, nil)
				h.completed(h.scheduled("BookHotel.oslo/do"))
				h.completed(h.scheduled("BookHotel.rome/do"))
				h.terminated("by mistake")
			}, "terminated: by mistake", started("BookFlight", "BookHotel.rome", "BookCar", "BookHotel.oslo"), false,
		},
		"terminated on its way back": {
			hasTerminated, Compensating, func(t *testing.T, h *tape) {
				t.Helper()
				h.marker(t, "book flight", 1, nil)
				h.marker(t, "UNDO release flight", 1, nil)
				h.scheduled("BookHotel/undo")
				h.terminated("by mistake")
			}, "terminated: by mistake", started("BookFlight"), false,
		},
		"timed out": {
			hasTimedOut, Parked, func(t *testing.T, h *tape) {
				t.Helper()
				h.scheduled("BookFlight/do")
				h.scheduled("own activity/do")
				h.scheduled("BookFlight/probe")
				h.scheduled("7")
				h.timedOut()
			}, "the workflow ran out of time", started("BookFlight"), false,
		},
		"failed": {
			hasFailed, Running, func(_ *testing.T, h *tape) {
				h.workflowFailed(failure("", "panic: nil map"))
			}, "panic: nil map", nil, false,
		},
		"failed because it has a retry policy": {
			hasFailed, Running, func(_ *testing.T, h *tape) { h.workflowFailed(failure(ErrTypeNotASaga, "it has a retry policy")) }, "", nil, true,
		},
		"failed because it ran a second saga": {
			hasFailed, Running, func(t *testing.T, h *tape) {
				t.Helper()
				h.marker(t, "book flight", 1, nil)
				h.workflowFailed(failure(ErrTypeNotASaga, "a second saga"))
			}, "a second saga", started("BookFlight"), false,
		},
		"still running": {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Running, func(*testing.T, *tape) {}, "", nil, true},
		"completed":     {enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, Running, func(*testing.T, *tape) {}, "", nil, true},
		"turned back":   {hasFailed, Compensated, func(*testing.T, *tape) {}, "", nil, true},
		"canceled":      {enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, CompensatedWithExceptions, func(*testing.T, *tape) {}, "", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			h := &tape{}
			tt.history(t, h)
			ended, ok, err := ReadEnded(t.Context(), &keeper{newest: "run-1", status: tt.status, state: tt.state, runs: map[string]*tape{"run-1": h}}, "order-42")
			require.NoError(t, err)
			require.Equal(t, !tt.nothing, ok)
			if ok {
				require.Equal(t, Ended{SagaID: "order-42", RunID: "run-1", How: tt.how, Started: tt.started}, ended)
			}
		})
	}
}

// A run that was reset has forgotten what its predecessors did after that point.
func TestReadEndedOfARunThatWasReset(t *testing.T) {
	t.Parallel()

	first := &tape{}
	first.marker(t, "book flight", 1, nil)
	first.scheduled("BookHotel.rome/do")
	first.terminated("reset")
	second := &tape{}
	second.marker(t, "book flight", 1, nil)
	second.resetFrom("run-1")
	second.scheduled("BookHotel.oslo/do")
	second.terminated("reset")
	third := &tape{}
	third.resetFrom("run-1")
	third.resetFrom("run-2")
	third.resetFrom("run-0") // which is gone
	third.marker(t, "book car", 1, nil)
	third.terminated("by mistake")
	k := &keeper{
		newest: "run-3", status: hasTerminated, state: Running, runs: map[string]*tape{"run-1": first, "run-2": second, "run-3": third},
	}

	ended, ok, err := ReadEnded(t.Context(), k, "order-42")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "run-3", ended.RunID)
	require.Equal(t, "terminated: by mistake", ended.How)
	require.ElementsMatch(t, started("BookFlight", "BookHotel.rome", "BookHotel.oslo", "BookCar"), ended.Started)
	require.Equal(t, started("BookCar")[0], ended.Started[3], "the newest run's steps come last")
}

func TestReadEndedThatCannotBeRead(t *testing.T) {
	t.Parallel()

	_, _, err := ReadEnded(t.Context(), &keeper{}, "order-42")
	var gone *serviceerror.NotFound
	require.ErrorAs(t, err, &gone)

	unreadable := errors.New("its key is not in the file of payload keys")
	_, _, err = ReadEnded(t.Context(), &keeper{newest: "run-1", status: hasTerminated, err: unreadable}, "order-42")
	require.ErrorIs(t, err, unreadable)
}

func TestUnworded(t *testing.T) {
	t.Parallel()

	for _, name := range []string{"A", "BookFlight", "HTTPCall", "Book2Seats", "X9"} {
		got, ok := unworded(words(name))
		require.True(t, ok)
		require.Equal(t, name, got)
	}
	for _, text := range []string{"", " ", "UNDO book flight", "book  flight", "book flight (rome)", "Book flight", "zähle", "9 lives"} {
		_, ok := unworded(text)
		require.False(t, ok, text)
	}
}

func TestEndedQuery(t *testing.T) {
	t.Parallel()

	require.Equal(t,
		`WorkflowType IN ("Trip", "Tour") AND ExecutionStatus IN ("Terminated", "TimedOut", "Failed") AND SagaState IN ("running", "compensating", "parked")`,
		EndedQuery("Trip", "Tour"))
}
