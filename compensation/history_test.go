package compensation

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	updatepb "go.temporal.io/api/update/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// tape writes a history, an event a second.
type tape struct {
	events []*historypb.HistoryEvent
	start  time.Time
}

func (h *tape) add(e *historypb.HistoryEvent) int64 {
	e.EventId = int64(len(h.events) + 1)
	e.EventTime = timestamppb.New(h.at(e.EventId))
	h.events = append(h.events, e)
	return e.EventId
}

func (h *tape) at(id int64) time.Time { return h.start.Add(time.Duration(id) * time.Second) }

// result is what the activity returned that the event with that ID ends.
func (h *tape) result(id int64) *commonpb.Payloads {
	p, err := converter.GetDefaultDataConverter().ToPayloads(fmt.Sprintf("result of event %d", id))
	if err != nil {
		panic(err)
	}
	return p
}

func (h *tape) scheduled(activityID string) int64 {
	return h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{ActivityId: activityID},
		},
	})
}

func (h *tape) started(id int64, attempt int32) {
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED,
		Attributes: &historypb.HistoryEvent_ActivityTaskStartedEventAttributes{
			ActivityTaskStartedEventAttributes: &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: id, Attempt: attempt},
		},
	})
}

func (h *tape) completed(id int64) int64 {
	return h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCompletedEventAttributes{
			ActivityTaskCompletedEventAttributes: &historypb.ActivityTaskCompletedEventAttributes{
				ScheduledEventId: id, Result: h.result(int64(len(h.events) + 1)),
			},
		},
	})
}

func (h *tape) failed(id int64, failureType, message string) {
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED,
		Attributes: &historypb.HistoryEvent_ActivityTaskFailedEventAttributes{
			ActivityTaskFailedEventAttributes: &historypb.ActivityTaskFailedEventAttributes{
				ScheduledEventId: id, Failure: failure(failureType, message),
			},
		},
	})
}

func (h *tape) canceled(id int64) {
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCanceledEventAttributes{
			ActivityTaskCanceledEventAttributes: &historypb.ActivityTaskCanceledEventAttributes{ScheduledEventId: id},
		},
	})
}

// marker is the record of an express step or undo; a nil failure is success.
func (h *tape) marker(t *testing.T, summary string, attempt int, f *failurepb.Failure) int64 {
	t.Helper()
	id := int64(len(h.events) + 1)
	details := map[string]*commonpb.Payloads{
		"data": {Payloads: []*commonpb.Payload{payload(t, map[string]any{"ActivityID": "1", "ReplayTime": h.at(id), "Attempt": attempt})}},
	}
	if f == nil {
		details["result"] = h.result(id)
	}
	return h.add(&historypb.HistoryEvent{
		EventType:    enumspb.EVENT_TYPE_MARKER_RECORDED,
		UserMetadata: &sdkpb.UserMetadata{Summary: payload(t, summary)},
		Attributes: &historypb.HistoryEvent_MarkerRecordedEventAttributes{MarkerRecordedEventAttributes: &historypb.MarkerRecordedEventAttributes{
			MarkerName: "LocalActivity",
			Failure:    f,
			Details:    details,
		}},
	})
}

// answered records how the update ended that the event with that ID accepted; a nil failure is success.
func (h *tape) answered(accepted int64, f *failurepb.Failure) {
	outcome := &updatepb.Outcome{Value: &updatepb.Outcome_Success{}}
	if f != nil {
		outcome.Value = &updatepb.Outcome_Failure{Failure: f}
	}
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateCompletedEventAttributes{
			WorkflowExecutionUpdateCompletedEventAttributes: &historypb.WorkflowExecutionUpdateCompletedEventAttributes{
				AcceptedEventId: accepted, Outcome: outcome,
			},
		},
	})
}

func failure(failureType, message string) *failurepb.Failure {
	return &failurepb.Failure{Message: message, FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
		ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: failureType},
	}}
}

func payload(t *testing.T, v any) *commonpb.Payload {
	t.Helper()
	p, err := converter.GetDefaultDataConverter().ToPayload(v)
	require.NoError(t, err)
	return p
}

func describe(t *testing.T, status enumspb.WorkflowExecutionStatus, state State, cause string) *workflowservice.DescribeWorkflowExecutionResponse {
	t.Helper()
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Execution:        &commonpb.WorkflowExecution{WorkflowId: "order-1", RunId: "run"},
		Status:           status,
		SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{"SagaState": payload(t, string(state))}},
		Memo:             &commonpb.Memo{Fields: map[string]*commonpb.Payload{MemoCause: payload(t, cause)}},
	}}
}

