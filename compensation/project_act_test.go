package compensation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	updatepb "go.temporal.io/api/update/v1"
)

func (h *tape) accepted(t *testing.T, update string, act Act) int64 {
	t.Helper()
	return h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateAcceptedEventAttributes{
			WorkflowExecutionUpdateAcceptedEventAttributes: &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{
				AcceptedRequest: &updatepb.Request{Input: &updatepb.Input{
					Name: update, Args: &commonpb.Payloads{Payloads: []*commonpb.Payload{payload(t, act)}},
				}},
			},
		},
	})
}

// A reset carries over accepted updates: the request stands where it was admitted, and not where it is accepted again.
func TestActsOfBeforeAReset(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateAdmittedEventAttributes{
			WorkflowExecutionUpdateAdmittedEventAttributes: &historypb.WorkflowExecutionUpdateAdmittedEventAttributes{
				Request: &updatepb.Request{
					Meta: &updatepb.Meta{UpdateId: "retry-1"},
					Input: &updatepb.Input{
						Name: UpdateRetry, Args: &commonpb.Payloads{Payloads: []*commonpb.Payload{payload(t, Act{By: "grace"})}},
					},
				},
			},
		},
	})
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateAcceptedEventAttributes{
			WorkflowExecutionUpdateAcceptedEventAttributes: &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{ProtocolInstanceId: "retry-1"},
		},
	})
	status := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Running, ""), h.events)
	require.Len(t, status.Acts, 1)
	require.Equal(t, "grace", status.Acts[0].By)
	require.Equal(t, "retry-1", status.Updates[0].ID)
	require.Equal(t, UpdateRetry, status.Updates[0].Name)
}
