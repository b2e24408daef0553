package deployment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	deploymentpb "go.temporal.io/api/deployment/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// ErrGetsSagas is why a version's sagas are not moved away: more would come.
var ErrGetsSagas = errors.New("it gets sagas that start: roll back or promote another version first")

// ErrNoCurrent is why no version can be left out.
var ErrNoCurrent = errors.New("no version is current: say which one the sagas go to")

// Selection is which sagas are moved: those that run and are pinned to a version of the deployment.
type Selection struct {
	// From is the build ID of the version that they leave; empty for any.
	From string
	// Query is one of Temporal's visibility queries, which they match; empty for all.
	Query string
}

// Move is a way for running sagas to another version. Each is moved once: its next workflow task goes to a worker of the
// version, and from then on it is pinned to that one, as it was to the one before. So it can be moved again.
//
// The sagas are moved one by one, and not as a batch of Temporal's: a batch does not tell which of them failed.
type Move struct {
	// To is the version's build ID.
	To string
	// Query finds the sagas.
	Query string

	deployment   *Deployment
	moved, found atomic.Int64
}

// NewMove prepares a move, once a worker of the version polls; it waits so long for one. Empty, to is the current version.
// It moves nothing yet. The errors it returns wrap [ErrNoWorker], [ErrGetsSagas] or [ErrNoCurrent], if that is why.
func (d *Deployment) NewMove(ctx context.Context, which Selection, to string, wait time.Duration) (*Move, error) {
	status, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	current, _ := status.in(Current)
	m := &Move{To: cmp.Or(to, current.BuildID), deployment: d}
	if m.To == "" {
		return nil, fmt.Errorf("deployment %s: %w", d.name, ErrNoCurrent)
	}
	if which.From != "" {
		from, ok := status.Version(which.From)
		switch {
		case !ok:
			return nil, fmt.Errorf("deployment %s has no version %s", d.name, which.From)
		case from.State == Current || from.State == Ramping:
			return nil, fmt.Errorf("version %s is %s: %w", from.BuildID, from.State, ErrGetsSagas)
		}
	}
	m.Query = d.moveQuery(which, m.To)
	return m, d.awaitWorkers(ctx, m.To, wait)
}

// moveQuery finds the sagas that are pinned elsewhere.
func (d *Deployment) moveQuery(which Selection, to string) string {
	query := fmt.Sprintf("TemporalWorkerDeployment = %s AND TemporalWorkerDeploymentVersion != %s AND %s",
		quote(d.name), quote(d.name+":"+to), pinnedAndRunning)
	if which.From != "" {
		query = d.pinnedQuery(which.From)
	}
	if which.Query != "" {
		query += " AND (" + which.Query + ")"
	}
	return query
}

// Count is how many sagas there are to move. Lists follow a moment later than sagas.
func (m *Move) Count(ctx context.Context) (int64, error) { return m.deployment.count(ctx, m.Query) }

// Progress is how many sagas have been moved, of those found so far.
func (m *Move) Progress() (moved, found int64) { return m.moved.Load(), m.found.Load() }

// Moved is what became of a move.
type Moved struct {
	To    string `json:"to"`
	Moved int    `json:"moved"`
	// Ended is how many ended before it was their turn.
	Ended int `json:"ended"`
	// Stayed are those that could not be moved, by ID.
	Stayed []Stayed `json:"stayed"`
}

// Stayed is a saga that could not be moved.
type Stayed struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

// movesAtOnce is how many sagas are moved at the same time. Temporal has other things to do.
const movesAtOnce = 8

// Run moves the sagas, in the name of by, which stays in their histories. It looks for more until it finds none that it can
// move: lists follow, and what Temporal was too busy for is tried again. When it ends early, it returns with the error
// what was moved until then.
func (m *Move) Run(ctx context.Context, by string) (Moved, error) {
	r := moving{Move: m, by: by, settled: map[string]bool{}}
	for progress := true; progress; {
		before := len(r.settled)
		if err := r.pass(ctx); err != nil {
			return r.report(), err
		}
		progress = len(r.settled) > before
	}
	return r.report(), nil
}

// moving is a move as it goes. mu guards what follows it.
type moving struct {
	*Move
	by string

	mu sync.Mutex
	// settled are the runs of sagas that are moved or have ended.
	settled map[string]bool
	ended   int
	stayed  []Stayed
}

// pass tries to move each saga that is in the list and not settled.
func (r *moving) pass(ctx context.Context) error {
	r.stayed = nil
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(movesAtOnce)
	err := r.find(ctx, func(info *workflowpb.WorkflowExecutionInfo) {
		g.Go(func() error {
			err := r.deployment.reroute(ctx, info, r.To, r.by)
			if err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			r.note(info, err)
			return nil
		})
	})
	return errors.Join(g.Wait(), err)
}

// find calls use with each saga of the list that is not settled.
func (r *moving) find(ctx context.Context, use func(*workflowpb.WorkflowExecutionInfo)) error {
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: r.deployment.namespace, PageSize: 1000, Query: r.Query}
	found := r.moved.Load()
	for {
		page, err := r.deployment.client.ListWorkflow(ctx, request)
		if err != nil {
			return fmt.Errorf("find the sagas to move: %w", err)
		}
		fresh := slices.DeleteFunc(page.GetExecutions(), r.isSettled)
		found += int64(len(fresh))
		r.found.Store(found)
		for _, info := range fresh {
			use(info)
		}
		request.NextPageToken = page.GetNextPageToken()
		if len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

func (r *moving) isSettled(info *workflowpb.WorkflowExecutionInfo) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled[info.GetExecution().GetRunId()]
}

// note keeps what became of a saga.
func (r *moving) note(info *workflowpb.WorkflowExecutionInfo, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, run := info.GetExecution().GetWorkflowId(), info.GetExecution().GetRunId()
	var notFound *serviceerror.NotFound
	switch {
	case err == nil:
		r.settled[run] = true
		r.moved.Add(1)
	case errors.As(err, &notFound): // so Temporal says of one that has ended, too
		r.settled[run] = true
		r.ended++
	default:
		r.stayed = append(r.stayed, Stayed{ID: id, Error: err.Error()})
	}
}

func (r *moving) report() Moved {
	slices.SortFunc(r.stayed, func(a, b Stayed) int { return strings.Compare(a.ID, b.ID) })
	return Moved{To: r.To, Moved: int(r.moved.Load()), Ended: r.ended, Stayed: append([]Stayed{}, r.stayed...)}
}

// reroute sends a saga's next workflow task to the version.
func (d *Deployment) reroute(ctx context.Context, info *workflowpb.WorkflowExecutionInfo, buildID, by string) error {
	// Not through the SDK: it does not say who asks.
	_, err := d.client.WorkflowService().UpdateWorkflowExecutionOptions(ctx, &workflowservice.UpdateWorkflowExecutionOptionsRequest{
		Namespace: d.namespace, WorkflowExecution: info.GetExecution(), Identity: by,
		WorkflowExecutionOptions: &workflowpb.WorkflowExecutionOptions{VersioningOverride: &workflowpb.VersioningOverride{
			Override: &workflowpb.VersioningOverride_OneTime{OneTime: &workflowpb.VersioningOverride_OneTimeOverride{
				TargetDeploymentVersion: &deploymentpb.WorkerDeploymentVersion{DeploymentName: d.name, BuildId: buildID},
			}},
		}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"versioning_override"}},
	})
	return err
}