var statusPlan = MustPlan("Trip",
	Step[string, string]{Name: "BookFlight", Do: bookSeat, Undo: releaseSeat},
	Step[string, string]{Name: "BookHotel", Do: bookSeat, Undo: releaseSeat},
	Step[string, string]{Name: "BookCar", Do: bookSeat, Undo: releaseSeat},
	Step[string, string]{Name: "Pay", Kind: Pivot, Do: bookSeat, Undo: releaseSeat},
)

func TestStatusOfASagaThatTurnsBack(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	flight := h.scheduled("BookFlight/do")
	h.started(flight, 3)
	flightDone := h.completed(flight)
	car := h.scheduled("BookCar/do")
	h.started(car, 1)
	h.failed(car, ErrTypeRefused, "no cars")
	h.scheduled("BookFlight/undo")
	desc := describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Compensating, "BookCar refused: no cars")
	desc.PendingActivities = []*workflowpb.PendingActivityInfo{
		{ActivityId: "BookFlight/undo", Attempt: 7, LastFailure: failure("", "connection reset")},
	}

	s := project(statusPlan, desc, h.events)
	require.Equal(t, Compensating, s.State)
	require.Equal(t, "BookCar refused: no cars", s.Cause)
	require.Equal(t, []StepStatus{
		{
			Name: "BookFlight", Do: DoDone, Undo: UndoRunning, Attempts: 3, UndoAttempts: 7,
			StartedAt: h.at(flight), EndedAt: h.at(flightDone), Error: "connection reset", Result: h.result(flightDone),
		},
		{Name: "BookHotel", Do: DoNotRun, Undo: UndoNone},
		{Name: "BookCar", Do: DoRefused, Undo: UndoNone, Attempts: 1, StartedAt: h.at(car), EndedAt: h.at(car + 2), Error: "no cars"},
		{Name: "Pay", Kind: Pivot, Do: DoNotRun, Undo: UndoNone},
	}, s.Steps)
}

func TestStatusOfARunningSaga(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for _, item := range []string{"a", "b"} {
		id := h.scheduled("BookHotel." + item + "/do")
		h.started(id, 1)
		h.completed(id)
	}
	waits := h.add(&historypb.HistoryEvent{
		EventType:    enumspb.EVENT_TYPE_TIMER_STARTED,
		UserMetadata: &sdkpb.UserMetadata{Summary: payload(t, "approval")},
		Attributes: &historypb.HistoryEvent_TimerStartedEventAttributes{TimerStartedEventAttributes: &historypb.TimerStartedEventAttributes{
			TimerId: "1", StartToFireTimeout: durationpb.New(time.Hour),
		}},
	})

	s := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Running, ""), h.events)
	require.Equal(t, Running, s.State)
	require.Equal(t, []Wait{{For: "approval", Until: h.at(waits).Add(time.Hour)}}, s.Waits)

	type brief struct {
		name, item string
		do         DoState
	}
	var got []brief
	for _, st := range s.Steps {
		got = append(got, brief{st.Name, st.Item, st.Do})
	}
	require.Equal(t, []brief{
		{"BookFlight", "", DoNotRun},
		{"BookHotel", "a", DoDone},
		{"BookHotel", "b", DoDone},
		{"BookCar", "", DoWaiting},
		{"Pay", "", DoWaiting},
	}, got)
}

// taskStarted is the start of a workflow task.
func (h *tape) taskStarted() int64 {
	return h.add(&historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED})
}

// An express step's record says when it was over. It began when the saga's code came to it: when its task started, or the
// step before was over.
func TestTimesOfExpressSteps(t *testing.T) {
	t.Parallel()

	plan := MustPlan("Trip",
		Step[string, string]{Name: "BookFlight", Do: bookSeat, Undo: releaseSeat},
		Parallel(
			Step[string, string]{Name: "BookHotel", Do: bookSeat, Undo: releaseSeat},
			Step[string, string]{Name: "BookCar", Do: bookSeat, Undo: releaseSeat},
		),
		Step[string, string]{Name: "Insure", Do: bookSeat, Undo: releaseSeat},
		Step[string, string]{Name: "Pay", Kind: Pivot, Do: bookSeat, Undo: releaseSeat},
	)
	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	first := h.taskStarted()
	flight := h.marker(t, "book flight", 1, nil)
	car := h.marker(t, "book car", 1, nil)
	hotel := h.marker(t, "book hotel", 1, nil)
	other := h.marker(t, "somebody else's local activity", 1, nil)
	insured := h.marker(t, "insure", 1, nil)
	second := h.taskStarted()
	paid := h.marker(t, "pay", 1, nil)

	type times struct {
		name       string
		began, end time.Time
	}
	var got []times
	for _, st := range project(plan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, Running, ""), h.events).Steps {
		got = append(got, times{st.Name, st.StartedAt, st.EndedAt})
	}
	require.Equal(t, []times{
		{"BookFlight", h.at(first), h.at(flight)},
		{"BookHotel", h.at(flight), h.at(hotel)},
		{"BookCar", h.at(flight), h.at(car)},
		{"Insure", h.at(other), h.at(insured)},
		{"Pay", h.at(second), h.at(paid)},
	}, got)
}

