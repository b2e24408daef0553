package api_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	updatepb "go.temporal.io/api/update/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/amends-dev/amends/compensation"
)

// fakeTemporal is Temporal as the API sees it: it keeps what was started, and answers as a test tells it to.
type fakeTemporal struct {
	client.Client // panics on what the API has no business calling

	mu sync.Mutex
	// down is the answer to everything, if set.
	down    error
	sagas   map[string]*saga
	updates []client.UpdateWorkflowOptions
	// taken are the outcomes of updates that were accepted, by ID.
	taken map[string]fakeUpdate
	// unsent is the reason why no update reaches a worker, if set.
	unsent error
	// answer is what a worker says to an update, errBusy if nothing for now; nil for no worker.
	answer func(client.UpdateWorkflowOptions) (any, error)
	// pollers are when workers were last seen, by the kind of tasks they poll for.
	pollers map[enumspb.TaskQueueType][]time.Time
	// listed are the requests for lists; pages are the answers.
	listed []*workflowservice.ListWorkflowExecutionsRequest
	pages  []*workflowservice.ListWorkflowExecutionsResponse
	// find answers requests for lists in place of pages, count those for counts; counted are their queries.
	find    func(*workflowservice.ListWorkflowExecutionsRequest) []*workflowpb.WorkflowExecutionInfo
	count   func(query string) int64
	counted []string
	// lacking is a search attribute that the namespace does not have.
	lacking string
}

type saga struct {
	options client.StartWorkflowOptions
	kind    any
	input   any
	info    *workflowpb.WorkflowExecutionInfo
	// headers came with the start.
	headers map[string]any
	events  []*historypb.HistoryEvent
	result  any
}

var startTime = time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)

func newFakeTemporal() *fakeTemporal {
	return &fakeTemporal{sagas: map[string]*saga{}, taken: map[string]fakeUpdate{}}
}

// end lets the saga end with the status, the state as its search attribute, and its result; nil for none.
func (f *fakeTemporal) end(id string, status enumspb.WorkflowExecutionStatus, state compensation.State, result any) *saga {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sagas[id]
	s.result = result
	s.info.Status = status
	s.info.CloseTime = timestamppb.New(startTime.Add(time.Minute))
	maps.Copy(s.info.GetSearchAttributes().GetIndexedFields(), attributes(state).GetIndexedFields())
	return s
}

func attributes(state compensation.State) *commonpb.SearchAttributes {
	return &commonpb.SearchAttributes{IndexedFields: payloads(map[string]any{"SagaState": string(state)})}
}

func indexed(attributes temporal.SearchAttributes) map[string]*commonpb.Payload {
	values := map[string]any{}
	for key, v := range attributes.GetUntypedValues() {
		values[key.GetName()] = v
	}
	return payloads(values)
}

func payloads(values map[string]any) map[string]*commonpb.Payload {
	out := map[string]*commonpb.Payload{}
	for name, v := range values {
		p, err := converter.GetDefaultDataConverter().ToPayload(v)
		if err != nil {
			panic(err)
		}
		out[name] = p
	}
	return out
}

func (f *fakeTemporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, kind any, args ...any) (client.WorkflowRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return nil, f.down
	}
	if _, ok := f.sagas[o.ID]; ok {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("started", "request", "run-"+o.ID)
	}
	f.sagas[o.ID] = &saga{
		options: o, kind: kind, input: args[0],
		info: &workflowpb.WorkflowExecutionInfo{
			Execution:        &commonpb.WorkflowExecution{WorkflowId: o.ID, RunId: "run-" + o.ID},
			Type:             &commonpb.WorkflowType{Name: fmt.Sprint(kind)},
			Status:           enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
			StartTime:        timestamppb.New(startTime),
			Memo:             &commonpb.Memo{Fields: payloads(o.Memo)},
			SearchAttributes: &commonpb.SearchAttributes{IndexedFields: indexed(o.TypedSearchAttributes)},
		},
	}
	return fakeRun{id: o.ID}, nil
}

type fakeRun struct {
	client.WorkflowRun
	temporal *fakeTemporal
	id       string
	saga     *saga
}

func (r fakeRun) GetRunID() string { return "run-" + r.id }

func (r fakeRun) Get(ctx context.Context, out any) error {
	for {
		r.temporal.mu.Lock()
		status := r.saga.info.GetStatus()
		r.temporal.mu.Unlock()
		switch status {
		case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
			return copyInto(r.saga.result, out)
		case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		default:
			return new(temporal.WorkflowExecutionError)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// copyInto passes a value on as Temporal does.
func copyInto(from, to any) error {
	if to == nil {
		return nil
	}
	p, err := converter.GetDefaultDataConverter().ToPayload(from)
	if err != nil {
		return err
	}
	return converter.GetDefaultDataConverter().FromPayload(p, to)
}

func (f *fakeTemporal) GetWorkflow(_ context.Context, id, _ string) client.WorkflowRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fakeRun{temporal: f, id: id, saga: f.sagas[id]}
}

func (f *fakeTemporal) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return nil, f.down
	}
	s, ok := f.sagas[id]
	switch {
	case len(id) > 1000:
		return nil, serviceerror.NewInvalidArgument("WorkflowId length exceeds limit.")
	case !ok:
		return nil, serviceerror.NewNotFound("no workflow " + id + " in shard 7")
	}
	info, ok := proto.Clone(s.info).(*workflowpb.WorkflowExecutionInfo)
	if !ok {
		panic("a clone of another type")
	}
	info.HistoryLength = int64(len(s.history()))
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, nil
}

