package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

func TestShowSaga(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, receipt)
	b.started(t, "/v1/returns", exampleReturn)

	placed, saga := b.get(t, "/v1/orders/"+orderID), b.get(t, "/v1/sagas/order-"+orderID)
	require.Equal(t, 200, saga.status, saga.body)
	require.Equal(t, "order-"+orderID, saga.json(t, "id"))
	require.Equal(t, placed.json(t, "steps"), saga.json(t, "steps"))
	require.Equal(t, "cap-1", saga.json(t, "result", "capture_id"))
	require.Equal(t, "/v1/sagas/order-"+orderID, saga.json(t, "links", "self"))
	require.Equal(t, "/v1/orders/"+orderID, saga.json(t, "links", "resource"))
	require.Equal(t, "/v1/sagas/order-"+orderID, placed.json(t, "links", "saga"))
	require.Equal(t, 304, b.ask(t, http.MethodGet, "/v1/sagas/order-"+orderID, "", "If-None-Match", saga.header.Get("ETag")).status)
	require.Equal(t, "/v1/returns/"+returnID, b.get(t, "/v1/sagas/return-"+returnID).json(t, "links", "resource"))

	for _, unknown := range []string{orderID, "order-", "order-" + otherID, "return-42", "recover-order-" + orderID, "order-%20", "orders-42"} {
		requireProblem(t, b.get(t, "/v1/sagas/"+unknown), 404, "not_found")
	}
}

// What a saga is about is steered there, or at the saga itself, which says where.
func TestSteerSaga(t *testing.T) {
	t.Parallel()
	const saga = "/v1/sagas/order-" + orderID
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	var h history
	h.waits("approval", time.Hour)
	b.temporal.sagas["order-"+orderID].events = h.events
	seen := b.get(t, saga)
	require.Equal(t, saga+"/cancel", seen.json(t, "links", "cancel"))
	require.Equal(t, saga+"/approval", seen.json(t, "links", "approval"))

	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, nil }
	a := b.post(t, saga+"/approval", `{"approved":true,"by":"grace","reason":"a regular"}`)
	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, saga, a.header.Get("Location"))
	require.Equal(t, "order-"+orderID, a.json(t, "id"))
	require.Equal(t, []any{saga, "/v1/orders/" + orderID, nil},
		[]any{a.json(t, "links", "self"), a.json(t, "links", "resource"), a.json(t, "links", "saga")})

	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }
	a = b.post(t, saga+"/cancel", `{"by":"ada","reason":"twice"}`)
	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "compensating", a.json(t, "state"))
	require.Equal(t, saga, a.header.Get("Location"))
	require.Equal(t, 202, b.post(t, saga+"/cancel", "").status)

	var sent []any
	for _, u := range b.temporal.updates {
		require.Equal(t, "order-"+orderID, u.WorkflowID)
		sent = append(sent, u.Args[0])
	}
	require.Equal(t, []any{
		workflows.Approval{Approved: true, By: "grace", Reason: "a regular"},
		compensation.CancelRequest{By: "ada", Reason: "twice"},
		compensation.CancelRequest{By: "anonymous"},
	}, sent)

	for _, unknown := range []string{"order-" + otherID, "none", "order-%20"} {
		requireProblem(t, b.post(t, "/v1/sagas/"+unknown+"/cancel", ""), 404, "not_found")
		requireProblem(t, b.post(t, "/v1/sagas/"+unknown+"/approval", `{"approved":true}`), 404, "not_found")
	}
}

// A return waits for its goods, which are not approved; it is canceled as any saga.
func TestSteerReturnAsSaga(t *testing.T) {
	t.Parallel()
	const saga = "/v1/sagas/return-" + returnID
	b := completedOrder(t)
	b.started(t, "/v1/returns", exampleReturn)
	var h history
	h.waits("arrival of the returned goods", 7*24*time.Hour)
	b.temporal.sagas["return-"+returnID].events = h.events
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }
	seen := b.get(t, saga)
	require.Equal(t, []any{saga + "/cancel", nil, "/v1/returns/" + returnID + "/arrival"},
		[]any{seen.json(t, "links", "cancel"), seen.json(t, "links", "approval"), seen.json(t, "links", "arrival")})

	refused := b.post(t, saga+"/approval", `{"approved":true}`)
	requireProblem(t, refused, 409, "not_awaited")
	require.Equal(t, "running", refused.json(t, "state"))
	require.Equal(t, saga, refused.json(t, "saga_url"))
	require.Empty(t, b.temporal.updates)

	require.Equal(t, 202, b.post(t, saga+"/cancel", "").status)
	require.Equal(t, "return-"+returnID, b.temporal.updates[0].WorkflowID)
}