func TestStatusOfExpressSteps(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	task := h.taskStarted()
	flight := h.marker(t, "book flight", 2, nil)
	h.marker(t, "book hotel", 3, failure("Unanswered", "no answer"))
	hotel := h.scheduled("BookHotel/do")
	h.started(hotel, 4)
	h.completed(hotel)
	again := h.taskStarted()
	car := h.marker(t, "book car", 1, failure(ErrTypeRefused, "no cars"))
	h.marker(t, "somebody else's local activity", 1, nil)
	fenced := h.marker(t, "UNDO pay", 1, nil)
	undone := h.marker(t, "UNDO book hotel", 1, nil)

	s := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, Compensated, "BookCar refused: no cars"), h.events)
	require.Equal(t, []StepStatus{
		{Name: "BookFlight", Do: DoDone, Undo: UndoNone, Attempts: 2, StartedAt: h.at(task), EndedAt: h.at(flight), Result: h.result(flight)},
		{
			Name: "BookHotel", Do: DoDone, Undo: UndoDone, Attempts: 7, UndoAttempts: 1,
			StartedAt: h.at(flight), EndedAt: h.at(hotel + 2), UndoneAt: h.at(undone), Result: h.result(hotel + 2),
		},
		{Name: "BookCar", Do: DoRefused, Undo: UndoNone, Attempts: 1, StartedAt: h.at(again), EndedAt: h.at(car), Error: "no cars"},
		{Name: "Pay", Kind: Pivot, Do: DoNotRun, Undo: UndoPrevented, UndoAttempts: 1, UndoneAt: h.at(fenced)},
	}, s.Steps)
}

func TestStatusOfAParkedSaga(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	h.marker(t, "book flight", 1, nil)
	h.marker(t, "book hotel", 1, nil)
	h.marker(t, "book car", 1, failure(ErrTypeRefused, "no cars"))
	h.marker(t, "UNDO book hotel", 1, failure("UndoRefused", "ask the desk"))
	skip := h.accepted(t, UpdateSkip, Act{By: "grace", Reason: "the hotel is closed"})
	h.marker(t, "UNDO book flight", 1, failure("UndoRefused", "ask the desk"))
	desc := describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Parked, "BookCar refused: no cars")
	waiting := []ParkedStep{{Step: "BookFlight", Part: PartUndo, Reason: "ask the desk", Since: h.at(6)}}
	desc.WorkflowExecutionInfo.Memo.Fields[MemoParked] = payload(t, waiting)

	s := project(statusPlan, desc, h.events)
	require.Equal(t, Parked, s.State)
	require.Equal(t, waiting, s.Parked)
	require.Equal(t, []ActRecord{{Name: UpdateSkip, Act: Act{By: "grace", Reason: "the hotel is closed"}, At: h.at(skip)}}, s.Acts)
	require.Equal(t, UndoFailed, s.Steps[0].Undo)
	require.Equal(t, UndoSkipped, s.Steps[1].Undo)
	require.Equal(t, DoRefused, s.Steps[2].Do, "skipping an undo says nothing of what was refused")
	require.Equal(t, DoNotRun, s.Steps[3].Do)
}

func TestStateOf(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		status    enumspb.WorkflowExecutionStatus
		attribute State
		want      State
	}{
		{enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, "", Running},
		{enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Compensating, Compensating},
		{enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, Running, Completed},
		{enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, Compensated, Compensated},
		{enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, Compensated, Compensated},
		{enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, CompensatedWithExceptions, CompensatedWithExceptions},
		{enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Parked, Parked},
		{enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, Parked, Terminated},
		{enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, Running, Terminated},
		{enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, Compensating, Terminated},
		{enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, Running, Terminated},
	} {
		require.Equal(t, tt.want, StateOf(describe(t, tt.status, tt.attribute, "").GetWorkflowExecutionInfo()), "%v %s", tt.status, tt.attribute)
	}
}
