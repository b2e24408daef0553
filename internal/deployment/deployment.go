// Package deployment knows Temporal's worker deployments: the versions of the workers, which of them gets the sagas that
// start, and how many sagas each still has. It reads and changes what Temporal routes, and starts or stops no process.
package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"
)

// State is what a version is for.
type State string

// The states of a version: Current gets the sagas that start, but for those that go to a Ramping one. Draining gets none,
// and has some still; Drained has none. Inactive never got any.
const (
	Current  State = "current"
	Ramping  State = "ramping"
	Draining State = "draining"
	Drained  State = "drained"
	Inactive State = "inactive"
)

// Version is one build of the workers.
type Version struct {
	BuildID string `json:"build_id"`
	State   State  `json:"state"`
	// Percent of the sagas that start are its own while it ramps.
	Percent float32 `json:"percent,omitempty"`
	// Workers is how many processes poll.
	Workers int `json:"workers"`
	// Pinned is how many running sagas stay with it. Lists follow a moment later than sagas.
	Pinned int64 `json:"pinned"`
	// Since is when it became current or began to ramp, or ceased to; when it was first seen, for one that never was.
	Since time.Time `json:"since"`
	// LastCurrent is when it became current the last time; zero if it never was.
	LastCurrent time.Time `json:"last_current,omitzero"`
}

// Status is a deployment with its versions, the newest first.
type Status struct {
	Name     string    `json:"name"`
	Versions []Version `json:"versions"`
	// settled tells that every task queue has heard of the last change.
	settled bool
}

// Version finds a version of the deployment.
func (s Status) Version(buildID string) (Version, bool) {
	i := slices.IndexFunc(s.Versions, func(v Version) bool { return v.BuildID == buildID })
	if i < 0 {
		return Version{}, false
	}
	return s.Versions[i], true
}

// in finds the version in that state.
func (s Status) in(state State) (Version, bool) {
	i := slices.IndexFunc(s.Versions, func(v Version) bool { return v.State == state })
	if i < 0 {
		return Version{}, false
	}
	return s.Versions[i], true
}

// previous is the version that was current before the one that is.
func (s Status) previous() (Version, bool) {
	var last Version
	for _, v := range s.Versions {
		if v.State != Current && v.LastCurrent.After(last.LastCurrent) {
			last = v
		}
	}
	return last, last.BuildID != ""
}

// Deployment is all versions of the workers of one name.
type Deployment struct {
	client    client.Client
	namespace string
	name      string
	queue     string
}

// Of is the deployment with that name, whose workers poll that task queue.
func Of(c client.Client, namespace, name, taskQueue string) *Deployment {
	return &Deployment{client: c, namespace: namespace, name: name, queue: taskQueue}
}

// CheckName finds what Temporal would not take as the name of a deployment.
func CheckName(name string) error {
	if name == "" || strings.ContainsAny(name, ".:") || strings.HasPrefix(name, "__") {
		return fmt.Errorf("deployment %q: its name must not be empty, contain a dot or a colon, or begin with __", name)
	}
	return nil
}

// Status asks Temporal how the deployment stands. One that no worker has ever polled for is an error that wraps
// [*serviceerror.NotFound].
func (d *Deployment) Status(ctx context.Context) (Status, error) {
	answer, err := d.describe(ctx)
	if err != nil {
		return Status{}, d.wrap("describe", err)
	}
	info := answer.GetWorkerDeploymentInfo()
	workers, settled, err := d.describeQueues(ctx, info.GetRoutingConfig())
	if err != nil {
		return Status{}, err
	}
	s := Status{Name: d.name, settled: settled}
	summaries := slices.SortedStableFunc(slices.Values(info.GetVersionSummaries()), func(a, b *summary) int {
		return b.GetCreateTime().AsTime().Compare(a.GetCreateTime().AsTime())
	})
	for _, summary := range summaries {
		v := versionOf(summary, info.GetRoutingConfig())
		v.Workers = workers[v.BuildID]
		if v.Pinned, err = d.pinned(ctx, v.BuildID); err != nil {
			return Status{}, err
		}
		s.Versions = append(s.Versions, v)
	}
	return s, nil
}

// busyFor is how long Temporal may have no time for a question.
const busyFor = 10 * time.Second

// describe asks for the deployment, again if Temporal is busy: when workers of a version come or sagas are routed anew, it turns
// questions down. The SDK repeats its own calls, but its handle leaves out when a version was current last.
func (d *Deployment) describe(ctx context.Context) (*workflowservice.DescribeWorkerDeploymentResponse, error) {
	var answer *workflowservice.DescribeWorkerDeploymentResponse
	err := insist(ctx, busyFor, isA[*serviceerror.ResourceExhausted], func() (err error) {
		answer, err = d.client.WorkflowService().DescribeWorkerDeployment(ctx, &workflowservice.DescribeWorkerDeploymentRequest{
			Namespace: d.namespace, DeploymentName: d.name,
		})
		return err
	})
	return answer, err
}