func (f *fakeTemporal) UpdateWorkflow(ctx context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	f.mu.Lock()
	f.updates = append(f.updates, o)
	answer, unsent := f.answer, f.unsent
	f.mu.Unlock()
	if unsent != nil {
		return nil, unsent
	}
	if answer == nil {
		<-ctx.Done()
		return nil, client.NewWorkflowUpdateServiceTimeoutOrCanceledError(ctx.Err())
	}
	result, err := answer(o)
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return nil, err
	}
	update := fakeUpdate{result: result, err: err}
	if err == nil || errors.Is(err, errBusy) {
		f.accept(o, update)
	}
	return update, nil
}

// accept writes the update into the saga's history.
func (f *fakeTemporal) accept(o client.UpdateWorkflowOptions, update fakeUpdate) {
	args, err := converter.GetDefaultDataConverter().ToPayloads(o.Args...)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken[o.UpdateID] = update
	s := f.sagas[o.WorkflowID]
	at := startTime
	if n := len(s.events); n > 0 {
		at = s.events[n-1].GetEventTime().AsTime().Add(time.Minute)
	}
	s.events = append(s.events, &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		EventTime: timestamppb.New(at),
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateAcceptedEventAttributes{
			WorkflowExecutionUpdateAcceptedEventAttributes: &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{
				AcceptedRequest: &updatepb.Request{
					Meta:  &updatepb.Meta{UpdateId: o.UpdateID},
					Input: &updatepb.Input{Name: o.UpdateName, Args: args},
				},
			},
		},
	})
}

func (f *fakeTemporal) GetWorkflowUpdateHandle(o client.GetWorkflowUpdateHandleOptions) client.WorkflowUpdateHandle {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken[o.UpdateID]
}

type fakeUpdate struct {
	client.WorkflowUpdateHandle
	result any
	err    error
}

// errBusy is the answer of a worker that has taken an update and goes on with it.
var errBusy = errors.New("busy")

func (u fakeUpdate) Get(ctx context.Context, out any) error {
	if errors.Is(u.err, errBusy) {
		<-ctx.Done()
		return client.NewWorkflowUpdateServiceTimeoutOrCanceledError(ctx.Err())
	}
	if u.err != nil {
		return u.err
	}
	return copyInto(u.result, out)
}

func (f *fakeTemporal) ListWorkflow(
	_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return nil, f.down
	}
	f.listed = append(f.listed, r)
	if f.find != nil {
		return &workflowservice.ListWorkflowExecutionsResponse{Executions: f.find(r)}, nil
	}
	if len(f.pages) == 0 {
		return &workflowservice.ListWorkflowExecutionsResponse{}, nil
	}
	next := f.pages[0]
	f.pages = f.pages[1:]
	return next, nil
}

func (f *fakeTemporal) CancelWorkflow(_ context.Context, id, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sagas[id]
	if s.info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return serviceerror.NewNotFound("workflow execution already completed")
	}
	s.info.Status = enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
	s.info.CloseTime = timestamppb.New(startTime.Add(time.Minute))
	return nil
}

func (f *fakeTemporal) CountWorkflow(
	_ context.Context, r *workflowservice.CountWorkflowExecutionsRequest,
) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return nil, f.down
	}
	f.counted = append(f.counted, r.GetQuery())
	return &workflowservice.CountWorkflowExecutionsResponse{Count: f.count(r.GetQuery())}, nil
}

func (f *fakeTemporal) DescribeTaskQueue(
	_ context.Context, _ string, kind enumspb.TaskQueueType,
) (*workflowservice.DescribeTaskQueueResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return nil, f.down
	}
	r := &workflowservice.DescribeTaskQueueResponse{}
	for _, seen := range f.pollers[kind] {
		r.Pollers = append(r.Pollers, &taskqueuepb.PollerInfo{LastAccessTime: timestamppb.New(seen)})
	}
	return r, nil
}

// started starts a saga by the API's own way.
func (b *bundle) started(t *testing.T, path, body string) {
	t.Helper()
	require.Equal(t, 202, b.post(t, path, body).status)
}

// stuckTemporal does not answer once it is stuck.
type stuckTemporal struct {
	*fakeTemporal
	stuck chan struct{}
	asked chan struct{}
}

func (s stuckTemporal) DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	select {
	case <-s.stuck:
		select {
		case s.asked <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return nil, ctx.Err()
	default:
		return s.fakeTemporal.DescribeWorkflowExecution(ctx, id, run)
	}
}
