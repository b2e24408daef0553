package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/compensation"
)

// Sagas looks at the sagas themselves, through the Temporal client of the worker that runs it.
type Sagas struct{}

// FindEnded asks for the sagas that were ended from outside.
type FindEnded struct {
	// Types are the sagas' workflow types.
	Types []string `json:"types"`
	// Since is how far back to look.
	Since time.Time `json:"since"`
	// RecoveryPrefix and a saga's ID are the ID of its recovery.
	RecoveryPrefix string `json:"recovery_prefix"`
	// PageToken continues an earlier answer.
	PageToken []byte `json:"page_token,omitempty"`
}

// EndedPage is a part of the sagas that were ended from outside.
type EndedPage struct {
	// IDs are the workflow IDs of those without a recovery.
	IDs []string `json:"ids"`
	// Types are the workflow types of those, by ID.
	Types map[string]string `json:"types"`
	// Known counts those with a recovery.
	Known int `json:"known"`
	// PageToken is empty at the end.
	PageToken []byte `json:"page_token,omitempty"`
}

// pageSize is how many sagas one page has: they stand in the sweeper's history.
const pageSize = 100

// FindEnded lists the sagas that Temporal ended from outside since then.
func (*Sagas) FindEnded(ctx context.Context, in FindEnded) (EndedPage, error) {
	return findEnded(ctx, activity.GetClient(ctx), in)
}

func findEnded(ctx context.Context, c client.Client, in FindEnded) (EndedPage, error) {
	r, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize:      pageSize,
		NextPageToken: in.PageToken,
		Query:         compensation.EndedQuery(in.Types...) + fmt.Sprintf(" AND CloseTime >= %q", in.Since.UTC().Format(time.RFC3339)),
	})
	if err != nil {
		return EndedPage{}, fmt.Errorf("list sagas that were ended from outside: %w", err)
	}
	page := EndedPage{Types: map[string]string{}, PageToken: r.GetNextPageToken()}
	for _, info := range r.GetExecutions() {
		id := info.GetExecution().GetWorkflowId()
		if _, twice := page.Types[id]; twice {
			continue
		}
		known, err := exists(ctx, c, in.RecoveryPrefix+id)
		switch {
		case err != nil:
			return EndedPage{}, err
		case known:
			page.Known++
		default:
			page.IDs = append(page.IDs, id)
			page.Types[id] = info.GetType().GetName()
		}
	}
	return page, nil
}

func exists(ctx context.Context, c client.Client, workflowID string) (bool, error) {
	_, err := c.DescribeWorkflowExecution(ctx, workflowID, "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	return true, nil
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
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return EndedSaga{}, nil // its retention is over
	}
	return EndedSaga{Recover: ok, Ended: ended}, err
}