// insist asks again for so long as the error is one that passes, and returns what it heard last.
func insist(ctx context.Context, within time.Duration, passes func(error) bool, ask func() error) error {
	over := time.After(within)
	for {
		err := ask()
		if err == nil || !passes(err) {
			return err
		}
		select {
		case <-time.After(lookEvery):
		case <-over:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isA tells whether an error is of that type, or wraps one that is.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

type summary = deploymentpb.WorkerDeploymentInfo_WorkerDeploymentVersionSummary

// versionOf is what the summary says. The routing says which version is current or ramps: the summaries follow.
func versionOf(s *summary, routing *deploymentpb.RoutingConfig) Version {
	v := Version{BuildID: s.GetDeploymentVersion().GetBuildId(), State: Inactive, Since: s.GetCreateTime().AsTime()}
	if at := s.GetLastCurrentTime(); at != nil {
		v.LastCurrent = at.AsTime()
	}
	switch {
	case v.BuildID == routing.GetCurrentDeploymentVersion().GetBuildId():
		v.State, v.Since = Current, routing.GetCurrentVersionChangedTime().AsTime()
	case v.BuildID == routing.GetRampingDeploymentVersion().GetBuildId():
		v.State, v.Since = Ramping, routing.GetRampingVersionChangedTime().AsTime()
		v.Percent = routing.GetRampingVersionPercentage()
	case s.GetStatus() == enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED:
		v.State, v.Since = Drained, s.GetLastDeactivationTime().AsTime()
	case s.GetFirstActivationTime() != nil:
		v.State, v.Since = Draining, s.GetLastDeactivationTime().AsTime()
	}
	return v
}

// pollerLife is how long a poller counts after it was last seen: a poll takes up to a minute.
const pollerLife = 90 * time.Second

// describeQueues counts the processes that poll, by build ID, and tells whether both task queues route as the deployment
// says. They are asked themselves: the deployment's own record of that stayed unsettled for good after some quick changes
// (server 1.32).
func (d *Deployment) describeQueues(ctx context.Context, routing *deploymentpb.RoutingConfig) (workers map[string]int, settled bool, _ error) {
	settled = true
	for i, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_ACTIVITY, enumspb.TASK_QUEUE_TYPE_WORKFLOW} {
		queue, err := d.client.DescribeTaskQueue(ctx, d.queue, kind)
		if err != nil {
			return nil, false, fmt.Errorf("describe task queue %s: %w", d.queue, err)
		}
		polling := map[string]int{}
		for _, p := range queue.GetPollers() {
			if o := p.GetDeploymentOptions(); o.GetDeploymentName() == d.name && time.Since(p.GetLastAccessTime().AsTime()) < pollerLife {
				polling[o.GetBuildId()]++
			}
		}
		if i == 0 {
			workers = polling
		}
		for id := range workers {
			workers[id] = min(workers[id], polling[id]) // a worker polls both
		}
		known := queue.GetVersioningInfo()
		settled = settled && proto.Equal(known.GetCurrentDeploymentVersion(), routing.GetCurrentDeploymentVersion()) &&
			proto.Equal(known.GetRampingDeploymentVersion(), routing.GetRampingDeploymentVersion()) &&
			known.GetRampingVersionPercentage() == routing.GetRampingVersionPercentage()
	}
	return workers, settled, nil
}

// pinned counts the running workflows that stay with the version.
func (d *Deployment) pinned(ctx context.Context, buildID string) (int64, error) {
	return d.count(ctx, d.pinnedQuery(buildID))
}

func (d *Deployment) count(ctx context.Context, query string) (int64, error) {
	answer, err := d.client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: d.namespace, Query: query})
	if err != nil {
		return 0, fmt.Errorf("count sagas: %w", err)
	}
	return answer.GetCount(), nil
}

const pinnedAndRunning = "TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'"

// pinnedQuery is the one with which Temporal itself finds out whether a version is drained.
func (d *Deployment) pinnedQuery(buildID string) string {
	return fmt.Sprintf("TemporalWorkerDeploymentVersion = %s AND %s", quote(d.name+":"+buildID), pinnedAndRunning)
}

// quote is a text as a visibility query has it.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (d *Deployment) wrap(what string, err error) error {
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return fmt.Errorf("%s deployment %s: no worker has polled for it yet: %w", what, d.name, err)
	}
	return fmt.Errorf("%s deployment %s: %w", what, d.name, err)
}
