package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// The keys of the example order and of another one, and the IDs that follow from them.
const (
	orderKey = "42"
	orderID  = "b4525638-64ca-8852-91fe-fdf9e706de90"
	otherKey = "43"
	otherID  = "09156841-55b5-8408-82c4-cb551a8fa6eb"
)

const exampleOrder = `{"customer":{"id":"c_1001","name":"Ada Lovelace","email":"ada@example.com"},` +
	`"lines":[{"sku":"TEA-EARL-GREY","quantity":2}],"currency":"EUR","payment":{"token":"tok_visa"},` +
	`"ship_to":{"name":"Ada Lovelace","street":"12 Analytical Row","postal_code":"20095","city":"Hamburg","country":"DE"}}`

// with is the example order with texts replaced.
func with(oldnew ...string) string { return strings.NewReplacer(oldnew...).Replace(exampleOrder) }

func contextDeadline() error { return context.DeadlineExceeded }

func TestPlaceOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.post(t, "/v1/orders", exampleOrder)

	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "/v1/orders/"+orderID, a.header.Get("Location"))
	require.JSONEq(t, `{"id":"b4525638-64ca-8852-91fe-fdf9e706de90","state":"running","links":{"self":"/v1/orders/b4525638-64ca-8852-91fe-fdf9e706de90","saga":"/v1/sagas/order-b4525638-64ca-8852-91fe-fdf9e706de90","events":"/v1/sagas/order-b4525638-64ca-8852-91fe-fdf9e706de90/events",
		"web_ui":"http://127.0.0.1:8233/namespaces/default/workflows/order-b4525638-64ca-8852-91fe-fdf9e706de90/run-order-b4525638-64ca-8852-91fe-fdf9e706de90/timeline"}}`, a.body)
	started := b.temporal.sagas["order-"+orderID]
	require.Equal(t, "PlaceOrder", started.kind)
	require.Equal(t, workflows.PlaceOrderInput{Order: order.Order{
		ID:       orderID,
		Customer: order.Customer{ID: "c_1001", Name: "Ada Lovelace", Email: "ada@example.com"},
		Lines:    []order.Line{{SKU: "TEA-EARL-GREY", Quantity: 2}},
		Currency: "EUR", Payment: order.Payment{Token: "tok_visa"},
		ShipTo: order.Address{Name: "Ada Lovelace", Street: "12 Analytical Row", PostalCode: "20095", City: "Hamburg", Country: "DE"},
	}, Revision: workflows.Revision}, started.input)
	require.Equal(t, "amends", started.options.TaskQueue)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, started.options.WorkflowIDReusePolicy)
	require.Equal(t, enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL, started.options.WorkflowIDConflictPolicy)
	require.Equal(t, workflows.TaskTimeout, started.options.WorkflowTaskTimeout)
	require.False(t, started.options.EnableEagerStart)
	require.Equal(t, `1 article for customer c\_1001, in EUR`, started.options.StaticSummary)
	state, ok := started.options.TypedSearchAttributes.GetKeyword(compensation.SearchAttributeState)
	require.True(t, ok)
	require.Equal(t, "running", state)
	customer, ok := started.options.TypedSearchAttributes.GetKeyword(workflows.SearchAttributeCustomer)
	require.True(t, ok)
	require.Equal(t, "c_1001", customer)
}

func TestStartAsTheOptionsSay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.handler = api.New(b.temporal, api.Options{
		Access:         access.Open(),
		ApprovalWithin: time.Minute, GoodsWithin: 2 * time.Minute, OrderDeadline: time.Hour, ReturnDeadline: 2 * time.Hour,
		EagerStart: true, Logger: b.logger(),
	})
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, nil)
	b.started(t, "/v1/returns", exampleReturn)

	placed, returned := b.temporal.sagas["order-"+orderID], b.temporal.sagas["return-"+returnID]
	in, ok := placed.input.(workflows.PlaceOrderInput)
	require.True(t, ok)
	require.Equal(t, []time.Duration{time.Minute, time.Hour}, []time.Duration{in.ApprovalWithin, in.Deadline})
	require.True(t, placed.options.EnableEagerStart)
	back, ok := returned.input.(workflows.ReturnOrderInput)
	require.True(t, ok)
	require.Equal(t, []time.Duration{2 * time.Minute, 2 * time.Hour}, []time.Duration{back.GoodsWithin, back.Deadline})
	require.True(t, returned.options.EnableEagerStart)
}

