package api_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
)

// Nothing that has an effect is done without a key.
func TestKeyIsRequired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")

	for _, keys := range [][]string{
		nil, {""}, {" "}, {`""`}, {"a b"}, {`"a`}, {`a"b`}, {`a\b`}, {"é"}, {"a\x7f"}, {strings.Repeat("a", 256)}, {"a", "a"},
	} {
		for path, body := range map[string]string{
			"/v1/orders":                                              exampleOrder,
			"/v1/returns":                                             exampleReturn,
			"/v1/orders/" + orderID + "/cancel":                       "",
			"/v1/orders/" + orderID + "/approval":                     `{"approved":true,"by":"grace"}`,
			"/v1/returns/" + returnID + "/cancel":                     "",
			"/v1/returns/" + returnID + "/arrival":                    `{"condition":"damaged","by":"dock 4"}`,
			"/v1/sagas/order-" + orderID + "/steps/ReserveStock/skip": `{"by":"grace","reason":"lost"}`,
		} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("If-Match", tag)
			for _, key := range keys {
				r.Header.Add("Idempotency-Key", key)
			}
			requireProblem(t, b.do(t, r), 400, "idempotency_key_required")
		}
	}
	require.Len(t, b.temporal.sagas, 1)
	require.Empty(t, b.temporal.updates)
}

// A start that is repeated is answered as it was the first time, whatever has become of the saga.
func TestStartAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.post(t, "/v1/orders", exampleOrder)
	require.Equal(t, 202, first.status, first.body)
	require.Empty(t, first.header.Get("Idempotent-Replayed"))
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated, nil)

	for name, again := range map[string]answer{
		"the same":                     b.post(t, "/v1/orders", exampleOrder),
		"with what is said by default": b.post(t, "/v1/orders", with(`"currency":"EUR"`, ` "voucher":"", "points":0, "currency":"EUR"`)),
		"with the key in quotes":       b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Idempotency-Key", `"`+orderKey+`"`),
	} {
		require.Equal(t, 202, again.status, name)
		require.Equal(t, first.body, again.body, name)
		require.Equal(t, first.header.Get("Location"), again.header.Get("Location"), name)
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"), name)
	}
	waited := b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Prefer", "wait=10")
	require.Equal(t, 201, waited.status, waited.body)
	require.Equal(t, "true", waited.header.Get("Idempotent-Replayed"))

	reused := b.post(t, "/v1/orders", with(`"quantity":2`, `"quantity":3`))
	requireProblem(t, reused, 422, "idempotency_key_reused")
	require.Equal(t, "/v1/sagas/order-"+orderID, reused.json(t, "saga_url"))
	require.Len(t, b.temporal.sagas, 1)
}

// A key counts within its caller and its route only.
func TestScopeOfAKey(t *testing.T) {
	t.Parallel()

	require.Equal(t, orderID, api.IDOf(api.Anonymous, "/v1/orders", orderKey))
	ids := []string{
		api.IDOf("ada", "/v1/orders", "k"), api.IDOf("grace", "/v1/orders", "k"), api.IDOf("ada", "/v1/returns", "k"), api.IDOf("ada", "/v1/orders", "l"),
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(ids))), len(ids))
	for _, id := range ids {
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
	}
}

// An act that is repeated has no other effect, and its answer tells what came of the first.
func TestActAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, body, other string
		status            int
	}{
		"cancel":             {"/v1/orders/" + orderID + "/cancel", `{"by":"ada"}`, `{"by":"grace"}`, 202},
		"cancel of a saga":   {"/v1/sagas/order-" + orderID + "/cancel", `{"by":"ada"}`, `{"by":"grace"}`, 202},
		"approval of a saga": {"/v1/sagas/order-" + orderID + "/approval", `{"approved":true,"by":"grace"}`, `{"approved":false,"by":"grace"}`, 202},
		"approval":           {"/v1/orders/" + orderID + "/approval", `{"approved":true,"by":"grace"}`, `{"approved":false,"by":"grace"}`, 202},
		"retry": {
			"/v1/sagas/order-" + orderID + "/steps/NotifyCustomer/retry", `{"by":"grace","reason":"typo","input":{"to":"a","cc":"b"}}`,
			`{"by":"grace","reason":"typo","input":{"to":"b","cc":"b"}}`, 200,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.started(t, "/v1/orders", exampleOrder)
			b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }
			tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")
			ask := func(body string) answer {
				return b.ask(t, http.MethodPost, tt.path, body, "If-Match", tag, "Idempotency-Key", "k")
			}
			first := ask(tt.body)
			require.Equal(t, tt.status, first.status, first.body)
			require.Empty(t, first.header.Get("Idempotent-Replayed"))
			require.NotEqual(t, tag, b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")+first.header.Get("Location"))
			b.temporal.mu.Lock()
			b.temporal.sagas["order-"+orderID].info.SearchAttributes = attributes(compensation.Parked)
			b.temporal.mu.Unlock()

			for _, body := range []string{tt.body, strings.ReplaceAll(tt.body, `"to":"a","cc":"b"`, `"cc":"b", "to":"a"`)} {
				again := ask(body)
				require.Equal(t, tt.status, again.status, again.body)
				require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
				require.Equal(t, "parked", again.json(t, "state"), "as it is now")
			}
			requireProblem(t, ask(tt.other), 422, "idempotency_key_reused")
			require.Len(t, b.temporal.updates, 1)

			b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated, nil)
			ended := ask(tt.body)
			require.Equal(t, tt.status, ended.status, "also after the end")
			require.Equal(t, "compensated", ended.json(t, "state"))
			code := "already_ended"
			if strings.HasPrefix(name, "approval") {
				code = "not_awaited"
			}
			requireProblem(t, b.ask(t, http.MethodPost, tt.path, tt.body, "If-Match", tag), 409, code)
		})
	}
}

