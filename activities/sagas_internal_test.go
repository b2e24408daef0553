package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/amends-dev/amends/compensation"
)

// noon is the end of sagas in these tests.
var noon = time.Now().Add(-time.Hour).Truncate(time.Second)

// fakeLists is the worker's client: it lists and describes workflows.
type fakeLists struct {
	client.Client // panics on any other call

	pages     [][]*workflowpb.WorkflowExecutionInfo
	queries   []string
	newest    map[string]*workflowpb.WorkflowExecutionInfo
	broken    map[string]bool
	histories map[string][]*historypb.HistoryEvent
	retention time.Duration
	listError error
}

func (f *fakeLists) WorkflowService() workflowservice.WorkflowServiceClient {
	return fakeNamespaces{retention: f.retention}
}

// fakeNamespaces reports how long namespaces keep ended workflows, unless that is 0.
type fakeNamespaces struct {
	workflowservice.WorkflowServiceClient
	retention time.Duration
}

func (f fakeNamespaces) DescribeNamespace(
	_ context.Context, in *workflowservice.DescribeNamespaceRequest, _ ...grpc.CallOption,
) (*workflowservice.DescribeNamespaceResponse, error) {
	if f.retention == 0 {
		return nil, serviceerror.NewPermissionDenied(in.GetNamespace(), "")
	}
	return &workflowservice.DescribeNamespaceResponse{
		Config: &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(f.retention)},
	}, nil
}

func (f *fakeLists) ListWorkflow(
	_ context.Context, in *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	f.queries = append(f.queries, in.GetQuery())
	if f.listError != nil {
		return nil, f.listError
	}
	n := 0
	if len(in.GetNextPageToken()) > 0 {
		n = int(in.GetNextPageToken()[0])
	}
	r := &workflowservice.ListWorkflowExecutionsResponse{Executions: f.pages[n]}
	if n+1 < len(f.pages) {
		r.NextPageToken = []byte{byte(n + 1)}
	}
	return r, nil
}

func (f *fakeLists) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if f.broken[id] {
		return nil, errors.New("its key is gone")
	}
	if f.newest[id] == nil {
		return nil, serviceerror.NewNotFound("workflow not found in shard 7")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: f.newest[id]}, nil
}

func (f *fakeLists) GetWorkflowHistory(_ context.Context, id, _ string, _ bool, _ enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	return &fakeHistory{f.histories[id]}
}

type fakeHistory struct{ events []*historypb.HistoryEvent }

func (h *fakeHistory) HasNext() bool { return len(h.events) > 0 }

func (h *fakeHistory) Next() (*historypb.HistoryEvent, error) {
	event := h.events[0]
	h.events = h.events[1:]
	return event, nil
}

const (
	runs       = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	completed  = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	failed     = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	canceled   = enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
	terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
	timedOut   = enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
)

// ended returns a run of a saga that ended at noon.
func ended(id, run string, status enumspb.WorkflowExecutionStatus) *workflowpb.WorkflowExecutionInfo {
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: run}, Type: &commonpb.WorkflowType{Name: "Trip"},
		Status: status, CloseTime: timestamppb.New(noon),
	}
}

// recovery returns a recovery of that run that began that long after noon; run is empty if the recovery does not name it.
func recovery(t *testing.T, status enumspb.WorkflowExecutionStatus, after time.Duration, run string) *workflowpb.WorkflowExecutionInfo {
	t.Helper()
	info := &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: "recover-", RunId: "r"}, Status: status, StartTime: timestamppb.New(noon.Add(after)),
	}
	if run != "" {
		memo, err := converter.GetDefaultDataConverter().ToPayload(run)
		require.NoError(t, err)
		info.Memo = &commonpb.Memo{Fields: map[string]*commonpb.Payload{MemoRecoveredRun: memo}}
	}
	return info
}

var everything = FindEnded{Types: []string{"Trip"}, Since: noon.Add(-time.Hour), RecoveryPrefix: "recover-"}

