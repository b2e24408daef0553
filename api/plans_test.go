package api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/workflows"
)

func TestSagaTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.get(t, "/v1/saga-types")

	require.Equal(t, 200, a.status, a.body)
	items, ok := a.json(t, "items").([]any)
	require.True(t, ok)
	require.Len(t, items, len(workflows.Plans()))
	order := b.get(t, "/v1/saga-types/PlaceOrder")
	require.Equal(t, items[0], order.json(t))
	require.Equal(t, "CapturePayment", order.json(t, "pivot"))
	require.Equal(t, map[string]any{
		"self": "/v1/saga-types/PlaceOrder", "plan": "/v1/saga-types/PlaceOrder/plan", "start": "/v1/orders",
		"schema": "/openapi.json#/components/schemas/OrderRequest",
	}, order.json(t, "links"))
	requireProblem(t, b.get(t, "/v1/saga-types/placeorder"), 404, "not_found")

	document := b.get(t, "/openapi.json")
	for _, item := range items {
		links, ok := item.(map[string]any)["links"].(map[string]any)
		require.True(t, ok)
		_, schema, _ := strings.Cut(links["schema"].(string), "#/")
		require.NotNil(t, document.json(t, strings.Split(schema, "/")...))
		require.NotNil(t, document.json(t, "paths", links["start"].(string), "post"))
		require.Equal(t, 200, b.get(t, links["plan"].(string)).status)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.get(t, "/v1/saga-types/PlaceOrder/plan")

	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, workflows.PlaceOrderPlan.Mermaid(), a.json(t, "diagram"))
	require.Nil(t, a.json(t, "failure"))
	steps, ok := a.json(t, "steps").([]any)
	require.True(t, ok)
	require.Len(t, steps, len(workflows.PlaceOrderPlan.Steps()))
	require.Equal(t, map[string]any{
		"name": "ReserveStock", "kind": "compensatable", "group": 3.0, "express": true, "participant": "Inventory", "undo": "ReleaseStock",
		"on_unknown": "undo", "attempt_timeout": "10s", "limit": "5m0s", "undo_limit": "10m0s",
	}, steps[2])
	last, ok := steps[len(steps)-1].(map[string]any)
	require.True(t, ok)
	require.Equal(t, "retriable", last["kind"])
	require.NotContains(t, last, "limit")
	require.NotContains(t, last, "undo")
	require.NotContains(t, last, "on_unknown")
	requireProblem(t, b.get(t, "/v1/saga-types/Other/plan"), 404, "not_found")
}

func TestPlanOfAFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.get(t, "/v1/saga-types/PlaceOrder/plan?fail_at=HoldPoints")

	require.Equal(t, 200, a.status, a.body)
	want, err := workflows.PlaceOrderPlan.FailAt("HoldPoints")
	require.NoError(t, err)
	diagram, err := workflows.PlaceOrderPlan.MermaidFailAt("HoldPoints")
	require.NoError(t, err)
	require.Equal(t, diagram, a.json(t, "diagram"))
	require.Equal(t, "HoldPoints", a.json(t, "failure", "step"))
	require.Equal(t, want.Within.String(), a.json(t, "failure", "within"))
	undone := func(list string) (names []string) {
		undos, ok := a.json(t, "failure", list).([]any)
		require.True(t, ok)
		for _, u := range undos {
			names = append(names, u.(map[string]any)["activity"].(string))
		}
		return names
	}
	var undo, atMost []string
	for _, u := range want.Undo {
		undo = append(undo, u.Activity)
	}
	for _, u := range want.AtMost {
		atMost = append(atMost, u.Activity)
	}
	require.Equal(t, undo, undone("undo"))
	require.Equal(t, atMost, undone("at_most"))
	require.Greater(t, len(atMost), len(undo))

	parks := b.get(t, "/v1/saga-types/PlaceOrder/plan?fail_at=NotifyCustomer")
	require.Equal(t, true, parks.json(t, "failure", "parks"))
	require.Empty(t, parks.json(t, "failure", "undo"))
	require.Nil(t, parks.json(t, "failure", "within"))

	unknown := b.get(t, "/v1/saga-types/PlaceOrder/plan?fail_at=Nothing")
	require.Equal(t, 400, unknown.status)
	require.Contains(t, unknown.body, `PlaceOrder has no step`)
	require.Contains(t, unknown.body, `"parameter":"fail_at"`)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.get(t, "/version")

	require.Equal(t, 200, a.status)
	require.JSONEq(t, `{"version":"dev","revision":3}`, a.body)
}
