package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/workflows"
)

// Cluster is where histories are downloaded from.
type Cluster struct {
	Client    client.Client
	Namespace string
	// Query narrows down which, as a visibility query. Default: all workflows of ours.
	Query string
	// Limit is how many at most: those that run first, and then those that ended last.
	Limit int
	// downloaded and found are how far Download has come.
	downloaded, found atomic.Int64
}

const (
	pageSize = 1000
	// downloads is how many histories are read at the same time. Temporal has other things to do.
	downloads = 8
)

// Progress is how many histories have been downloaded, of those found so far.
func (c *Cluster) Progress() (downloaded, found int64) { return c.downloaded.Load(), c.found.Load() }

// Download calls use with each history, several at the same time.
func (c *Cluster) Download(ctx context.Context, use func(History) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(downloads)
	err := c.find(ctx, func(info *workflowpb.WorkflowExecutionInfo) {
		c.found.Add(1)
		g.Go(func() error {
			h, err := c.read(ctx, info)
			if err == nil {
				err = use(h)
			}
			c.downloaded.Add(1)
			return err
		})
	})
	if failed := g.Wait(); failed != nil {
		return failed // and not that finding was given up because of it
	}
	return err
}

// find calls use with each workflow.
func (c *Cluster) find(ctx context.Context, use func(*workflowpb.WorkflowExecutionInfo)) error {
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: c.Namespace, PageSize: int32(min(c.Limit, pageSize)), Query: c.query(),
	}
	for left := c.Limit; ; {
		page, err := c.Client.ListWorkflow(ctx, request)
		if err != nil {
			return fmt.Errorf("find workflows: %w", err)
		}
		for _, info := range page.GetExecutions()[:min(left, len(page.GetExecutions()))] {
			use(info)
			left--
		}
		request.NextPageToken = page.GetNextPageToken()
		if left == 0 || len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

func (c *Cluster) query() string {
	names := registered()
	slices.Sort(names)
	query := "WorkflowType IN ('" + strings.Join(names, "', '") + "')"
	if c.Query != "" {
		query += " AND (" + c.Query + ")"
	}
	return query
}

func (c *Cluster) read(ctx context.Context, info *workflowpb.WorkflowExecutionInfo) (History, error) {
	id, run := info.GetExecution().GetWorkflowId(), info.GetExecution().GetRunId()
	h := History{Name: id, Run: run}
	it := c.Client.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		if err != nil {
			return History{}, fmt.Errorf("read the history of %s: %w", id, err)
		}
		h.Events = append(h.Events, event)
	}
	return h, nil
}

// registered are the types of our workflows.
func registered() []string {
	var names registry
	workflows.Register(&names)
	return names
}
