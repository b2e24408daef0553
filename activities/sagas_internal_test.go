package activities

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/compensation"
)

// fakeList is a Temporal that has these executions, the workflow types by ID, and knows these recoveries.
type fakeList struct {
	client.Client // panics on what nobody has any business calling

	found  [][2]string
	known  map[string]error
	failed error
	asked  *workflowservice.ListWorkflowExecutionsRequest
}

func (f *fakeList) ListWorkflow(
	_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	f.asked = r
	if f.failed != nil {
		return nil, f.failed
	}
	page := &workflowservice.ListWorkflowExecutionsResponse{NextPageToken: []byte("more")}
	for _, e := range f.found {
		page.Executions = append(page.Executions, &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: e[0]}, Type: &commonpb.WorkflowType{Name: e[1]},
		})
	}
	return page, nil
}

func (f *fakeList) DescribeWorkflowExecution(
	_ context.Context, id, _ string,
) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	err, ok := f.known[id]
	if !ok {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{}, err
}

// TestFindEnded: those without a recovery are found, each once, by the engine's query and from the day that is asked for.
func TestFindEnded(t *testing.T) {
	t.Parallel()

	f := &fakeList{
		found: [][2]string{{"order-1", "PlaceOrder"}, {"order-2", "PlaceOrder"}, {"return-3", "ReturnOrder"}, {"order-1", "PlaceOrder"}},
		known: map[string]error{"recover-order-2": nil},
	}
	in := FindEnded{
		Types: []string{"PlaceOrder", "ReturnOrder"}, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
		RecoveryPrefix: "recover-", PageToken: []byte("here"),
	}
	page, err := findEnded(t.Context(), f, in)
	require.NoError(t, err)
	require.Equal(t, EndedPage{
		IDs: []string{"order-1", "return-3"}, Types: map[string]string{"order-1": "PlaceOrder", "return-3": "ReturnOrder"},
		Known: 1, PageToken: []byte("more"),
	}, page)
	require.Equal(t, compensation.EndedQuery(in.Types...)+` AND CloseTime >= "2026-01-02T02:04:05Z"`, f.asked.GetQuery())
	require.Equal(t, []byte("here"), f.asked.GetNextPageToken())
	require.EqualValues(t, 100, f.asked.GetPageSize())

	f.known["recover-return-3"] = errors.New("connection reset")
	_, err = findEnded(t.Context(), f, in)
	require.ErrorContains(t, err, "describe recover-return-3: connection reset")
	f.failed = errors.New("unavailable")
	_, err = findEnded(t.Context(), f, in)
	require.ErrorContains(t, err, "list sagas that were ended from outside: unavailable")
}

func TestFindSagas(t *testing.T) {
	t.Parallel()

	f := &fakeList{found: [][2]string{{"order-1", "PlaceOrder"}, {"order-2", "PlaceOrder"}}}
	page, err := findSagas(t.Context(), f, FindSagas{Query: "SagaState = 'parked'", PageToken: []byte("here")})
	require.NoError(t, err)
	require.Equal(t, SagaPage{IDs: []string{"order-1", "order-2"}, PageToken: []byte("more")}, page)
	require.Equal(t, "SagaState = 'parked'", f.asked.GetQuery())
	require.Equal(t, []byte("here"), f.asked.GetNextPageToken())
	require.EqualValues(t, 100, f.asked.GetPageSize())

	f.failed = errors.New("unavailable")
	_, err = findSagas(t.Context(), f, FindSagas{})
	require.ErrorContains(t, err, "find sagas: unavailable")
}
