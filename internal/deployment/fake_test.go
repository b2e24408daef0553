package deployment

import (
	"cmp"
	"context"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

type routing = deploymentpb.RoutingConfig

// fake is Temporal with one deployment, "amends". mu guards what follows it.
type fake struct {
	mu sync.Mutex
	// summaries are the versions; nil for a deployment that nobody knows.
	summaries []*summary
	routing   *routing
	// heard is what the task queues know of the routing. With deaf, they hear of no change.
	heard *routing
	deaf  bool
	// busy is how many questions for the deployment are turned down.
	busy int
	// late is how many changes are made, and not answered within the ten seconds that a call waits.
	late int
	// seen is when a worker of a version polled last, by build ID.
	seen map[string]time.Time
	// noted is what Temporal has noted of a version's task queues; both, of a version that is not in here.
	noted map[string][]client.WorkerDeploymentTaskQueueInfo
	// onlyWorkflows is a version whose workers poll for workflow tasks only.
	onlyWorkflows string
	pinned        map[string]int64
	queries       []string
	// running are the sagas that lists show, by ID, in pages of two; refuses is what Temporal says to who would move one.
	running []string
	refuses map[string]error
	// afterList is called when so many pages of lists were given; nil if nothing happens then.
	afterList func(lists int)
	lists     int
	// rerouted is which sagas were sent where, and by whom.
	rerouted []string
}

// The faces of a fake.
type (
	fakeClient struct {
		client.Client
		*fake
	}
	fakeService struct {
		workflowservice.WorkflowServiceClient
		*fake
	}
	fakeDeployments struct {
		client.WorkerDeploymentClient
		*fake
	}
	fakeHandle struct {
		client.WorkerDeploymentHandle
		*fake
	}
)

func (f fakeClient) WorkflowService() workflowservice.WorkflowServiceClient {
	return fakeService{fake: f.fake}
}

func (f fakeClient) WorkerDeploymentClient() client.WorkerDeploymentClient {
	return fakeDeployments{fake: f.fake}
}

func (f fakeDeployments) GetHandle(string) client.WorkerDeploymentHandle {
	return fakeHandle{fake: f.fake}
}

func version(id string) *deploymentpb.WorkerDeploymentVersion {
	return &deploymentpb.WorkerDeploymentVersion{DeploymentName: "amends", BuildId: id}
}

func (f fakeService) DescribeWorkerDeployment(
	context.Context, *workflowservice.DescribeWorkerDeploymentRequest, ...grpc.CallOption,
) (*workflowservice.DescribeWorkerDeploymentResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy > 0 {
		f.busy--
		return nil, serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW, "too many requests")
	}
	if f.summaries == nil {
		return nil, serviceerror.NewNotFound("no such deployment")
	}
	return &workflowservice.DescribeWorkerDeploymentResponse{WorkerDeploymentInfo: &deploymentpb.WorkerDeploymentInfo{
		VersionSummaries: f.summaries, RoutingConfig: f.routing,
	}}, nil
}

func (f fakeClient) DescribeTaskQueue(
	_ context.Context, _ string, kind enumspb.TaskQueueType,
) (*workflowservice.DescribeTaskQueueResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &workflowservice.DescribeTaskQueueResponse{VersioningInfo: &taskqueuepb.TaskQueueVersioningInfo{
		CurrentDeploymentVersion: f.heard.GetCurrentDeploymentVersion(), RampingDeploymentVersion: f.heard.GetRampingDeploymentVersion(),
		RampingVersionPercentage: f.heard.GetRampingVersionPercentage(),
	}}
	for id, at := range f.seen {
		if id == f.onlyWorkflows && kind != enumspb.TASK_QUEUE_TYPE_WORKFLOW {
			continue
		}
		answer.Pollers = append(answer.Pollers, &taskqueuepb.PollerInfo{
			LastAccessTime: timestamppb.New(at), DeploymentOptions: &deploymentpb.WorkerDeploymentOptions{DeploymentName: "amends", BuildId: id},
		}, &taskqueuepb.PollerInfo{
			LastAccessTime: timestamppb.New(at), DeploymentOptions: &deploymentpb.WorkerDeploymentOptions{DeploymentName: "other", BuildId: id},
		})
	}
	return answer, nil
}