// An order that the description allows is one that the domain allows, and the other way round, at every limit.
func TestPlaceOrderLimits(t *testing.T) {
	t.Parallel()
	name := func(n int) string { return strings.Repeat("é", n) }
	token := func(n int) string { return strings.Repeat("a", n) }
	capitals := func(n int) string { return strings.Repeat("A", n) }
	lines := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"sku":"S%d","quantity":1}`, i))
		}
		return strings.Join(all, ",")
	}
	for _, tt := range []struct{ pointer, part, good, bad string }{
		{"/customer/id", `c_1001`, name(120), name(121)},
		{"/customer/id", `c_1001`, `gid://shopify/Customer/1`, ` c`},
		{"/customer/name", `"name":"Ada Lovelace","e`, `"name":"` + name(200) + `","e`, `"name":"` + name(201) + `","e`},
		{"/customer/name", `"name":"Ada Lovelace","e`, `"name":"A","e`, `"name":"A\u0000","e`},
		{"/customer/name", `"name":"Ada Lovelace","e`, `"name":"A","e`, `"name":"  ","e`},
		{"/customer/email", `ada@example.com`, `a@b`, `ada`},
		{"/customer/email", `ada@example.com`, `a@b`, `Ada <ada@example.com>`},
		{"/lines", `{"sku":"TEA-EARL-GREY","quantity":2}`, lines(100), lines(101)},
		{"/lines", `{"sku":"TEA-EARL-GREY","quantity":2}`, lines(1), ``},
		{"/lines/1/sku", `{"sku":"TEA-EARL-GREY","quantity":2}`, lines(2), lines(1) + "," + lines(1)},
		{"/lines/0/sku", `TEA-EARL-GREY`, capitals(80), capitals(81)},
		{"/lines/0/sku", `TEA-EARL-GREY`, `Tee, grün 12/3`, `a\u202eb`},
		{"/lines/0/quantity", `"quantity":2`, `"quantity":100000`, `"quantity":100001`},
		{"/lines/0/quantity", `"quantity":2`, `"quantity":1`, `"quantity":0`},
		{"/lines/0/quantity", `"quantity":2`, `"quantity":1`, `"quantity":-1`},
		{"/currency", `EUR`, `USD`, `EURO`},
		{"/currency", `EUR`, `JPY`, `ABC`},
		{"/voucher", `"currency"`, `"voucher":"` + capitals(100) + `","currency"`, `"voucher":"` + capitals(101) + `","currency"`},
		{"/voucher", `"currency"`, `"voucher":"","currency"`, `"voucher":"spring ","currency"`},
		{"/points", `"currency"`, `"points":1000000000,"currency"`, `"points":1000000001,"currency"`},
		{"/points", `"currency"`, `"points":0,"currency"`, `"points":-1,"currency"`},
		{"/payment/token", `tok_visa`, token(200), token(201)},
		{"/ship_to/street", `12 Analytical Row`, name(200), name(201)},
		{"/ship_to/postal_code", `20095`, name(200), name(201)},
		{"/ship_to/city", `Hamburg`, name(200), name(201)},
		{"/ship_to/country", `"DE"`, `"AT"`, `"de"`},
		{"/ship_to/country", `"DE"`, `"XK"`, `"XX"`},
		{"/ship_to/country", `"DE"`, `"GB"`, `"UK"`},
		{"/ship_to/postal_code", `"postal_code":"20095","city":"Hamburg","country":"DE"`, `"city":"Ballina","region":"Co. Mayo","country":"IE"`, `"city":"Hamburg","country":"DE"`},
		{"/ship_to/city", `"postal_code":"20095","city":"Hamburg","country":"DE"`, `"postal_code":"048616","country":"SG"`, `"postal_code":"20095","country":"DE"`},
		{"/ship_to/phone", `"country"`, `"phone":"+49 40 1","company":"A","street2":"B","region":"C","country"`, `"phone":"none","country"`},
		{"/expected_total/currency", `"currency"`, `"expected_total":{"amount":1,"currency":"EUR"},"currency"`, `"expected_total":{"amount":1,"currency":"USD"},"currency"`},
		{"/carrier", `"currency"`, `"carrier":"` + token(64) + `","currency"`, `"carrier":"` + token(65) + `","currency"`},
		{"/carrier", `"currency"`, `"carrier":"DHL Paket","currency"`, `"carrier":"a\u00a0b","currency"`},
	} {
		t.Run(tt.pointer, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			good, bad := b.post(t, "/v1/orders", with(tt.part, tt.good)), b.post(t, "/v1/orders", with(tt.part, tt.bad))

			require.Equal(t, 202, good.status, good.body)
			require.Equal(t, 422, bad.status, bad.body)
			faults, ok := bad.json(t, "errors").([]any)
			require.True(t, ok)
			require.Len(t, faults, 1, bad.body)
			require.Contains(t, bad.body, `"pointer":"`+tt.pointer+`"`)
			require.Len(t, b.temporal.sagas, 1)
		})
	}
}

