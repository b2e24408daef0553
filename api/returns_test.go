package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

const exampleReturn = `{"id":"r1","order_id":"42","lines":[{"sku":"TEA-EARL-GREY","quantity":1}],"reason":"cold"}`

// completedOrder is an API with order 42 completed.
func completedOrder(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.end("order-42", enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, nil)
	return b
}

func TestReturnOrder(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)

	a := b.post(t, "/v1/returns", exampleReturn)

	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "/v1/returns/r1", a.header.Get("Location"))
	started := b.temporal.sagas["return-r1"]
	require.Equal(t, "ReturnOrder", started.kind)
	require.Equal(t, workflows.ReturnOrderInput{Return: order.Return{
		ID: "r1", OrderID: "42", Lines: []order.Line{{SKU: "TEA-EARL-GREY", Quantity: 1}}, Reason: "cold",
	}, Revision: workflows.Revision}, started.input)
	require.Equal(t, "Return of order 42: 1 article", started.options.StaticSummary)

	require.Equal(t, 202, b.post(t, "/v1/returns", exampleReturn).status)
	requireProblem(t, b.post(t, "/v1/returns", `{"id":"r1","order_id":"42","reason":"cold"}`),
		409, "return_id_reused", "/id: belongs to another return")

	everything := b.post(t, "/v1/returns", `{"order_id":"42","reason":"cold"}`)
	require.Equal(t, 202, everything.status, everything.body)
	id, ok := everything.json(t, "id").(string)
	require.True(t, ok)
	require.Equal(t, "Return of order 42: everything", b.temporal.sagas["return-"+id].options.StaticSummary)
}

func TestReturnOrderIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
		faults     []string
	}{
		{"of no order", `{"order_id":"43","reason":"cold"}`, 422, "unknown_order", []string{"/order_id: no order has this ID"}},
		{"of a running order", `{"order_id":"running","reason":"cold"}`, 409, "order_not_completed", []string{"/order_id: this order is running"}},
		{"without reason", `{"order_id":"42"}`, 422, "invalid", []string{"/reason: is missing"}},
		{
			"of nothing", `{"order_id":"42","reason":"cold","lines":[{"sku":"A","quantity":0}]}`, 422, "invalid",
			[]string{"/lines/0/quantity: expected number >= 1"},
		},
		{
			"of the same twice", `{"order_id":"42","reason":"cold","lines":[{"sku":"A","quantity":1},{"sku":"A","quantity":1}]}`, 422, "invalid",
			[]string{"/lines/1/sku: repeats line 0: put both quantities into one line"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := completedOrder(t)
			b.started(t, "/v1/orders", with(`"id":"42"`, `"id":"running"`))

			requireProblem(t, b.post(t, "/v1/returns", tt.body), tt.status, tt.code, tt.faults...)
			require.Len(t, b.temporal.sagas, 2, "a return was started")
		})
	}
}

func TestArrival(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)
	b.started(t, "/v1/returns", exampleReturn)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, nil }

	a := b.post(t, "/v1/returns/r1/arrival", `{"condition":"resalable","by":"dock 4"}`)

	require.Equal(t, 202, a.status, a.body)
	sent := b.temporal.updates[0]
	require.Equal(t, "return-r1", sent.WorkflowID)
	require.Equal(t, "goods-arrived", sent.UpdateName)
	require.Equal(t, []any{workflows.Arrival{Condition: order.Resalable, By: "dock 4"}}, sent.Args)

	requireProblem(t, b.post(t, "/v1/returns/r1/arrival", `{"condition":"eaten","by":"dock 4"}`),
		422, "invalid", `/condition: expected value to be one of "resalable, damaged"`)
}

func TestCancelReturn(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)
	b.started(t, "/v1/returns", exampleReturn)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }

	a := b.post(t, "/v1/returns/r1/cancel", "")

	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "/v1/returns/r1", a.header.Get("Location"))
	require.Equal(t, "return-r1", b.temporal.updates[0].WorkflowID)
}
