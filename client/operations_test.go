package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
)

// call is how the client asks for an operation.
type call struct {
	// request decodes a body into the type that the client sends; nil for none.
	request any
	// do returns what the API answered.
	do func(context.Context, *client.Client) (any, error)
}

// first is a list's first two items, of which the second is on the second page, as the page that they came from.
func first(items func(func(*client.Item, error) bool)) (any, error) {
	var got []*client.Item
	for it, err := range items {
		if err != nil {
			return nil, err
		}
		if got = append(got, it); len(got) == 2 {
			break
		}
	}
	return map[string]any{"items": got[1:], "next_page_token": "abc"}, nil
}

func started[R any](s *client.Started[R], err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return s.Ended, nil
}

// leftOut are the operations that the client does not have, and why.
var leftOut = map[string]string{
	"healthz": "is for whoever runs the process; who wants to use it asks whether it is ready",
}

// seen is a saga that was looked at before.
var (
	seen       = &client.Saga{ID: "order-42", ETag: `"seen"`}
	seenOrder  = &client.Order{ID: "42", ETag: `"seen"`}
	seenReturn = &client.Return{ID: "42", ETag: `"seen"`}
	key        = "a-key"
	wait       = 10 * time.Second
	past       = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// calls ask for each operation, with everything that it takes.
func calls() map[string]call {
	var (
		order    client.OrderRequest
		returned client.ReturnRequest
		cancel   client.CancelRequest
		approval client.ApprovalRequest
		arrival  client.ArrivalRequest
		retry    client.RetryRequest
		skip     client.SkipRequest
		done     client.MarkDoneRequest

		happened  client.MarkHappenedRequest
		prevented client.MarkPreventedRequest

		extend client.ExtendDeadlineRequest
		batch  struct {
			client.BatchRequest

			DryRun bool `json:"dry_run"`
		}
	)
	start := client.StartOptions{Key: key, Wait: wait}
	list := client.ListOptions{State: client.Parked, PageSize: 1}
	return map[string]call{
		"place-order": {&order, func(ctx context.Context, c *client.Client) (any, error) {
			return started(c.PlaceOrder(ctx, order, start))
		}},
		"get-order":   {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.OrderNews(ctx, seenOrder, wait) }},
		"list-orders": {nil, func(ctx context.Context, c *client.Client) (any, error) { return first(c.Orders(ctx, list)) }},
		"cancel-order": {&cancel, func(ctx context.Context, c *client.Client) (any, error) {
			return c.CancelOrder(ctx, "42", cancel)
		}},
		"decide-order": {&approval, func(ctx context.Context, c *client.Client) (any, error) { return c.DecideOrder(ctx, "42", approval) }},
		"return-order": {&returned, func(ctx context.Context, c *client.Client) (any, error) {
			return started(c.ReturnOrder(ctx, returned, start))
		}},
		"get-return":     {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.ReturnNews(ctx, seenReturn, wait) }},
		"list-returns":   {nil, func(ctx context.Context, c *client.Client) (any, error) { return first(c.Returns(ctx, list)) }},
		"cancel-return":  {&cancel, func(ctx context.Context, c *client.Client) (any, error) { return c.CancelReturn(ctx, "42", cancel) }},
		"report-arrival": {&arrival, func(ctx context.Context, c *client.Client) (any, error) { return c.ReportArrival(ctx, "42", arrival) }},
		"list-sagas": {nil, func(ctx context.Context, c *client.Client) (any, error) {
			return first(c.Sagas(ctx, client.Filter{
				Type: "PlaceOrder", State: client.Parked, Customer: "c-1001", Step: "ReserveStock", StartedAfter: past, StartedBefore: past,
				EndedAfter: past, EndedBefore: past, ParkedAfter: past, ParkedBefore: past, LongestParkedFirst: true, PageSize: 1,
			}))
		}},
		"get-saga":    {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.SagaNews(ctx, seen, wait) }},
		"cancel-saga": {&cancel, func(ctx context.Context, c *client.Client) (any, error) { return c.CancelSaga(ctx, "order-42", cancel) }},
		"decide-saga": {&approval, func(ctx context.Context, c *client.Client) (any, error) {
			return c.DecideSaga(ctx, "order-42", approval)
		}},
		"retry-step": {&retry, func(ctx context.Context, c *client.Client) (any, error) {
			retry.Step, retry.Item = "ReserveStock", "1"
			return c.RetryStep(ctx, seen, retry)
		}},
		"skip-step": {&skip, func(ctx context.Context, c *client.Client) (any, error) {
			skip.Step, skip.Item = "ReserveStock", "1"
			return c.SkipStep(ctx, seen, skip)
		}},
		"mark-step-done": {&done, func(ctx context.Context, c *client.Client) (any, error) {
			done.Step, done.Item = "ReserveStock", "1"
			return c.MarkStepDone(ctx, seen, done)
		}},
		"mark-pivot-happened": {&happened, func(ctx context.Context, c *client.Client) (any, error) {
			happened.Step, happened.Item = "CapturePayment", "1"
			return c.MarkPivotHappened(ctx, seen, happened)
		}},
		"mark-pivot-prevented": {&prevented, func(ctx context.Context, c *client.Client) (any, error) {
			prevented.Step, prevented.Item = "CapturePayment", "1"
			return c.MarkPivotPrevented(ctx, seen, prevented)
		}},
		"extend-deadline": {&extend, func(ctx context.Context, c *client.Client) (any, error) { return c.ExtendDeadline(ctx, seen, extend) }},
		"follow-saga": {nil, func(ctx context.Context, c *client.Client) (any, error) {
			var last *client.Saga
			for v, err := range c.Follow(ctx, "order-42") {
				if err != nil {
					return nil, err
				}
				last = v
			}
			return last, nil
		}},
		"start-batch": {&batch, func(ctx context.Context, c *client.Client) (any, error) {
			return c.CountBatch(ctx, batch.BatchRequest)
		}},
		"get-batch":     {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.Batch(ctx, "7") }},
		"cancel-batch":  {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.CancelBatch(ctx, "7") }},
		"get-caller":    {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.Caller(ctx) }},
		"get-overview":  {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.Overview(ctx) }},
		"get-saga-type": {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.SagaType(ctx, "PlaceOrder") }},
		"get-plan": {nil, func(ctx context.Context, c *client.Client) (any, error) {
			return c.Plan(ctx, "PlaceOrder", "ReserveStock")
		}},
		"version": {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.Version(ctx) }},
		"readyz":  {nil, func(ctx context.Context, c *client.Client) (any, error) { return c.Ready(ctx) }},
		"list-saga-types": {nil, func(ctx context.Context, c *client.Client) (any, error) {
			items, err := c.SagaTypes(ctx)
			return map[string]any{"items": items}, err
		}},
	}
}

