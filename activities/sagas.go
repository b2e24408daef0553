package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/compensation"
)

// Sagas looks at the sagas themselves, through the Temporal client of the worker that runs it.
type Sagas struct{}

// FindEnded asks for the sagas that were ended from outside.
type FindEnded struct {
	// Types are the sagas' workflow types.
	Types []string `json:"types"`
	// Since limits how far back to look. Sagas that ended before the namespace's retention began are left out: their
	// recoveries may be forgotten.
	Since time.Time `json:"since"`
	// RecoveryPrefix and a saga's ID are the ID of its recovery.
	RecoveryPrefix string `json:"recovery_prefix"`
	// PageToken continues an earlier answer.
	PageToken []byte `json:"page_token,omitempty"`
}

// EndedPage is a part of the sagas that were ended from outside.
type EndedPage struct {
	// Sagas are the sagas that need a recovery.
	Sagas []FoundSaga `json:"sagas,omitempty"`
	// Known counts those whose recovery runs or completed.
	Known int `json:"known"`
	// NothingToDo counts the runs that a newer run with the same ID has followed, such as after a reset, and those that
	// no longer exist.
	NothingToDo int `json:"nothing_to_do,omitempty"`
	// Unreadable are the sagas for which Temporal did not report whether they have a recovery.
	Unreadable []UnreadableSaga `json:"unreadable,omitempty"`
	// IDs and Types preceded Sagas: workflow IDs, and workflow types by ID. Sweeps that began then have them in their
	// histories.
	IDs   []string          `json:"ids,omitempty"`
	Types map[string]string `json:"types,omitempty"`
	// PageToken is empty at the end.
	PageToken []byte `json:"page_token,omitempty"`
}

// FoundSaga is a saga that was ended from outside and needs a recovery.
type FoundSaga struct {
	// ID is the workflow ID, Type the workflow type.
	ID   string `json:"id"`
	Type string `json:"type"`
	// Before is the outcome of its previous recovery; empty if it had no recovery.
	Before RecoveryBefore `json:"before,omitempty"`
}

// RecoveryBefore is the outcome of the last recovery with a saga's ID.
type RecoveryBefore string

const (
	// RecoveryEnded is a recovery that was terminated, timed out or failed.
	RecoveryEnded RecoveryBefore = "ended"
	// RecoveryOfOtherRun is a recovery that completed, of an earlier run with the saga's ID.
	RecoveryOfOtherRun RecoveryBefore = "other_run"
)

// UnreadableSaga is a saga that a sweep goes past.
type UnreadableSaga struct {
	ID string `json:"id"`
	// Error is the reason.
	Error string `json:"error"`
}

// MemoRecoveredRun is the memo field of a recovery with the run ID of the saga that it recovers.
const MemoRecoveredRun = "RecoveredRun"

const (
	// pageSize is the number of sagas on a page, which is in the sweeper's history.
	pageSize = 100
	// describers limits the sagas that are looked at at the same time. Temporal has other things to do.
	describers = 8
	// clockSkew limits the difference between the clocks of a worker and of Temporal.
	clockSkew = time.Minute
	// maxEnded limits the input of a recovery about its saga, in bytes of JSON. Temporal refuses an input of 2 MiB, and
	// ends the workflow that starts a child with one.
	maxEnded = 1 << 20
)

// ErrTypeTooManySteps is the type of ReadEnded's failure for a saga that started more steps than a recovery's input can
// hold.
const ErrTypeTooManySteps = "TooManySteps"

// FindEnded lists the sagas that Temporal ended from outside since then. A saga that cannot be read is no error.
func (*Sagas) FindEnded(ctx context.Context, in FindEnded) (EndedPage, error) {
	return findEnded(ctx, activity.GetClient(ctx), activity.GetInfo(ctx).Namespace, in)
}