// An act reaches the saga as the update that does it.
func TestActs(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		path, body string
		update     string
		act        compensation.Act
	}{
		"retry": {
			"/steps/ReserveStock/retry", `{"by":"grace"}`,
			compensation.UpdateRetry,
			compensation.Act{Step: "ReserveStock", By: "grace"},
		},
		"retry one of several": {
			"/steps/ReserveStock/retry?item=HAM", `{"by":"grace","reason":"mended"}`,
			compensation.UpdateRetry,
			compensation.Act{Step: "ReserveStock", Item: "HAM", By: "grace", Reason: "mended"},
		},
		"retry with another input": {
			"/steps/NotifyCustomer/retry", `{"by":"grace","reason":"typo","input":{"to":"ada@example.org"}}`,
			compensation.UpdateRetryWithInput,
			compensation.Act{Step: "NotifyCustomer", By: "grace", Reason: "typo", Input: json.RawMessage(`{"to":"ada@example.org"}`)},
		},
		"skip": {
			"/steps/ReserveStock/skip", `{"by":"grace","reason":"lost"}`,
			compensation.UpdateSkip,
			compensation.Act{Step: "ReserveStock", By: "grace", Reason: "lost"},
		},
		"mark done": {
			"/steps/NotifyCustomer/mark-done", `{"by":"grace","reason":"told","reference":"T-1","result":{"message_id":"none"}}`,
			compensation.UpdateMarkDone,
			compensation.Act{Step: "NotifyCustomer", By: "grace", Reason: "told", Reference: "T-1", Result: json.RawMessage(`{"message_id":"none"}`)},
		},
		"the pivot happened": {
			"/steps/CapturePayment/mark-happened", `{"by":"grace","reason":"the bank says so","reference":"T-1","result":{"capture_id":"cap-1"}}`,
			compensation.UpdateMarkHappened,
			compensation.Act{Step: "CapturePayment", By: "grace", Reason: "the bank says so", Reference: "T-1", Result: json.RawMessage(`{"capture_id":"cap-1"}`)},
		},
		"the pivot was prevented": {
			"/steps/CapturePayment/mark-prevented", `{"by":"grace","reason":"blocked","reference":"T-1"}`,
			compensation.UpdateMarkPrevented,
			compensation.Act{Step: "CapturePayment", By: "grace", Reason: "blocked", Reference: "T-1"},
		},
		"extend the deadline": {
			"/extend-deadline", `{"by":"grace","reason":"mending","deadline":"2027-01-31T12:00:00Z"}`,
			compensation.UpdateExtendDeadline,
			compensation.Act{By: "grace", Reason: "mending", Deadline: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.started(t, "/v1/orders", exampleOrder)
			b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) {
				b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.CompensatedWithExceptions, nil)
				return compensation.CompensatedWithExceptions, nil
			}
			tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")

			a := b.ask(t, http.MethodPost, "/v1/sagas/order-"+orderID+tt.path, tt.body, "If-Match", tag)

			require.Equal(t, 200, a.status, a.body)
			require.Equal(t, "compensated_with_exceptions", a.json(t, "state"))
			require.Equal(t, b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag"), a.header.Get("ETag"))
			require.Len(t, b.temporal.updates, 1)
			sent := b.temporal.updates[0]
			tt.act.IfActs = new(int) // nobody had acted
			require.Equal(t, []any{tt.act}, sent.Args)
			require.Equal(t, []string{tt.update, "order-" + orderID, "run-order-" + orderID}, []string{sent.UpdateName, sent.WorkflowID, sent.RunID})
		})
	}
}

// Nobody decides about a saga other than the one they saw.
func TestActNeedsTheETag(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Running, nil }
	const path, body = "/v1/sagas/order-" + orderID + "/steps/ReserveStock/retry", `{"by":"grace"}`
	tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")

	requireProblem(t, b.post(t, path, body), 428, "precondition_required")
	requireProblem(t, b.ask(t, http.MethodPost, path, body, "If-Match", `"other"`), 412, "precondition_failed")
	require.Empty(t, b.temporal.updates)

	require.Equal(t, 200, b.ask(t, http.MethodPost, path, body, "If-Match", tag).status)
	b.temporal.mu.Lock()
	b.temporal.sagas["order-"+orderID].info.SearchAttributes = attributes(compensation.Parked)
	b.temporal.mu.Unlock()
	requireProblem(t, b.ask(t, http.MethodPost, path, body, "If-Match", tag), 412, "precondition_failed")
	now := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")
	require.Equal(t, 200, b.ask(t, http.MethodPost, path, body, "If-Match", now).status)
	require.Len(t, b.temporal.updates, 2)
	require.NotEqual(t, b.temporal.updates[0].UpdateID, b.temporal.updates[1].UpdateID, "another retry is another act")
}