// A guest is not a customer whose sagas can be found, and spends nobody's points.
func TestPlaceOrderOfAGuest(t *testing.T) {
	t.Parallel()
	for _, id := range []string{``, `"id":"",`, `"id":"0",`} {
		b := setup(t)

		a := b.post(t, "/v1/orders", with(`"id":"c_1001",`, id))

		require.Equal(t, 202, a.status, a.body)
		started := b.temporal.sagas["order-"+orderID].options
		require.Equal(t, "1 article for a guest, in EUR", started.StaticSummary)
		_, ok := started.TypedSearchAttributes.GetKeyword(workflows.SearchAttributeCustomer)
		require.False(t, ok)

		a = setup(t).post(t, "/v1/orders", with(`"id":"c_1001",`, id, `"currency"`, `"points":1,"currency"`))
		requireProblem(t, a, 422, "invalid", "/points: a guest has no points to spend: name the customer's account as /customer/id")
	}
}

// A customer's ID is found and shown as it was sent, whatever characters it has.
func TestCustomerOfAnySystem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := `gid://shopify/Customer/1 'Zoë\' "?~`
	encoded, err := json.Marshal(id)
	require.NoError(t, err)

	b.started(t, "/v1/orders", with(`"c_1001"`, string(encoded)))

	key, ok := b.temporal.sagas["order-"+orderID].options.TypedSearchAttributes.GetKeyword(workflows.SearchAttributeCustomer)
	require.True(t, ok)
	require.Equal(t, "gid://shopify/Customer/1 ~qZoë~b~q ~d~m~t", key)
	a := b.get(t, "/v1/sagas?customer="+url.QueryEscape(id))
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, sagasOf(" AND SagaCustomer = '"+key+"'"), b.temporal.listed[0].GetQuery())
}

func TestUnknownSaga(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range []string{orderID, "no%20id", "a%2Fb", "-", strings.Repeat("a", 1001)} {
		requireProblem(t, b.get(t, "/v1/orders/"+id), 404, "not_found")
		requireProblem(t, b.post(t, "/v1/orders/"+id+"/cancel", ""), 404, "not_found")
		requireProblem(t, b.post(t, "/v1/orders/"+id+"/approval", `{"approved":true,"by":"grace"}`), 404, "not_found")
		requireProblem(t, b.get(t, "/v1/returns/"+id), 404, "not_found")
		requireProblem(t, b.post(t, "/v1/returns/"+id+"/cancel", ""), 404, "not_found")
		requireProblem(t, b.post(t, "/v1/returns/"+id+"/arrival", `{"condition":"damaged","by":"dock 4"}`), 404, "not_found")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }

	a := b.post(t, "/v1/orders/"+orderID+"/cancel", `{"by":"ada","reason":"ordered twice"}`)

	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "compensating", a.json(t, "state"))
	require.Equal(t, "/v1/orders/"+orderID, a.header.Get("Location"))
	sent := b.temporal.updates[0]
	require.Equal(t, "order-"+orderID, sent.WorkflowID)
	require.Equal(t, "cancel", sent.UpdateName)
	require.Equal(t, []any{compensation.CancelRequest{By: "ada", Reason: "ordered twice"}}, sent.Args)
}