// Every operation of the description is a call of the client, or left out for a reason. The client sends every parameter
// and every field of the body that there is, and what it decodes has every field of the answer.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	doc := document(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			t.Run(op.OperationID, func(t *testing.T) {
				t.Parallel()
				known := calls() // of its own, since it is decoded into
				if leftOut[op.OperationID] != "" {
					require.NotContains(t, known, op.OperationID)
					return
				}
				require.Contains(t, known, op.OperationID, "%s %s: the client has no call for it", method, path)
				requireWhole(t, op, known[op.OperationID])
			})
		}
	}
}

// requireWhole requires that the call leaves out nothing of the operation.
func requireWhole(t *testing.T, op *openapi3.Operation, call call) {
	t.Helper()
	var wantBody, wantAnswer any
	if call.request != nil {
		wantBody = sample(op.RequestBody.Value.Content["application/json"].Schema.Value)
		d := json.NewDecoder(strings.NewReader(encode(t, wantBody)))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(call.request))
	}
	status, media := 0, ""
	for _, s := range []int{201, 200, 202} {
		if r := op.Responses.Status(s); r != nil && status == 0 {
			status = s
			for m, content := range r.Value.Content {
				media, wantAnswer = m, sample(content.Schema.Value)
			}
		}
	}
	var text string
	if media == "text/event-stream" {
		saga, ok := wantAnswer.([]any)[0].(map[string]any)["data"]
		require.True(t, ok)
		wantAnswer = saga
		text = "id: 1\nevent: saga\ndata: " + encode(t, saga) + "\n\n"
	} else {
		text = encode(t, wantAnswer)
	}
	served := 0
	server, c := newChecker(t, func(w http.ResponseWriter, r *http.Request) {
		served++
		w.Header().Set("Content-Type", media)
		w.Header().Set("ETag", `"now"`)
		body, _ := io.ReadAll(r.Body)
		if wantBody != nil {
			if got, want := canonical(string(body)), canonical(encode(t, wantBody)); got != want {
				t.Errorf("sent %s\nwant %s", got, want)
			}
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
		if media == "text/event-stream" && served == 2 {
			_, _ = io.WriteString(w, strings.Replace(text, "event: saga", "event: ended", 1))
		}
	})

	got, err := call.do(t.Context(), c)

	require.NoError(t, err)
	require.JSONEq(t, encode(t, wantAnswer), encode(t, got))
	for _, p := range op.Parameters {
		require.True(t, server.Sent(op.OperationID, p.Value.Name), "the client does not send %s %s", p.Value.In, p.Value.Name)
	}
}
