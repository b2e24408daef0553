package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// history writes the events of a saga's activities and timers, one second apart.
type history struct{ events []*historypb.HistoryEvent }

func (h *history) add(e *historypb.HistoryEvent) int64 {
	e.EventId = int64(len(h.events) + 1)
	e.EventTime = timestamppb.New(startTime.Add(time.Duration(e.GetEventId()) * time.Second))
	h.events = append(h.events, e)
	return e.GetEventId()
}

func (h *history) started(activity string) int64 {
	id := h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{ActivityId: activity},
		},
	})
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED,
		Attributes: &historypb.HistoryEvent_ActivityTaskStartedEventAttributes{
			ActivityTaskStartedEventAttributes: &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: id, Attempt: 2},
		},
	})
	return id
}

// done is the activity that ends, and returns this or nothing.
func (h *history) done(activity string, returned ...any) {
	id := h.started(activity)
	var result *commonpb.Payloads
	if len(returned) > 0 {
		result = &commonpb.Payloads{Payloads: []*commonpb.Payload{payloads(map[string]any{"": returned[0]})[""]}}
	}
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCompletedEventAttributes{
			ActivityTaskCompletedEventAttributes: &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: id, Result: result},
		},
	})
}

func (h *history) refused(activity, message string) {
	id := h.started(activity)
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED,
		Attributes: &historypb.HistoryEvent_ActivityTaskFailedEventAttributes{
			ActivityTaskFailedEventAttributes: &historypb.ActivityTaskFailedEventAttributes{
				ScheduledEventId: id,
				Failure: &failurepb.Failure{
					Message: message,
					FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
						ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: compensation.ErrTypeRefused, NonRetryable: true},
					},
				},
			},
		},
	})
}

func (h *history) waits(summary string, within time.Duration) {
	h.add(&historypb.HistoryEvent{
		EventType:    enumspb.EVENT_TYPE_TIMER_STARTED,
		UserMetadata: &sdkpb.UserMetadata{Summary: payloads(map[string]any{"": summary})[""]},
		Attributes: &historypb.HistoryEvent_TimerStartedEventAttributes{
			TimerStartedEventAttributes: &historypb.TimerStartedEventAttributes{TimerId: "1", StartToFireTimeout: durationpb.New(within)},
		},
	})
}

func (h *history) acted(t *testing.T, update string, a compensation.Act) {
	t.Helper()
	args, err := converter.GetDefaultDataConverter().ToPayloads(a)
	require.NoError(t, err)
	h.add(&historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateAcceptedEventAttributes{
			WorkflowExecutionUpdateAcceptedEventAttributes: &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{
				AcceptedRequest: &updatepb.Request{Input: &updatepb.Input{Name: update, Args: args}},
			},
		},
	})
}

func TestGetOrderThatWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	var h history
	h.done("PriceOrder/do")
	h.done("ScreenFraud/do")
	h.waits("approval", time.Hour)
	b.temporal.sagas["order-"+orderID].events = h.events

	a := b.get(t, "/v1/orders/"+orderID)

	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, []any{map[string]any{"for": "approval", "until": "2026-05-04T11:00:07Z"}}, a.json(t, "waits"))
	require.Equal(t, map[string]any{
		"self":     "/v1/orders/" + orderID,
		"saga":     "/v1/sagas/order-" + orderID,
		"events":   "/v1/sagas/order-" + orderID + "/events",
		"cancel":   "/v1/orders/" + orderID + "/cancel",
		"approval": "/v1/orders/" + orderID + "/approval",
		"web_ui":   "http://127.0.0.1:8233/namespaces/default/workflows/order-" + orderID + "/run-order-" + orderID + "/timeline",
	}, a.json(t, "links"))
	require.Equal(t, "running", a.json(t, "state"))
	require.Equal(t, "2026-05-04T10:00:00Z", a.json(t, "started_at"))
	require.Nil(t, a.json(t, "ended_at"))
	steps, ok := a.json(t, "steps").([]any)
	require.True(t, ok)
	require.Equal(t, map[string]any{
		"name": "PriceOrder", "kind": "compensatable", "do": "done", "undo": "none", "attempts": 2.0, "undo_attempts": 0.0,
		"started_at": "2026-05-04T10:00:01Z", "ended_at": "2026-05-04T10:00:03Z",
	}, steps[0])
	plan := workflows.PlaceOrderPlan.Steps()
	require.Len(t, steps, len(plan))
	for i, st := range steps {
		require.Equal(t, plan[i].Name, st.(map[string]any)["name"])
	}
}

func TestGetOrderThatTurnedBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	var h history
	h.done("PriceOrder/do")
	h.refused("ScreenFraud/do", "customer is blocked")
	h.done("PriceOrder/undo")
	ended := b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated, nil)
	ended.events = h.events
	ended.info.Memo = &commonpb.Memo{Fields: payloads(map[string]any{"SagaCause": "ScreenFraud refused: customer is blocked"})}

	a := b.get(t, "/v1/orders/"+orderID)

	require.Equal(t, "compensated", a.json(t, "state"), a.body)
	require.Equal(t, "ScreenFraud refused: customer is blocked", a.json(t, "cause"))
	require.Equal(t, "2026-05-04T10:01:00Z", a.json(t, "ended_at"))
	require.Nil(t, a.json(t, "links", "cancel"))
	steps, ok := a.json(t, "steps").([]any)
	require.True(t, ok)
	require.Equal(t, map[string]any{
		"name": "PriceOrder", "kind": "compensatable", "do": "done", "undo": "done", "attempts": 2.0, "undo_attempts": 2.0,
		"started_at": "2026-05-04T10:00:01Z", "ended_at": "2026-05-04T10:00:03Z",
	}, steps[0])
	require.Equal(t, map[string]any{
		"name": "ScreenFraud", "kind": "compensatable", "do": "refused", "undo": "none", "attempts": 2.0, "undo_attempts": 0.0,
		"started_at": "2026-05-04T10:00:04Z", "ended_at": "2026-05-04T10:00:06Z", "error": "customer is blocked",
	}, steps[1])
}

func TestGetOrderThatIsParked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	var h history
	h.done("PriceOrder/do")
	h.refused("ScreenFraud/do", "customer is blocked")
	h.refused("PriceOrder/undo", "the quote is of another shop")
	h.acted(t, compensation.UpdateRetry, compensation.Act{By: "grace"})
	h.refused("PriceOrder/undo", "the quote is of another shop")
	parked := b.temporal.sagas["order-"+orderID]
	parked.events = h.events
	parked.info.SearchAttributes = attributes(compensation.Parked)
	parked.info.Memo = &commonpb.Memo{Fields: payloads(map[string]any{
		"SagaCause": "ScreenFraud refused: customer is blocked",
		"SagaParked": []compensation.ParkedStep{{
			Step: "PriceOrder", Part: compensation.PartUndo, Reason: "the quote is of another shop", Since: startTime.Add(time.Minute),
		}},
	})}

	a := b.get(t, "/v1/orders/"+orderID)

	require.Equal(t, "parked", a.json(t, "state"), a.body)
	require.Equal(t, []any{map[string]any{
		"step": "PriceOrder", "part": "undo", "reason": "the quote is of another shop", "since": "2026-05-04T10:01:00Z", "trying": false,
	}}, a.json(t, "parked"))
	require.Equal(t, []any{map[string]any{"act": "retry", "by": "grace", "at": "2026-05-04T10:00:10Z"}}, a.json(t, "acts"))
	require.Nil(t, a.json(t, "links", "cancel"))

	delete(parked.info.GetMemo().GetFields(), "SagaCause")
	require.Equal(t, "/v1/orders/"+orderID+"/cancel", b.get(t, "/v1/orders/"+orderID).json(t, "links", "cancel"), "it did not turn back")
}