// The version is compared where the act is taken: another act may come between the look at the saga and this act.
func TestActGoesWithWhatWasSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	const path, body = "/v1/sagas/order-" + orderID + "/steps/ReserveStock/retry", `{"by":"grace"}`
	tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")
	for _, unseen := range []string{"*", " * "} {
		requireProblem(t, b.ask(t, http.MethodPost, path, body, "If-Match", unseen), 428, "precondition_required")
	}
	for _, weak := range []string{"W/" + tag, `"x", W/` + tag, "*, " + `"x"`} {
		requireProblem(t, b.ask(t, http.MethodPost, path, body, "If-Match", weak), 412, "precondition_failed")
	}
	require.Empty(t, b.temporal.updates)

	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) {
		return nil, temporal.NewNonRetryableApplicationError("retry: the saga took another act since", compensation.ErrTypeActStale, nil)
	}
	requireProblem(t, b.ask(t, http.MethodPost, path, body, "If-Match", tag), 412, "precondition_failed")

	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Running, nil }
	for i := range 3 {
		tag = b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")
		key := fmt.Sprint("k", i)
		require.Equal(t, 200, b.ask(t, http.MethodPost, path, body, "If-Match", `"x", `+tag, "Idempotency-Key", key).status)
		act, ok := b.temporal.updates[i+1].Args[0].(compensation.Act)
		require.True(t, ok)
		require.Equal(t, &i, act.IfActs)
		again := b.ask(t, http.MethodPost, path, body, "If-Match", tag, "Idempotency-Key", key)
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"), again.body)
	}
}

func TestActIsRefused(t *testing.T) {
	t.Parallel()

	rejection := func(kind string) error {
		return temporal.NewNonRetryableApplicationError("skip: why not", kind, nil)
	}
	for name, tt := range map[string]struct {
		body   string
		answer error
		status int
		code   string
		faults []string
	}{
		"no reason":    {`{"by":"grace"}`, nil, 422, "invalid", []string{"/reason: is missing"}},
		"does not fit": {`{"by":"grace","reason":"lost"}`, rejection(compensation.ErrTypeActRefused), 409, "act_refused", nil},
		"says nothing": {`{"by":"grace","reason":" "}`, rejection(compensation.ErrTypeActInvalid), 422, "invalid", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.started(t, "/v1/orders", exampleOrder)
			b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, tt.answer }
			tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")

			a := b.ask(t, http.MethodPost, "/v1/sagas/order-"+orderID+"/steps/ReserveStock/skip", tt.body, "If-Match", tag)

			requireProblem(t, a, tt.status, tt.code, tt.faults...)
			if tt.answer != nil {
				require.Contains(t, a.json(t, "detail"), "skip: why not")
			}
		})
	}
}

// An operator's decision about a pivot has a reason and a reference, and a pivot that did not happen has no result.
func TestMarksOfAPivot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")
	mark := func(act, body string) answer {
		return b.ask(t, http.MethodPost, "/v1/sagas/order-"+orderID+"/steps/CapturePayment/"+act, body, "If-Match", tag)
	}
	for _, act := range []string{"mark-happened", "mark-prevented"} {
		requireProblem(t, mark(act, `{"reason":"seen"}`), 422, "invalid", "/reference: is missing")
		requireProblem(t, mark(act, `{"reference":"T-1"}`), 422, "invalid", "/reason: is missing")
		requireProblem(t, b.post(t, "/v1/sagas/order-"+orderID+"/steps/CapturePayment/"+act, `{"reason":"seen","reference":"T-1"}`), 428, "precondition_required")
	}
	requireProblem(t, mark("mark-prevented", `{"reason":"seen","reference":"T-1","result":{}}`), 400, "malformed", "/result: is not a field of this resource")
	require.Empty(t, b.temporal.updates)
}