func (f fakeClient) CountWorkflow(
	_ context.Context, in *workflowservice.CountWorkflowExecutionsRequest,
) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries = append(f.queries, in.GetQuery())
	for id, n := range f.pinned {
		if (&Deployment{name: "amends"}).pinnedQuery(id) == in.GetQuery() {
			return &workflowservice.CountWorkflowExecutionsResponse{Count: n}, nil
		}
	}
	return &workflowservice.CountWorkflowExecutionsResponse{}, nil
}

func (f fakeClient) ListWorkflow(
	_ context.Context, in *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries = append(f.queries, in.GetQuery())
	answer := &workflowservice.ListWorkflowExecutionsResponse{}
	from := len(in.GetNextPageToken())
	for _, id := range f.running[from:min(from+2, len(f.running))] {
		answer.Executions = append(answer.Executions, &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: "run of " + id},
		})
	}
	if from+2 < len(f.running) {
		answer.NextPageToken = make([]byte, from+2)
	}
	if f.lists++; f.afterList != nil {
		f.afterList(f.lists)
	}
	return answer, nil
}

func (f fakeService) UpdateWorkflowExecutionOptions(
	ctx context.Context, in *workflowservice.UpdateWorkflowExecutionOptionsRequest, _ ...grpc.CallOption,
) (*workflowservice.UpdateWorkflowExecutionOptionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := in.GetWorkflowExecution().GetWorkflowId()
	if err := f.refuses[id]; err != nil || ctx.Err() != nil {
		return nil, cmp.Or(err, ctx.Err())
	}
	to := in.GetWorkflowExecutionOptions().GetVersioningOverride().GetOneTime().GetTargetDeploymentVersion()
	f.rerouted = append(f.rerouted, id+" to "+to.GetDeploymentName()+":"+to.GetBuildId()+" by "+in.GetIdentity())
	return &workflowservice.UpdateWorkflowExecutionOptionsResponse{}, nil
}

func (f fakeHandle) DescribeVersion(
	_ context.Context, o client.WorkerDeploymentDescribeVersionOptions,
) (client.WorkerDeploymentVersionDescription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	queues, ok := f.noted[o.BuildID]
	if !ok {
		queues = []client.WorkerDeploymentTaskQueueInfo{
			{Name: "queue", Type: client.TaskQueueTypeWorkflow}, {Name: "queue", Type: client.TaskQueueTypeActivity},
		}
	}
	return client.WorkerDeploymentVersionDescription{Info: client.WorkerDeploymentVersionInfo{TaskQueuesInfos: queues}}, nil
}

func (f fakeHandle) SetCurrentVersion(
	_ context.Context, o client.WorkerDeploymentSetCurrentVersionOptions,
) (client.WorkerDeploymentSetCurrentVersionResponse, error) {
	return client.WorkerDeploymentSetCurrentVersionResponse{}, f.route(&routing{CurrentDeploymentVersion: version(o.BuildID)})
}

func (f fakeHandle) SetRampingVersion(
	_ context.Context, o client.WorkerDeploymentSetRampingVersionOptions,
) (client.WorkerDeploymentSetRampingVersionResponse, error) {
	r := &routing{CurrentDeploymentVersion: f.routing.GetCurrentDeploymentVersion()}
	if o.BuildID != "" {
		r.RampingDeploymentVersion, r.RampingVersionPercentage = version(o.BuildID), o.Percentage
	}
	return client.WorkerDeploymentSetRampingVersionResponse{}, f.route(r)
}

// route changes the routing. The task queues hear of it two seconds later.
func (f *fake) route(r *routing) (err error) {
	f.change(func() {
		f.routing = r
		if !f.deaf {
			time.AfterFunc(2*time.Second, func() { f.change(func() { f.heard = r }) })
		}
		if f.late > 0 {
			f.late--
			err = serviceerror.NewDeadlineExceeded("context deadline exceeded")
		}
	})
	if err != nil {
		<-time.After(10 * time.Second)
	}
	return err
}

func (f *fake) change(what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what()
}
