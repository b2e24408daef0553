package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// fake is Temporal with so many workflows, three a page.
type fake struct {
	client.Client

	workflows int
	// broken is the workflow whose history cannot be read.
	broken string
	query  string
}

func (f *fake) ListWorkflow(
	_ context.Context, in *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	f.query = in.GetQuery()
	first := 0
	if in.GetNextPageToken() != nil {
		first = int(in.GetNextPageToken()[0])
	}
	out := &workflowservice.ListWorkflowExecutionsResponse{}
	for i := first; i < min(first+3, f.workflows); i++ {
		out.Executions = append(out.Executions, &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: fmt.Sprintf("order-%d", i), RunId: fmt.Sprintf("run-%d", i)},
		})
	}
	if first+3 < f.workflows {
		out.NextPageToken = []byte{byte(first + 3)}
	}
	return out, nil
}

func (f *fake) GetWorkflowHistory(
	_ context.Context, id, run string, _ bool, _ enumspb.HistoryEventFilterType,
) client.HistoryEventIterator {
	return &events{id: id, run: run, broken: id == f.broken}
}

// events is a history of two events.
type events struct {
	id, run string
	broken  bool
	n       int64
}

func (e *events) HasNext() bool { return e.n < 2 }

func (e *events) Next() (*historypb.HistoryEvent, error) {
	if e.broken {
		return nil, errors.New("gone")
	}
	e.n++
	return &historypb.HistoryEvent{EventId: e.n}, nil
}

func TestDownload(t *testing.T) {
	t.Parallel()

	for limit, want := range map[int]int{1: 1, 3: 3, 4: 4, 7: 7, 100: 7} {
		c := &Cluster{Client: &fake{workflows: 7}, Limit: limit}
		var mu sync.Mutex
		got := map[string]string{}
		require.NoError(t, c.Download(t.Context(), func(h History) error {
			mu.Lock()
			defer mu.Unlock()
			got[h.Name] = h.Run
			require.Len(t, h.Events, 2)
			return nil
		}))
		require.Len(t, got, want, "%d at most", limit)
		require.Equal(t, "run-0", got["order-0"])
		downloaded, found := c.Progress()
		require.EqualValues(t, want, downloaded)
		require.EqualValues(t, want, found)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()

	f := &fake{}
	require.NoError(t, (&Cluster{Client: f, Limit: 1}).Download(t.Context(), nil))
	require.Equal(t, "WorkflowType IN ('ActOnSagas', 'AuditBooks', 'PlaceOrder', 'RecoverSaga', 'ReturnOrder', 'SweepSagas')", f.query)
	require.NoError(t, (&Cluster{Client: f, Limit: 1, Query: "A = 1 OR B = 2"}).Download(t.Context(), nil))
	require.Contains(t, f.query, " AND (A = 1 OR B = 2)")
}

func TestDownloadFails(t *testing.T) {
	t.Parallel()

	c := &Cluster{Client: &fake{workflows: 7, broken: "order-5"}, Limit: 100}
	err := c.Download(t.Context(), func(History) error { return nil })
	require.EqualError(t, err, "read the history of order-5: gone")

	full := errors.New("disk full")
	c = &Cluster{Client: &fake{workflows: 7}, Limit: 100}
	require.ErrorIs(t, c.Download(t.Context(), func(History) error { return full }), full)
}