// A message that would change nothing is answered with the saga's present state, however often it comes.
func TestMessagesThatChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.answer = func(o client.UpdateWorkflowOptions) (any, error) {
		kind := compensation.ErrTypeUnchanged
		if o.UpdateName == compensation.UpdateCancel {
			kind = compensation.ErrTypeTurnsBack
		}
		return nil, temporal.NewNonRetryableApplicationError("as it was", kind, nil, compensation.Parked)
	}
	for range 2 {
		for _, path := range []string{"/v1/orders/" + orderID + "/cancel", "/v1/sagas/order-" + orderID + "/cancel"} {
			a := b.post(t, path, `{"by":"ada"}`)
			require.Equal(t, 202, a.status, a.body)
			require.Equal(t, "parked", a.json(t, "state"), "as its worker says, whatever lists show so far")
			require.Empty(t, a.header.Get("Idempotent-Replayed"))
		}
	}
	const saga = "/v1/sagas/order-" + orderID
	a := b.ask(t, http.MethodPost, saga+"/extend-deadline", `{"reason":"mending","deadline":"2027-01-31T12:00:00Z"}`, "If-Match", b.get(t, saga).header.Get("ETag"))
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, "order-"+orderID, a.json(t, "id"))
}

// If Temporal does not pass a message on, a problem gives the reason.
func TestMessagesThatTemporalKeeps(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name   string
		said   error
		status int
		code   string
		after  string
		says   string
	}{
		{"too many in flight", &serviceerror.ResourceExhausted{
			Cause: enumspb.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT, Message: "limit on number of concurrent in-flight updates has been reached (10)",
		}, 429, "saga_busy", "1", "Repeat the request unchanged"},
		{
			"too many", serviceerror.NewFailedPrecondition("The limit on the total number of distinct updates in this workflow has been reached (2000). …"),
			409, "too_many_updates", "", "history.maxTotalUpdates",
		},
		{"paused", serviceerror.NewFailedPrecondition("Workflow is paused. Cannot update the workflow."), 409, "saga_paused", "", "temporal workflow unpause"},
		{"failing", serviceerror.NewWorkflowNotReady("… due to Workflow Task in failed state."), 503, "no_worker", "5", "workflow task fails"},
		{
			"too many at all", &serviceerror.ResourceExhausted{Cause: enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, Message: "namespace rate limit exceeded"},
			503, "temporal_unavailable", "5", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.started(t, "/v1/orders", exampleOrder)
			b.temporal.unsent = tt.said
			const saga = "/v1/sagas/order-" + orderID
			tag := b.get(t, saga).header.Get("ETag")

			for _, a := range []answer{
				b.post(t, "/v1/orders/"+orderID+"/cancel", ""),
				b.post(t, saga+"/approval", `{"approved":true}`),
				b.ask(t, http.MethodPost, saga+"/steps/ReserveStock/retry", `{}`, "If-Match", tag),
			} {
				requireProblem(t, a, tt.status, tt.code)
				require.Equal(t, tt.after, a.header.Get("Retry-After"))
				require.Contains(t, a.json(t, "detail"), tt.says)
				if tt.says != "" {
					require.Equal(t, saga, a.json(t, "saga_url"))
				}
			}
		})
	}
}

func TestActOnAnEndedSaga(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, compensation.Compensated, nil)
	tag := b.get(t, "/v1/sagas/order-"+orderID).header.Get("ETag")

	a := b.ask(t, http.MethodPost, "/v1/sagas/order-"+orderID+"/steps/ReserveStock/retry", `{"by":"grace"}`, "If-Match", tag)

	requireProblem(t, a, 409, "already_ended")
	require.Empty(t, b.temporal.updates)
	requireProblem(t, b.ask(t, http.MethodPost, "/v1/sagas/order-"+otherID+"/steps/ReserveStock/retry", `{"by":"grace"}`, "If-Match", tag), 404, "not_found")
}

// Whoever looks at a terminated saga is led to what undoes it.
func TestTerminatedSaga(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	require.Nil(t, b.get(t, "/v1/orders/"+orderID).json(t, "links", "recovery"))
	b.temporal.end("order-"+orderID, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, compensation.Running, nil)

	const recovery = "http://127.0.0.1:8233/namespaces/default/workflows/recover-order-" + orderID
	require.Equal(t, recovery, b.get(t, "/v1/orders/"+orderID).json(t, "links", "recovery"))
	require.Equal(t, recovery, b.get(t, "/v1/sagas/order-"+orderID).json(t, "links", "recovery"))
}
