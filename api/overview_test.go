package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/amends-dev/amends/compensation"
)

// withSagas is an API whose Temporal counts 3 parked orders, 5 completed returns, and those started and ended lately.
func withSagas(t *testing.T, now time.Time) *bundle {
	t.Helper()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	ago := func(d time.Duration) string { return ">= '" + now.UTC().Add(-d).Format(time.RFC3339Nano) + "'" }
	counts := map[string]int64{
		"WorkflowType = 'PlaceOrder' AND ExecutionStatus = 'Running' AND SagaState = 'parked'": 3,
		"WorkflowType = 'ReturnOrder' AND ExecutionStatus = 'Completed'":                       5,
		sagasOf(" AND StartTime " + ago(time.Minute)):                                          1,
		sagasOf(" AND StartTime " + ago(time.Hour)):                                            20,
		sagasOf(" AND StartTime " + ago(24*time.Hour)):                                         300,
		sagasOf(" AND CloseTime " + ago(time.Minute)):                                          2,
		sagasOf(" AND CloseTime " + ago(time.Hour)):                                            10,
		sagasOf(" AND CloseTime " + ago(24*time.Hour)):                                         200,
	}
	b.temporal.sagas["audit-books-2"] = &saga{
		info: &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED},
		result: json.RawMessage(`{"audited_at":"2026-05-04T10:00:00Z","balanced":false,
			"services":[{"service":"payment","state":"unbalanced","findings":["a row too many"]}]}`),
	}
	b.temporal.count = func(query string) int64 { return counts[query] }
	b.temporal.find = func(r *workflowservice.ListWorkflowExecutionsRequest) []*workflowpb.WorkflowExecutionInfo {
		switch r.GetQuery() {
		case "WorkflowType = 'PlaceOrder' AND ExecutionStatus = 'Completed'":
			var completed []*workflowpb.WorkflowExecutionInfo
			for _, took := range []int{3, 1, 9, 2, 4} {
				completed = append(completed, b.completedAfter(t, fmt.Sprintf("order-%d", took), time.Duration(took)*time.Second))
			}
			return completed
		case "WorkflowType = 'AuditBooks' AND ExecutionStatus = 'Completed'":
			return []*workflowpb.WorkflowExecutionInfo{{Execution: &commonpb.WorkflowExecution{WorkflowId: "audit-books-2", RunId: "r"}}}
		case sagasOf(" AND ExecutionStatus = 'Running' AND SagaState = 'parked'"):
			return []*workflowpb.WorkflowExecutionInfo{
				b.parkedSince("order-2", startTime.Add(time.Hour)), b.parkedSince("order-1", startTime.Add(time.Minute)),
			}
		}
		return nil
	}
	return b
}

// completedAfter makes a saga that took so long, a tenth of it for its first step.
func (b *bundle) completedAfter(t *testing.T, id string, took time.Duration) *workflowpb.WorkflowExecutionInfo {
	t.Helper()
	info := proto.CloneOf(b.temporal.sagas["order-"+orderID].info)
	info.Execution.WorkflowId, info.Status = id, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	info.CloseTime = timestamppb.New(startTime.Add(took))
	scheduled := &historypb.HistoryEvent{
		EventId: 5, EventTime: timestamppb.New(startTime), EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{ActivityId: "PriceOrder/do"},
		},
	}
	done := &historypb.HistoryEvent{
		EventId: 6, EventTime: timestamppb.New(startTime.Add(took / 10)), EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCompletedEventAttributes{
			ActivityTaskCompletedEventAttributes: &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: 5},
		},
	}
	b.temporal.sagas[id] = &saga{info: info, events: []*historypb.HistoryEvent{scheduled, done}}
	return info
}

