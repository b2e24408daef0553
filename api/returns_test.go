package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// The key of the example return, and the ID that follows from it.
const (
	returnKey = "r1"
	returnID  = "7f42bbb5-d021-8024-8f9f-44b5029ddf9b"
)

const exampleReturn = `{"order_id":"b4525638-64ca-8852-91fe-fdf9e706de90","lines":[{"sku":"TEA-EARL-GREY","quantity":1}],"reason":"cold"}`

// completedOrder is an API with the example order completed.
func completedOrder(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, nil)
	return b
}

func TestReturnOrder(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)

	a := b.post(t, "/v1/returns", exampleReturn)

	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "/v1/returns/"+returnID, a.header.Get("Location"))
	started := b.temporal.sagas["return-"+returnID]
	require.Equal(t, "ReturnOrder", started.kind)
	require.Equal(t, workflows.ReturnOrderInput{Return: order.Return{
		ID: returnID, OrderID: orderID, Lines: []order.Line{{SKU: "TEA-EARL-GREY", Quantity: 1}}, Reason: "cold",
	}, Revision: workflows.Revision}, started.input)
	require.Equal(t, "Return of order "+compensation.EscapeMarkdown(orderID)+": 1 article", started.options.StaticSummary)

	everything := b.ask(t, http.MethodPost, "/v1/returns", `{"order_id":"b4525638-64ca-8852-91fe-fdf9e706de90","reason":"cold"}`, "Idempotency-Key", "r2")
	require.Equal(t, 202, everything.status, everything.body)
	id, ok := everything.json(t, "id").(string)
	require.True(t, ok)
	require.Equal(t, "Return of order "+compensation.EscapeMarkdown(orderID)+": everything", b.temporal.sagas["return-"+id].options.StaticSummary)
}

func TestReturnOrderIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
		faults     []string
	}{
		{"of no order", `{"order_id":"none","reason":"cold"}`, 422, "unknown_order", []string{"/order_id: no order has this ID"}},
		{"of a running order", `{"order_id":"09156841-55b5-8408-82c4-cb551a8fa6eb","reason":"cold"}`, 409, "order_not_completed", []string{"/order_id: this order is running"}},
		{"without reason", `{"order_id":"b4525638-64ca-8852-91fe-fdf9e706de90"}`, 422, "invalid", []string{"/reason: is missing"}},
		{
			"of nothing", `{"order_id":"b4525638-64ca-8852-91fe-fdf9e706de90","reason":"cold","lines":[{"sku":"A","quantity":0}]}`, 422, "invalid",
			[]string{"/lines/0/quantity: expected number >= 1"},
		},
		{
			"of the same twice", `{"order_id":"b4525638-64ca-8852-91fe-fdf9e706de90","reason":"cold","lines":[{"sku":"A","quantity":1},{"sku":"A","quantity":1}]}`, 422, "invalid",
			[]string{"/lines/1/sku: repeats line 0: put both quantities into one line"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := completedOrder(t)
			require.Equal(t, 202, b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Idempotency-Key", otherKey).status)

			a := b.post(t, "/v1/returns", tt.body)
			requireProblem(t, a, tt.status, tt.code, tt.faults...)
			if tt.code == "order_not_completed" {
				require.Equal(t, "/v1/sagas/order-"+otherID, a.json(t, "saga_url"))
			}
			require.Len(t, b.temporal.sagas, 2, "a return was started")
		})
	}
}

func TestArrival(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)
	b.started(t, "/v1/returns", exampleReturn)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, nil }

	a := b.post(t, "/v1/returns/"+returnID+"/arrival", `{"condition":"resalable","by":"dock 4"}`)

	require.Equal(t, 202, a.status, a.body)
	sent := b.temporal.updates[0]
	require.Equal(t, "return-"+returnID, sent.WorkflowID)
	require.Equal(t, "goods-arrived", sent.UpdateName)
	require.Equal(t, []any{workflows.Arrival{Condition: order.Resalable, By: "dock 4"}}, sent.Args)

	requireProblem(t, b.post(t, "/v1/returns/"+returnID+"/arrival", `{"condition":"eaten","by":"dock 4"}`),
		422, "invalid", `/condition: expected value to be one of "resalable, damaged"`)
}

func TestCancelReturn(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)
	b.started(t, "/v1/returns", exampleReturn)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }

	a := b.post(t, "/v1/returns/"+returnID+"/cancel", "")

	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "/v1/returns/"+returnID, a.header.Get("Location"))
	require.Equal(t, "return-"+returnID, b.temporal.updates[0].WorkflowID)
}