func TestFindEnded(t *testing.T) {
	t.Parallel()

	want := FoundSaga{ID: "trip-1", Type: "Trip"}
	for name, tt := range map[string]struct {
		recovery *workflowpb.WorkflowExecutionInfo
		want     EndedPage
	}{
		"without a recovery":                      {nil, EndedPage{Sagas: []FoundSaga{want}}},
		"with one that runs":                      {recovery(t, runs, 1, "run-1"), EndedPage{Known: 1}},
		"with one that completed":                 {recovery(t, completed, 1, "run-1"), EndedPage{Known: 1}},
		"with one that does not say of which run": {recovery(t, completed, 1, ""), EndedPage{Known: 1}},
		"with one that was terminated": {
			recovery(t, terminated, 1, "run-1"), EndedPage{Sagas: []FoundSaga{{"trip-1", "Trip", RecoveryEnded}}},
		},
		"with one that timed out": {recovery(t, timedOut, 1, "run-1"), EndedPage{Sagas: []FoundSaga{{"trip-1", "Trip", RecoveryEnded}}}},
		"with one that failed":    {recovery(t, failed, 1, ""), EndedPage{Sagas: []FoundSaga{{"trip-1", "Trip", RecoveryEnded}}}},
		"with one that was canceled": {
			recovery(t, canceled, 1, "run-1"), EndedPage{Sagas: []FoundSaga{{"trip-1", "Trip", RecoveryEnded}}},
		},
		"with one of an earlier run": {
			recovery(t, completed, 1, "run-0"), EndedPage{Sagas: []FoundSaga{{"trip-1", "Trip", RecoveryOfOtherRun}}},
		},
		"with one from before it ended": {
			recovery(t, completed, -1, ""), EndedPage{Sagas: []FoundSaga{{"trip-1", "Trip", RecoveryOfOtherRun}}},
		},
		"with one of an earlier run that runs": {recovery(t, runs, -1, "run-0"), EndedPage{Known: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			saga := ended("trip-1", "run-1", terminated)
			f := &fakeLists{
				pages:  [][]*workflowpb.WorkflowExecutionInfo{{saga}},
				newest: map[string]*workflowpb.WorkflowExecutionInfo{"trip-1": saga, "recover-trip-1": tt.recovery},
			}
			page, err := findEnded(t.Context(), f, "default", everything)
			require.NoError(t, err)
			require.Equal(t, tt.want, page)
		})
	}
}

// The effects under a saga's keys belong to its newest run, such as the one that a reset made.
func TestFindEndedLeavesOldRunsAlone(t *testing.T) {
	t.Parallel()

	f := &fakeLists{
		pages: [][]*workflowpb.WorkflowExecutionInfo{
			{ended("reset", "run-1", terminated), ended("twice", "run-2", terminated), ended("twice", "run-1", failed), ended("gone", "run-1", failed)},
		},
		newest: map[string]*workflowpb.WorkflowExecutionInfo{"reset": ended("reset", "run-2", runs), "twice": ended("twice", "run-2", terminated)},
	}
	page, err := findEnded(t.Context(), f, "default", everything)
	require.NoError(t, err)
	require.Equal(t, EndedPage{Sagas: []FoundSaga{{ID: "twice", Type: "Trip"}}, NothingToDo: 3}, page)
}

func TestFindEndedGoesPastWhatItCannotRead(t *testing.T) {
	t.Parallel()

	f := &fakeLists{pages: [][]*workflowpb.WorkflowExecutionInfo{{}}, newest: map[string]*workflowpb.WorkflowExecutionInfo{}}
	for i := range 20 {
		saga := ended(fmt.Sprintf("trip-%d", i), "run-1", terminated)
		f.pages[0] = append(f.pages[0], saga)
		f.newest[saga.GetExecution().GetWorkflowId()] = saga
	}
	f.broken = map[string]bool{"trip-3": true, "recover-trip-7": true}
	page, err := findEnded(t.Context(), f, "default", everything)
	require.NoError(t, err)
	require.Len(t, page.Sagas, 18)
	require.Equal(t, "trip-0", page.Sagas[0].ID, "in the order of the list")
	require.Equal(t, []UnreadableSaga{
		{"trip-3", "describe trip-3: its key is gone"}, {"trip-7", "describe recover-trip-7: its key is gone"},
	}, page.Unreadable)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = findEnded(over, f, "default", everything)
	require.ErrorIs(t, err, context.Canceled, "the sagas are not to blame")

	f.listError = errors.New("no visibility store")
	_, err = findEnded(t.Context(), f, "default", everything)
	require.ErrorIs(t, err, f.listError)
}