func TestCancelIsRefused(t *testing.T) {
	t.Parallel()
	tooLate := func(client.UpdateWorkflowOptions) (any, error) {
		return nil, temporal.NewApplicationError("too late to cancel: CapturePayment was started", compensation.ErrTypeTooLate)
	}
	for _, tt := range []struct {
		name    string
		prepare func(*fakeTemporal)
		code    string
		state   any
	}{
		{"past the pivot", func(f *fakeTemporal) { f.answer = tooLate }, "too_late_to_cancel", "running"},
		{"completed", func(f *fakeTemporal) {
			f.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, nil)
		}, "too_late_to_cancel", "completed"},
		{"refused", func(f *fakeTemporal) {
			f.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated, nil)
		}, "already_ended", "compensated"},
		{"canceled", func(f *fakeTemporal) {
			f.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, compensation.Compensated, nil)
		}, "already_ended", "compensated"},
		{"terminated", func(f *fakeTemporal) {
			f.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, compensation.Running, nil)
		}, "already_ended", "terminated"},
		{"ends while it is asked", func(f *fakeTemporal) {
			f.answer = func(client.UpdateWorkflowOptions) (any, error) {
				f.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, nil)
				return nil, serviceerror.NewNotFound("workflow execution already completed")
			}
		}, "too_late_to_cancel", "completed"},
		{"ends while it answers", func(f *fakeTemporal) {
			f.answer = func(client.UpdateWorkflowOptions) (any, error) {
				f.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, compensation.Running, nil)
				return nil, temporal.NewApplicationError("the workflow completed before", "AcceptedUpdateCompletedWorkflow")
			}
		}, "already_ended", "terminated"},
		{"undone but for what stands", func(f *fakeTemporal) {
			f.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.CompensatedWithExceptions, nil)
		}, "already_ended", "compensated_with_exceptions"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.started(t, "/v1/orders", exampleOrder)
			tt.prepare(b.temporal)

			for _, path := range []string{"/v1/orders/", "/v1/sagas/order-"} {
				a := b.post(t, path+orderID+"/cancel", "")
				requireProblem(t, a, 409, tt.code)
				require.Equal(t, tt.state, a.json(t, "state"))
				require.Equal(t, "/v1/sagas/order-"+orderID, a.json(t, "saga_url"))
			}
		})
	}
}

// The saga has to ask its pivot's service first, which takes longer than the caller may wait.
func TestCancelThatIsTakenButNotAnswered(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"/v1/orders/" + orderID + "/cancel":   `{"by":"ada"}`,
		"/v1/orders/" + orderID + "/approval": `{"approved":true,"by":"grace"}`,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			description(t) // outside the bubble: it is shared
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.started(t, "/v1/orders", exampleOrder)
				b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, errBusy }
				start := time.Now()

				a := b.post(t, path, body)

				require.Equal(t, 202, a.status, a.body)
				require.Equal(t, "running", a.json(t, "state"))
				require.Equal(t, 5*time.Second, time.Since(start))
			})
		})
	}
}

func TestNoWorkerAnswers(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"/v1/orders/" + orderID + "/cancel":   `{"by":"ada"}`,
		"/v1/orders/" + orderID + "/approval": `{"approved":true,"by":"grace"}`,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			description(t) // outside the bubble: it is shared
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.started(t, "/v1/orders", exampleOrder)
				start := time.Now()

				a := b.post(t, path, body)

				requireProblem(t, a, 503, "no_worker")
				require.Equal(t, 5*time.Second, time.Since(start))
			})
		})
	}
}

func TestApproval(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, nil }

	a := b.post(t, "/v1/orders/"+orderID+"/approval", `{"approved":true,"by":"grace","reason":"a regular"}`)

	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "running", a.json(t, "state"))
	sent := b.temporal.updates[0]
	require.Equal(t, "approval", sent.UpdateName)
	require.Equal(t, []any{workflows.Approval{Approved: true, By: "grace", Reason: "a regular"}}, sent.Args)
}

func TestApprovalIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		err        error
		status     int
		code       string
		faults     []string
	}{
		{
			"nothing waits", `{"approved":true,"by":"grace"}`,
			temporal.NewApplicationError("nothing waits", workflows.ErrTypeNotAwaited), 409, "not_awaited", nil,
		},
		{"the saga objects", `{"approved":true,"by":"grace"}`, temporal.NewApplicationError("who is that", "wrapError"), 422, "invalid", nil},
		{"Temporal objects", `{"approved":true,"by":"grace"}`, errors.New("odd"), 500, "internal", nil},
		{"its task failed", `{"approved":true,"by":"grace"}`, serviceerror.NewWorkflowNotReady("task failure"), 503, "no_worker", nil},
		{"nothing is decided", `{"by":"grace"}`, nil, 422, "invalid", []string{"/approved: is missing"}},
		{"control characters", `{"approved":true,"by":"a\u001b"}`, nil, 422, "invalid", []string{"/by: has control characters"}},
		{"empty", ``, nil, 400, "malformed", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.started(t, "/v1/orders", exampleOrder)
			b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, tt.err }

			requireProblem(t, b.post(t, "/v1/orders/"+orderID+"/approval", tt.body), tt.status, tt.code, tt.faults...)
		})
	}
}

func TestApprovalOfAnEndedOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, nil)

	a := b.post(t, "/v1/orders/"+orderID+"/approval", `{"approved":true,"by":"grace"}`)

	requireProblem(t, a, 409, "not_awaited")
	require.Equal(t, "completed", a.json(t, "state"))
}