// TestUpdateIDsSayNothing: anybody who can read Temporal sees the IDs of updates, and could test guesses against them.
func TestUpdateIDsSayNothing(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, body := range []string{`{"approved":true}`, `{"approved":false}`, `{"approved":true,"by":"grace","reason":"knows the customer"}`} {
		b := setup(t)
		b.started(t, "/v1/orders", exampleOrder)
		b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, nil }
		require.Equal(t, 202, b.ask(t, http.MethodPost, "/v1/orders/"+orderID+"/approval", body, "Idempotency-Key", "k").status)
		ids = append(ids, b.temporal.updates[0].UpdateID)
	}
	require.Len(t, slices.Compact(ids), 1, "it depends on what was asked")
}

// TestUpdateFromBefore: an update sent by an API that had a hash of the request in the update's ID is not sent again.
func TestUpdateFromBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }
	ask := func(body string) answer {
		return b.ask(t, http.MethodPost, "/v1/orders/"+orderID+"/cancel", body, "Idempotency-Key", "k")
	}
	require.Equal(t, 202, ask(`{"by":"ada"}`).status)
	b.temporal.mu.Lock()
	update := b.temporal.updates[0]
	sent := update.UpdateID
	update.UpdateID = "cancel-" + api.IDOf(api.Anonymous, "/v1/orders/"+orderID+"/cancel", "k") + "-" + strings.Repeat("0123456789abcdef", 4)
	b.temporal.sagas["order-"+orderID].events, b.temporal.updates = nil, nil
	b.temporal.mu.Unlock()
	b.temporal.accept(update, fakeUpdate{result: compensation.Compensating})

	again := ask(`{"by":"ada"}`)
	require.Equal(t, 202, again.status, again.body)
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	requireProblem(t, ask(`{"by":"grace"}`), 422, "idempotency_key_reused")
	require.Empty(t, b.temporal.updates)
	require.Regexp(t, "^cancel-[-0-9a-f]{36}-", sent, "so an API of that time takes it for the same key")
}

// TestKeyOfAnotherAct: a retry with an input is another update in Temporal, but not another request.
func TestKeyOfAnotherAct(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Running, nil }
	ask := func(body string) answer {
		tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")
		return b.ask(t, http.MethodPost, "/v1/sagas/order-"+orderID+"/steps/NotifyCustomer/retry", body, "If-Match", tag, "Idempotency-Key", "k")
	}
	require.Equal(t, 200, ask(`{"reason":"typo"}`).status)
	requireProblem(t, ask(`{"reason":"typo","input":{"to":"a"}}`), 422, "idempotency_key_reused")
	require.Len(t, b.temporal.updates, 1)
}

// TestOneKeyAtTwoProcesses: of two requests with one key, Temporal takes the first, and answers the second like it.
func TestOneKeyAtTwoProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.answer = func(o client.UpdateWorkflowOptions) (any, error) {
		o.Args = []any{map[string]any{"approved": false, "by": "anonymous"}}
		b.temporal.accept(o, fakeUpdate{})
		return nil, nil
	}
	requireProblem(t, b.post(t, "/v1/orders/"+orderID+"/approval", `{"approved":true}`), 422, "idempotency_key_reused")
}

// What was refused had no effect, so its key is free.
func TestRefusedIsNotRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	cancel := func() answer {
		return b.ask(t, http.MethodPost, "/v1/orders/"+orderID+"/cancel", "", "Idempotency-Key", "k")
	}
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) {
		return nil, serviceerror.NewUnavailable("down")
	}
	requireProblem(t, cancel(), 503, "temporal_unavailable")
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }
	require.Equal(t, 202, cancel().status)
	require.Equal(t, b.temporal.updates[0].UpdateID, b.temporal.updates[1].UpdateID, "Temporal takes the two for one, if it had the first")
}

// While a request is carried out, its repeats are sent away; a wait for the end of what it started is not part of that.
func TestInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	description(t) // outside the bubble: others use it, too

	synctest.Test(t, func(t *testing.T) {
		b.started(t, "/v1/orders", exampleOrder)
		b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, errBusy }
		cancel := func(key string) answer {
			return b.ask(t, http.MethodPost, "/v1/orders/"+orderID+"/cancel", "", "Idempotency-Key", key)
		}
		done := make(chan answer)
		go func() { done <- cancel("k") }()
		<-time.After(time.Second)
		a := cancel("k")
		requireProblem(t, a, 409, "in_flight")
		require.Equal(t, "1", a.header.Get("Retry-After"))
		require.Equal(t, 202, cancel("l").status)
		require.Equal(t, 202, (<-done).status)
		require.Equal(t, 202, cancel("k").status)

		place := func() answer { return b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Prefer", "wait=20") }
		go func() { done <- place() }()
		<-time.After(time.Second)
		require.Equal(t, 202, b.post(t, "/v1/orders", exampleOrder).status)
		require.Equal(t, 202, (<-done).status)
	})
}