func TestFindEndedTurnsThePages(t *testing.T) {
	t.Parallel()

	one, two := ended("trip-1", "run-1", terminated), ended("trip-2", "run-1", timedOut)
	f := &fakeLists{
		pages:  [][]*workflowpb.WorkflowExecutionInfo{{one}, {two}},
		newest: map[string]*workflowpb.WorkflowExecutionInfo{"trip-1": one, "trip-2": two},
	}
	page, err := findEnded(t.Context(), f, "default", everything)
	require.NoError(t, err)
	require.Equal(t, []FoundSaga{{ID: "trip-1", Type: "Trip"}}, page.Sagas)
	next := everything
	next.PageToken = page.PageToken
	page, err = findEnded(t.Context(), f, "default", next)
	require.NoError(t, err)
	require.Equal(t, []FoundSaga{{ID: "trip-2", Type: "Trip"}}, page.Sagas)
	require.Empty(t, page.PageToken)
}

// Where the lookback is longer than the retention, a recovery may be forgotten before its saga is.
func TestFindEndedLooksBackNoLongerThanTheRetention(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct{ retention, want time.Duration }{
		"nobody says": {0, 100 * time.Hour},
		"longer":      {200 * time.Hour, 100 * time.Hour},
		"shorter":     {72 * time.Hour, 72*time.Hour - clockSkew},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			f := &fakeLists{pages: [][]*workflowpb.WorkflowExecutionInfo{{}}, retention: tt.retention}
			in := everything
			in.Since = time.Now().Add(-100 * time.Hour)
			_, err := findEnded(t.Context(), f, "default", in)
			require.NoError(t, err)
			query, closed, _ := strings.Cut(f.queries[0], " AND CloseTime >= ")
			require.Equal(t, compensation.EndedQuery("Trip"), query)
			since, err := time.Parse(`"`+time.RFC3339+`"`, closed)
			require.NoError(t, err)
			require.WithinDuration(t, time.Now().Add(-tt.want), since, time.Hour)
		})
	}
}

func scheduled(activityID string) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{ActivityId: activityID},
		},
	}
}

func TestReadEnded(t *testing.T) {
	t.Parallel()

	f := &fakeLists{
		newest:    map[string]*workflowpb.WorkflowExecutionInfo{"trip-1": ended("trip-1", "run-1", terminated), "trip-2": ended("trip-2", "run-1", completed)},
		histories: map[string][]*historypb.HistoryEvent{"trip-1": {scheduled("BookHotel.rome/do")}},
		broken:    map[string]bool{"trip-3": true},
	}
	saga, err := readEnded(t.Context(), f, "trip-1")
	require.NoError(t, err)
	require.True(t, saga.Recover)
	require.Equal(t, "run-1", saga.RunID)
	require.Equal(t, []compensation.Key{{Saga: "trip-1", Step: "BookHotel", Item: "rome"}}, saga.Started)

	for _, id := range []string{"trip-2", "gone"} {
		saga, err = readEnded(t.Context(), f, id)
		require.NoError(t, err, id)
		require.False(t, saga.Recover, id)
	}
	_, err = readEnded(t.Context(), f, "trip-3")
	require.ErrorContains(t, err, "its key is gone")
}

// Temporal would end the sweep that starts a recovery with an input that is too large.
func TestReadEndedOfTooManySteps(t *testing.T) {
	t.Parallel()

	f := &fakeLists{
		newest:    map[string]*workflowpb.WorkflowExecutionInfo{"trip-1": ended("trip-1", "run-1", terminated)},
		histories: map[string][]*historypb.HistoryEvent{},
	}
	for i := range 20_000 {
		f.histories["trip-1"] = append(f.histories["trip-1"], scheduled(fmt.Sprintf("BookHotel.%060d/do", i)))
	}
	_, err := readEnded(t.Context(), f, "trip-1")
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, ErrTypeTooManySteps, failure.Type())
	require.True(t, failure.NonRetryable())
	require.ErrorContains(t, err, "trip-1 started 20000 steps")
}