func findEnded(ctx context.Context, c client.Client, namespace string, in FindEnded) (EndedPage, error) {
	since := kept(ctx, c, namespace, in.Since)
	r, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize:      pageSize,
		NextPageToken: in.PageToken,
		Query:         compensation.EndedQuery(in.Types...) + fmt.Sprintf(" AND CloseTime >= %q", since.UTC().Format(time.RFC3339)),
	})
	if err != nil {
		return EndedPage{}, fmt.Errorf("list sagas that were ended from outside: %w", err)
	}
	looks := make([]look, len(r.GetExecutions()))
	var g errgroup.Group
	g.SetLimit(describers)
	for i, info := range r.GetExecutions() {
		g.Go(func() error {
			looks[i] = lookAt(ctx, c, info, in.RecoveryPrefix)
			return nil
		})
	}
	_ = g.Wait() // no look returns an error
	page := EndedPage{PageToken: r.GetNextPageToken()}
	for i, info := range r.GetExecutions() {
		id, l := info.GetExecution().GetWorkflowId(), looks[i]
		switch {
		case l.err != nil:
			page.Unreadable = append(page.Unreadable, UnreadableSaga{ID: id, Error: l.err.Error()})
		case l.over:
			page.NothingToDo++
		case l.known:
			page.Known++
		default:
			page.Sagas = append(page.Sagas, FoundSaga{ID: id, Type: info.GetType().GetName(), Before: l.before})
		}
	}
	if ctx.Err() != nil {
		return EndedPage{}, ctx.Err() // a canceled look proves nothing about its saga
	}
	return page, nil
}

// kept returns since, or the beginning of the namespace's certain retention, if that is later. Before it, a recovery may
// be gone whose saga is still there, since Temporal does not delete in order, and an operator who has settled a recovery
// must not be asked again.
func kept(ctx context.Context, c client.Client, namespace string, since time.Time) time.Time {
	r, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return since // not every caller may ask, and a missed recovery is worse than a repeated one
	}
	retention := r.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
	if begin := time.Now().Add(clockSkew - retention); retention > 0 && begin.After(since) {
		return begin
	}
	return since
}

// A look is FindEnded's finding about one run.
type look struct {
	err error
	// over is set if there is nothing to recover, known if a recovery runs or completed.
	over, known bool
	before      RecoveryBefore
}

func lookAt(ctx context.Context, c client.Client, run *workflowpb.WorkflowExecutionInfo, prefix string) look {
	id := run.GetExecution().GetWorkflowId()
	newest, err := describe(ctx, c, id)
	if err != nil {
		return look{err: err}
	}
	if newest.GetExecution().GetRunId() != run.GetExecution().GetRunId() {
		return look{over: true}
	}
	recovery, err := describe(ctx, c, prefix+id)
	if err != nil {
		return look{err: err}
	}
	if recovery == nil {
		return look{}
	}
	switch recovery.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED,
		enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return look{before: RecoveryEnded}
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		if !recovers(recovery, run) {
			return look{before: RecoveryOfOtherRun}
		}
	default:
	}
	return look{known: true}
}

// recovers reports whether the recovery is of that run. A recovery from before recoveries had a memo is, if it began
// after the run had ended.
func recovers(recovery, run *workflowpb.WorkflowExecutionInfo) bool {
	if memo := recovery.GetMemo().GetFields()[MemoRecoveredRun]; memo != nil {
		var id string
		err := converter.GetDefaultDataConverter().FromPayload(memo, &id)
		return err != nil || id == run.GetExecution().GetRunId()
	}
	return !recovery.GetStartTime().AsTime().Before(run.GetCloseTime().AsTime())
}

// describe describes the newest run with that ID; nil if there is none.
func describe(ctx context.Context, c client.Client, workflowID string) (*workflowpb.WorkflowExecutionInfo, error) {
	r, err := c.DescribeWorkflowExecution(ctx, workflowID, "")
	if gone := (*serviceerror.NotFound)(nil); errors.As(err, &gone) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	return r.GetWorkflowExecutionInfo(), nil
}

// EndedSaga is what is known of a saga for its recovery.
type EndedSaga struct {
	// Recover is false if there is nothing to recover.
	Recover bool `json:"recover"`
	compensation.Ended
}

// ReadEnded reads the history of a saga.
func (*Sagas) ReadEnded(ctx context.Context, workflowID string) (EndedSaga, error) {
	return readEnded(ctx, activity.GetClient(ctx), workflowID)
}

func readEnded(ctx context.Context, c client.Client, workflowID string) (EndedSaga, error) {
	ended, ok, err := compensation.ReadEnded(ctx, c, workflowID)
	if gone := (*serviceerror.NotFound)(nil); errors.As(err, &gone) {
		return EndedSaga{}, nil // its retention is over
	}
	if err != nil {
		return EndedSaga{}, err
	}
	text, err := json.Marshal(ended)
	if err != nil {
		return EndedSaga{}, err
	}
	if len(text) > maxEnded {
		return EndedSaga{}, temporal.NewNonRetryableApplicationError(fmt.Sprintf(
			"%s started %d steps, too many for one recovery: undo them by hand", workflowID, len(ended.Started)), ErrTypeTooManySteps, nil)
	}
	return EndedSaga{Recover: ok, Ended: ended}, nil
}