func TestOverview(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		b := withSagas(t, now)

		a := b.get(t, "/v1/overview")

		require.Equal(t, 200, a.status, a.body)
		counts, ok := a.json(t, "counts").([]any)
		require.True(t, ok)
		require.Len(t, counts, 14, "every state of either type")
		counts = slices.DeleteFunc(counts, func(c any) bool { return c.(map[string]any)["count"] == 0.0 })
		require.JSONEq(t, `[
			{"type":"PlaceOrder","state":"parked","count":3,"link":"/v1/sagas?type=PlaceOrder&state=parked"},
			{"type":"ReturnOrder","state":"completed","count":5,"link":"/v1/sagas?type=ReturnOrder&state=completed"}
		]`, string(encode(t, counts)))
		require.Equal(t, now.UTC().Format(time.RFC3339Nano), a.json(t, "at"))
		require.JSONEq(t, `{"last_minute":1,"last_hour":20,"last_day":300}`, string(encode(t, a.json(t, "started"))))
		require.JSONEq(t, `{"last_minute":2,"last_hour":10,"last_day":200}`, string(encode(t, a.json(t, "ended"))))
		require.JSONEq(t, `[{"type":"PlaceOrder","sample":5,"p50_ms":3000,"p95_ms":9000}]`, string(encode(t, a.json(t, "durations"))))
		require.JSONEq(t, `[{"type":"PlaceOrder","step":"PriceOrder","sample":5,"p50_ms":300,"p95_ms":900}]`, string(encode(t, a.json(t, "steps"))))
		require.JSONEq(t, `{"audited_at":"2026-05-04T10:00:00Z","balanced":false,"services":[{"service":"payment","state":"unbalanced","findings":["a row too many"]}],
			"web_ui":"http://127.0.0.1:8233/namespaces/default/workflows/audit-books-2"}`, string(encode(t, a.json(t, "books"))))
		require.Equal(t, "order-1", a.json(t, "oldest_parked", "id"))
		require.Equal(t, "2026-05-04T10:01:00Z", a.json(t, "oldest_parked", "parked_since"))
		require.Equal(t, "/v1/sagas/order-1", a.json(t, "oldest_parked", "links", "self"))
	})
}

// However many ask, Temporal is asked once in five seconds.
func TestOverviewIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := withSagas(t, time.Now())
		first := b.get(t, "/v1/overview").body
		asked := len(b.temporal.counted)

		<-time.After(4999 * time.Millisecond)
		require.Equal(t, first, b.get(t, "/v1/overview").body)
		require.Len(t, b.temporal.counted, asked)

		<-time.After(time.Millisecond)
		require.NotEqual(t, first, b.get(t, "/v1/overview").body)
		require.Len(t, b.temporal.counted, 2*asked)

		<-time.After(time.Minute)
		b.temporal.down = serviceerror.NewUnavailable("away")
		requireProblem(t, b.get(t, "/v1/overview"), 503, "temporal_unavailable")
	})
}

// The oldest one is found among more than one page of Temporal has.
func TestOldestOfManyParked(t *testing.T) {
	t.Parallel()
	b := withSagas(t, time.Now())
	var all []*workflowpb.WorkflowExecutionInfo
	for i := range 2000 {
		all = append(all, b.parkedSince("order-1", time.Now().Add(-time.Duration(i)*time.Minute)))
	}
	all = append(all, b.parkedSince("order-0", startTime))
	b.temporal.find = func(r *workflowservice.ListWorkflowExecutionsRequest) []*workflowpb.WorkflowExecutionInfo {
		if !strings.Contains(r.GetQuery(), "'parked'") {
			return nil
		}
		found := all
		if _, before, bounded := strings.Cut(r.GetQuery(), "ParkedSince < "); bounded {
			at, err := time.Parse(time.RFC3339, strings.Trim(before, "'"))
			require.NoError(t, err)
			found = slices.DeleteFunc(slices.Clone(all), func(info *workflowpb.WorkflowExecutionInfo) bool {
				return !compensation.ParkedSinceOf(info).Before(at)
			})
		}
		return found[:min(len(found), int(r.GetPageSize()))]
	}

	require.Equal(t, "order-0", b.get(t, "/v1/overview").json(t, "oldest_parked", "id"))
}