func TestGetOrderThatOperatorsEnded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	var h history
	h.done("PriceOrder/do")
	h.done("ScreenFraud/do")
	h.refused("ReserveStock/do", "no tea")
	h.refused("ScreenFraud/undo", "gone")
	h.acted(t, compensation.UpdateMarkDone, compensation.Act{
		Step: "ScreenFraud", By: "grace", Reason: "they did it by telephone", Reference: "T-7",
	})
	h.refused("PriceOrder/undo", "gone")
	h.acted(t, compensation.UpdateSkip, compensation.Act{Step: "PriceOrder", By: "grace", Reason: "costs nothing"})
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.CompensatedWithExceptions, nil).events = h.events

	a := b.get(t, "/v1/orders/"+orderID)

	require.Equal(t, "compensated_with_exceptions", a.json(t, "state"), a.body)
	require.Equal(t, []any{
		map[string]any{
			"act": "mark-done", "step": "ScreenFraud", "by": "grace", "reason": "they did it by telephone", "reference": "T-7",
			"at": "2026-05-04T10:00:13Z",
		},
		map[string]any{"act": "skip", "step": "PriceOrder", "by": "grace", "reason": "costs nothing", "at": "2026-05-04T10:00:17Z"},
	}, a.json(t, "acts"))
	steps, ok := a.json(t, "steps").([]any)
	require.True(t, ok)
	require.Equal(t, "skipped", steps[0].(map[string]any)["undo"])
	require.Equal(t, "marked_done", steps[1].(map[string]any)["undo"])
}

// What the services answered is told as long as it stands, and after it is undone of what it was.
func TestGetOrderTellsAmounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	var h history
	h.done("PriceOrder/do", map[string]any{"lines": []any{map[string]any{"sku": "TEA-EARL-GREY", "quantity": 2, "amount": 1300}}})
	h.done("ReserveStock/do", map[string]any{"reservation_id": "r-1"})
	h.done("AuthorizePayment/do", map[string]any{"authorization_id": "a-1", "amount": order.Money{Amount: 1300, Currency: "EUR"}})
	h.done("BookShipment/do", map[string]any{"shipment_id": "s-1", "carrier": "parcel", "tracking": "P-1"})
	b.temporal.sagas["order-"+orderID].events = h.events

	for _, path := range []string{"/v1/orders/" + orderID, "/v1/sagas/order-" + orderID} {
		facts, err := json.Marshal(b.get(t, path).json(t, "facts"))
		require.NoError(t, err)
		require.JSONEq(t, `[
			{"what":"payment","is":"held","amount":{"amount":1300,"currency":"EUR"},"reference":"a-1"},
			{"what":"stock","is":"reserved","lines":[{"sku":"TEA-EARL-GREY","quantity":2}],"reference":"r-1"},
			{"what":"voucher","is":"open"}, {"what":"points","is":"open"},
			{"what":"shipment","is":"booked","carrier":"parcel","tracking":"P-1","reference":"s-1"},
			{"what":"invoice","is":"open"}
		]`, string(facts))
	}
}

func TestGetOrderPastItsPivot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	var h history
	h.started("CapturePayment/do")
	b.temporal.sagas["order-"+orderID].events = h.events

	a := b.get(t, "/v1/orders/"+orderID)

	require.Equal(t, "running", a.json(t, "state"), a.body)
	require.Nil(t, a.json(t, "links", "cancel"))
}

func TestGetCompleted(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)
	b.temporal.sagas["order-"+orderID].result = workflows.Receipt{
		OrderID: orderID, Total: order.Money{Amount: 1300, Currency: "EUR"}, Paid: order.Money{Amount: 1300, Currency: "EUR"}, InvoiceNumber: "7",
	}
	b.started(t, "/v1/returns", exampleReturn)
	b.temporal.end("return-"+returnID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, workflows.RefundReceipt{
		ReturnID: returnID, OrderID: orderID, Refunded: order.Money{Amount: 650, Currency: "EUR"},
	})

	placed, returned := b.get(t, "/v1/orders/"+orderID), b.get(t, "/v1/returns/"+returnID)

	require.Equal(t, "completed", placed.json(t, "state"), placed.body)
	require.Equal(t, "7", placed.json(t, "result", "invoice_number"))
	require.InDelta(t, 1300, placed.json(t, "result", "paid", "amount"), 0)
	require.InDelta(t, 650, returned.json(t, "result", "refunded", "amount"), 0)
}

func TestGetReturnThatWaits(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)
	b.started(t, "/v1/returns", exampleReturn)
	var h history
	h.waits("arrival of the returned goods", time.Hour)
	b.temporal.sagas["return-"+returnID].events = h.events

	a := b.get(t, "/v1/returns/"+returnID)

	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, "/v1/returns/"+returnID+"/arrival", a.json(t, "links", "arrival"))
	require.Equal(t, "/v1/returns/"+returnID+"/cancel", a.json(t, "links", "cancel"))
}
