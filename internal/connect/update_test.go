package connect_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/internal/connect"
)

func (r *recorder) UpdateWorkflowExecution(
	_ context.Context, req *workflowservice.UpdateWorkflowExecutionRequest,
) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.updates++
	if len(r.unsent) > 0 {
		err := r.unsent[0]
		if len(r.unsent) > 1 || !r.always {
			r.unsent = r.unsent[1:]
		}
		return nil, serviceerror.ToStatus(err).Err()
	}
	if r.holds != nil {
		r.holds()
	}
	return &workflowservice.UpdateWorkflowExecutionResponse{
		UpdateRef: &updatepb.UpdateRef{
			WorkflowExecution: req.GetWorkflowExecution(), UpdateId: req.GetRequest().GetMeta().GetUpdateId(),
		},
		Stage:   enumspb.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED,
		Outcome: &updatepb.Outcome{Value: &updatepb.Outcome_Success{Success: &commonpb.Payloads{}}},
	}, nil
}

// The server's errors (service/history/workflow/update/registry.go, service/history/api/updateworkflow/api.go).
var (
	inFlight = &serviceerror.ResourceExhausted{
		Cause: enumspb.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT, Scope: enumspb.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE,
		Message: "limit on number of concurrent in-flight updates has been reached (10)",
	}
	total   = serviceerror.NewFailedPrecondition("The limit on the total number of distinct updates in this workflow has been reached (2000). Make sure …")
	paused  = serviceerror.NewFailedPrecondition("Workflow is paused. Cannot update the workflow.")
	failing = serviceerror.NewWorkflowNotReady("Unable to perform workflow execution update due to Workflow Task in failed state.")
)

func cancelOrder(ctx context.Context, c client.Client) error {
	_, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: "order-42", UpdateName: "cancel", WaitForStage: client.WorkflowUpdateStageAccepted,
	})
	return err
}

func TestWhyUnsent(t *testing.T) {
	t.Parallel()

	for want, said := range map[connect.Unsent]error{
		connect.UnsentInFlight: inFlight,
		connect.UnsentTotal:    total,
		connect.UnsentPaused:   paused,
		connect.UnsentFailing:  failing,
		"":                     serviceerror.NewFailedPrecondition("Context timeout is too short."),
	} {
		temporal := serveRecorder(t)
		temporal.unsent, temporal.always = []error{said}, true
		// A retried update gives up after two of them.
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		err := cancelOrder(ctx, temporal.dial(t, cipherIn(t)))
		stop()
		require.Error(t, err)
		require.Equal(t, want, connect.WhyUnsent(fmt.Errorf("cancel: %w", err)), "%v", err)
	}
	require.Empty(t, connect.WhyUnsent(nil))
	require.Empty(t, connect.WhyUnsent(errors.New("connection reset")))
	require.Empty(t, connect.WhyUnsent(&serviceerror.ResourceExhausted{Cause: enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT}))
}

// An update waits until there is room.
func TestUpdateWaitsForRoom(t *testing.T) {
	t.Parallel()
	temporal := serveRecorder(t)
	temporal.unsent = []error{inFlight, inFlight}

	require.NoError(t, cancelOrder(t.Context(), temporal.dial(t, cipherIn(t))))
	require.Equal(t, 3, temporal.updates)
}

// An update under way when the caller leaves may have been taken, so the error does not claim that there was no room.
func TestUpdateThatMayBeTaken(t *testing.T) {
	t.Parallel()
	temporal := serveRecorder(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	temporal.unsent = []error{inFlight}
	temporal.holds = func() { stop(); <-ctx.Done() }

	err := cancelOrder(ctx, temporal.dial(t, cipherIn(t)))

	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	require.ErrorAs(t, err, &timeout)
	require.Empty(t, connect.WhyUnsent(err))
}
