package api_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/compensation"
)

func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	require.Equal(t, 202, b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Idempotency-Key", otherKey).status)
	ended := b.temporal.end("order-"+otherID, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, compensation.Compensated, nil)
	ended.info.SearchAttributes.IndexedFields["SagaStep"] = payloads(map[string]any{"": "BookShipment"})[""]
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
		{"id":"b4525638-64ca-8852-91fe-fdf9e706de90","type":"PlaceOrder","state":"running","customer":"c_1001","started_at":"2026-05-04T10:00:00Z","links":{"self":"/v1/orders/b4525638-64ca-8852-91fe-fdf9e706de90","saga":"/v1/sagas/order-b4525638-64ca-8852-91fe-fdf9e706de90","events":"/v1/sagas/order-b4525638-64ca-8852-91fe-fdf9e706de90/events",
			"web_ui":"http://127.0.0.1:8233/namespaces/default/workflows/order-b4525638-64ca-8852-91fe-fdf9e706de90/run-order-b4525638-64ca-8852-91fe-fdf9e706de90/timeline"}},
		{"id":"09156841-55b5-8408-82c4-cb551a8fa6eb","type":"PlaceOrder","state":"compensated","cause":"canceled by ada","customer":"c_1001","step":"BookShipment",
			"started_at":"2026-05-04T10:00:00Z","ended_at":"2026-05-04T10:01:00Z","links":{"self":"/v1/orders/09156841-55b5-8408-82c4-cb551a8fa6eb","saga":"/v1/sagas/order-09156841-55b5-8408-82c4-cb551a8fa6eb","events":"/v1/sagas/order-09156841-55b5-8408-82c4-cb551a8fa6eb/events",
			"web_ui":"http://127.0.0.1:8233/namespaces/default/workflows/order-09156841-55b5-8408-82c4-cb551a8fa6eb/run-order-09156841-55b5-8408-82c4-cb551a8fa6eb/timeline"}}
	]`, string(encode(t, a.json(t, "items"))))
	require.EqualValues(t, 2, b.temporal.listed[0].GetPageSize())
	require.Empty(t, b.temporal.listed[0].GetNextPageToken())

	last := b.get(t, "/v1/orders?page_token="+url.QueryEscape(token))
	require.JSONEq(t, `{"items":[]}`, last.body)
	require.EqualValues(t, 50, b.temporal.listed[1].GetPageSize())
	require.Equal(t, []byte{0, 255, ':', 7}, b.temporal.listed[1].GetNextPageToken())

	// A client that knows how the API works cannot make one, so Temporal gets only its own tokens back.
	made := []byte("{}")
	for _, key := range []string{"", "default", "amends page token ", "amends page token default"} {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(b.temporal.listed[0].GetQuery() + "\n{}"))
		plain := sha256.Sum256([]byte(b.temporal.listed[0].GetQuery() + "\n{}"))
		for _, mark := range [][]byte{mac.Sum(nil)[:16], plain[:16], plain[:8]} {
			forged := base64.RawURLEncoding.EncodeToString(append(slices.Clone(mark), made...))
			requireProblem(t, b.get(t, "/v1/orders?page_token="+forged), 400, "bad_parameter",
				"page_token: is not the next_page_token of a page of this list")
		}
	}
	require.Len(t, b.temporal.listed, 2)

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

// sagasOf makes the query of GET /v1/sagas.
func sagasOf(conditions string) string {
	return "WorkflowType IN ('PlaceOrder', 'ReturnOrder')" + conditions
}

func TestListSagas(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                  sagasOf(""),
		"?type=ReturnOrder": `WorkflowType = 'ReturnOrder'`,
		"?state=completed":  sagasOf(" AND ExecutionStatus = 'Completed'"),
		"?customer=c-1.A_z": sagasOf(" AND SagaCustomer = 'c-1.A_z'"),
		"?customer=o'hara":  sagasOf(" AND SagaCustomer = 'o~qhara'"),
		"?step=BookReturn":  sagasOf(" AND SagaStep = 'BookReturn'"),
		"?started_after=2026-05-04T12:00:00%2B02:00&started_before=2026-05-05T00:00:00.5Z": sagasOf(
			" AND StartTime >= '2026-05-04T10:00:00Z' AND StartTime < '2026-05-05T00:00:00.5Z'"),
		"?ended_after=2026-05-04T00:00:00Z&ended_before=2026-05-05T00:00:00Z": sagasOf(
			" AND CloseTime >= '2026-05-04T00:00:00Z' AND CloseTime < '2026-05-05T00:00:00Z'"),
		"?parked_after=2026-05-04T00:00:00Z&parked_before=2026-05-05T00:00:00Z": sagasOf(
			" AND ExecutionStatus = 'Running' AND SagaState = 'parked'" +
				" AND ParkedSince >= '2026-05-04T00:00:00Z' AND ParkedSince < '2026-05-05T00:00:00Z'"),
		"?state=parked&parked_before=2026-05-05T00:00:00Z": sagasOf(
			" AND ExecutionStatus = 'Running' AND SagaState = 'parked' AND ParkedSince < '2026-05-05T00:00:00Z'"),
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			a := b.get(t, "/v1/sagas"+query)

			require.Equal(t, 200, a.status, a.body)
			require.Equal(t, want, b.temporal.listed[0].GetQuery())
		})
	}
}

// parkedSince is the description of a saga that the test made up.
func (b *bundle) parkedSince(id string, since time.Time) *workflowpb.WorkflowExecutionInfo {
	info := proto.CloneOf(b.temporal.sagas["order-"+orderID].info)
	info.Execution.WorkflowId = id
	info.SearchAttributes.IndexedFields = payloads(map[string]any{"SagaState": "parked", "ParkedSince": since, "SagaStep": "NotifyCustomer"})
	return info
}

// Those that wait longest come first, page by page, also those that wait since the same moment.
func TestListLongestParked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	found := &workflowservice.ListWorkflowExecutionsResponse{Executions: []*workflowpb.WorkflowExecutionInfo{
		b.parkedSince("order-3", noon.Add(time.Hour)), b.parkedSince("order-2", noon),
		b.parkedSince("order-4", noon.Add(90*time.Minute)), b.parkedSince("order-1", noon), b.parkedSince("order-0", noon.Add(100*time.Millisecond)),
	}}
	const first = "/v1/sagas?state=parked&sort=parked_since&page_size=2"
	var ids []any
	next := ""
	for range 3 {
		b.temporal.pages = append(b.temporal.pages, proto.CloneOf(found))
		a := b.get(t, first+next)
		require.Equal(t, 200, a.status, a.body)
		items, ok := a.json(t, "items").([]any)
		require.True(t, ok)
		for _, it := range items {
			ids = append(ids, it.(map[string]any)["id"])
		}
		token, _ := a.json(t, "next_page_token").(string)
		next = "&page_token=" + url.QueryEscape(token)
	}

	require.Equal(t, []any{"order-1", "order-2", "order-0", "order-3", "order-4"}, ids)
	require.Equal(t, "&page_token=", next, "the third page is the last")
	require.EqualValues(t, 500, b.temporal.listed[0].GetPageSize())

	b.temporal.pages = append(b.temporal.pages, found)
	a := b.get(t, first)
	token, _ := a.json(t, "next_page_token").(string)
	requireProblem(t, b.get(t, "/v1/sagas?state=parked&page_token="+url.QueryEscape(token)), 400, "bad_parameter",
		"page_token: is not the next_page_token of a page of this list")
	require.JSONEq(t, `{"id":"order-1","type":"PlaceOrder","state":"parked","step":"NotifyCustomer","parked_since":"2026-05-04T12:00:00Z",
		"started_at":"2026-05-04T10:00:00Z","links":{"self":"/v1/sagas/order-1","resource":"/v1/orders/1","events":"/v1/sagas/order-1/events",
		"web_ui":"http://127.0.0.1:8233/namespaces/default/workflows/order-1/run-order-b4525638-64ca-8852-91fe-fdf9e706de90/timeline"}}`,
		string(encode(t, a.json(t, "items").([]any)[0])))
}

func TestTooManyToSort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.pages = []*workflowservice.ListWorkflowExecutionsResponse{{
		Executions: slices.Repeat([]*workflowpb.WorkflowExecutionInfo{b.parkedSince("order-1", startTime)}, 500),
	}}

	requireProblem(t, b.get(t, "/v1/sagas?state=parked&sort=parked_since"), 400, "bad_parameter",
		"sort: 500 sagas or more match, too many to sort; narrow them, such as by parked_before")
}

func TestListSagasIsRefused(t *testing.T) {
	t.Parallel()
	const (
		times    = "must be a time of RFC 3339 from 1970 to 2199"
		customer = "customer: must be a customer's ID: 1 to 120 printable characters, with no space at either end"
	)
	for query, fault := range map[string]string{
		"type=RecoverSaga":                               `type: expected value to be one of "PlaceOrder, ReturnOrder"`,
		"customer=%20c":                                  customer,
		"customer=c%C2%A0d":                              customer,
		"customer=%FF":                                   "customer: is not UTF-8",
		"customer=c%0A":                                  "customer: has control characters",
		"step=BakeCake":                                  "step: is no step of these sagas",
		"step=%FF'":                                      "step: is not UTF-8",
		"type=PlaceOrder&step=BookReturn":                "step: is no step of these sagas",
		"started_after=yesterday":                        "started_after: expected string to be RFC 3339 date-time",
		"ended_before=1969-12-31T23:59:59Z":              "ended_before: " + times,
		"parked_after=9999-12-31T23:59:59-14:00":         "parked_after: " + times,
		"sort=customer":                                  `sort: expected value to be one of "parked_since"`,
		"sort=parked_since":                              "sort: parked_since is for state=parked",
		"sort=parked_since&state=parked&page_token=AAAA": "page_token: is not the next_page_token of a page of this list",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			requireProblem(t, b.get(t, "/v1/sagas?"+query), 400, "bad_parameter", fault)
			require.Empty(t, b.temporal.listed)
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
