package api_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/amends-dev/amends/compensation"
)

func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	require.Equal(t, 202, b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Idempotency-Key", otherKey).status)
	ended := b.temporal.end("order-"+otherID, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, compensation.Compensated, nil)
	ended.info.Memo = &commonpb.Memo{Fields: payloads(map[string]any{"SagaCause": "canceled by ada"})}
	b.temporal.pages = []*workflowservice.ListWorkflowExecutionsResponse{{
		Executions:    []*workflowpb.WorkflowExecutionInfo{b.temporal.sagas["order-"+orderID].info, ended.info},
		NextPageToken: []byte{0, 255, ':', 7},
	}}

	a := b.get(t, "/v1/orders?page_size=2")

	require.Equal(t, 200, a.status, a.body)
	token, ok := a.json(t, "next_page_token").(string)
	require.True(t, ok)
	require.JSONEq(t, `[
		{"id":"b4525638-64ca-8852-91fe-fdf9e706de90","state":"running","started_at":"2026-05-04T10:00:00Z","links":{"self":"/v1/orders/b4525638-64ca-8852-91fe-fdf9e706de90","saga":"/v1/sagas/order-b4525638-64ca-8852-91fe-fdf9e706de90","events":"/v1/sagas/order-b4525638-64ca-8852-91fe-fdf9e706de90/events",
			"web_ui":"http://127.0.0.1:8233/namespaces/default/workflows/order-b4525638-64ca-8852-91fe-fdf9e706de90/run-order-b4525638-64ca-8852-91fe-fdf9e706de90/timeline"}},
		{"id":"09156841-55b5-8408-82c4-cb551a8fa6eb","state":"compensated","cause":"canceled by ada",
			"started_at":"2026-05-04T10:00:00Z","ended_at":"2026-05-04T10:01:00Z","links":{"self":"/v1/orders/09156841-55b5-8408-82c4-cb551a8fa6eb","saga":"/v1/sagas/order-09156841-55b5-8408-82c4-cb551a8fa6eb","events":"/v1/sagas/order-09156841-55b5-8408-82c4-cb551a8fa6eb/events",
			"web_ui":"http://127.0.0.1:8233/namespaces/default/workflows/order-09156841-55b5-8408-82c4-cb551a8fa6eb/run-order-09156841-55b5-8408-82c4-cb551a8fa6eb/timeline"}}
	]`, string(encode(t, a.json(t, "items"))))
	require.EqualValues(t, 2, b.temporal.listed[0].GetPageSize())
	require.Empty(t, b.temporal.listed[0].GetNextPageToken())

	last := b.get(t, "/v1/orders?page_token="+url.QueryEscape(token))
	require.JSONEq(t, `{"items":[]}`, last.body)
	require.EqualValues(t, 50, b.temporal.listed[1].GetPageSize())
	require.Equal(t, []byte{0, 255, ':', 7}, b.temporal.listed[1].GetNextPageToken())

	for _, other := range []string{"/v1/orders?state=running&page_token=", "/v1/returns?page_token="} {
		requireProblem(t, b.get(t, other+url.QueryEscape(token)), 400, "bad_parameter",
			"page_token: is not the next_page_token of a page of this list")
	}
}

func TestListByState(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                    `WorkflowType = 'PlaceOrder'`,
		"?state=running":      `WorkflowType = 'PlaceOrder' AND ExecutionStatus = 'Running' AND SagaState = 'running'`,
		"?state=compensating": `WorkflowType = 'PlaceOrder' AND ExecutionStatus = 'Running' AND SagaState = 'compensating'`,
		"?state=parked":       `WorkflowType = 'PlaceOrder' AND ExecutionStatus = 'Running' AND SagaState = 'parked'`,
		"?state=completed":    `WorkflowType = 'PlaceOrder' AND ExecutionStatus = 'Completed'`,
		"?state=compensated":  `WorkflowType = 'PlaceOrder' AND ExecutionStatus IN ('Failed', 'Canceled') AND SagaState = 'compensated'`,
		"?state=compensated_with_exceptions": `WorkflowType = 'PlaceOrder' AND ExecutionStatus IN ('Failed', 'Canceled') ` +
			`AND SagaState = 'compensated_with_exceptions'`,
		"?state=terminated": `WorkflowType = 'PlaceOrder' AND (ExecutionStatus IN ('Terminated', 'TimedOut') OR ` +
			`(ExecutionStatus IN ('Failed', 'Canceled') AND SagaState NOT IN ('compensated', 'compensated_with_exceptions')))`,
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			a := b.get(t, "/v1/orders"+query)

			require.Equal(t, 200, a.status, a.body)
			require.Equal(t, want, b.temporal.listed[0].GetQuery())
		})
	}
}

func TestListReturns(t *testing.T) {
	t.Parallel()
	b := completedOrder(t)
	b.started(t, "/v1/returns", exampleReturn)
	b.temporal.pages = []*workflowservice.ListWorkflowExecutionsResponse{{
		Executions: []*workflowpb.WorkflowExecutionInfo{b.temporal.sagas["return-"+returnID].info},
	}}

	a := b.get(t, "/v1/returns")

	require.Equal(t, "WorkflowType = 'ReturnOrder'", b.temporal.listed[0].GetQuery())
	require.Contains(t, a.body, `"self":"/v1/returns/7f42bbb5-d021-8024-8f9f-44b5029ddf9b"`)
}

func TestListIsRefused(t *testing.T) {
	t.Parallel()
	const states = `state: expected value to be one of ` +
		`"running, compensating, parked, completed, compensated, compensated_with_exceptions, terminated"`
	for query, fault := range map[string]string{
		"state=paused":                  states,
		"page_size=0":                   "page_size: expected number >= 1",
		"page_size=201":                 "page_size: expected number <= 200",
		"page_size=many":                "page_size: invalid integer",
		"page_size=99999999999":         "page_size: expected number <= 200",
		"page_token=~":                  "page_token: is not the next_page_token of a page of this list",
		"page_token=cnVubmluZzp4c29tZQ": "page_token: is not the next_page_token of a page of this list",
		"page_token=AAAA":               "page_token: is not the next_page_token of a page of this list",
		"stat=running":                  "stat: unknown query parameter",
		"state=running'%20OR%20'1'='1":  states,
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			requireProblem(t, b.get(t, "/v1/orders?"+query), 400, "bad_parameter", fault)
		})
	}
}
