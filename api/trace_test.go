package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
)

const (
	callersTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersParent = "00-" + callersTrace + "-00f067aa0ba902b7-01"
)

// traced is an API whose spans a test reads.
func traced(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.spans = tracetest.NewSpanRecorder()
	b.handler = api.New(b.temporal, api.Options{
		Access: access.Open(), Logger: b.logger(), TraceURL: "http://traces.example/trace/{trace_id}?from=amends",
		Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans)).Tracer("test"),
	})
	return b
}

func TestRequestsAreSpansOfTheirCallersTrace(t *testing.T) {
	t.Parallel()
	b := traced(t)

	require.Equal(t, 202, b.ask(t, "POST", "/v1/orders", exampleOrder, "Traceparent", callersParent).status)
	b.get(t, "/v1/orders/"+orderID)
	b.get(t, "/nowhere/"+orderID)

	all := b.spans.Ended()
	require.Equal(t, []string{"POST /v1/orders", "GET /v1/orders/{id}", "GET"}, []string{all[0].Name(), all[1].Name(), all[2].Name()})
	require.Equal(t, callersTrace, all[0].SpanContext().TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", all[0].Parent().SpanID().String())
	require.Contains(t, all[0].Attributes(), attribute.Int("http.response.status_code", 202))
	require.NotEqual(t, all[1].SpanContext().TraceID(), all[2].SpanContext().TraceID())
}

// A problem leads to its request's trace, and so does each line of its log.
func TestProblemsTellTheTrace(t *testing.T) {
	t.Parallel()
	b := traced(t)

	a := b.ask(t, "POST", "/v1/orders", `{"lines":[]}`, "Traceparent", callersParent)

	require.Equal(t, 422, a.status)
	require.Equal(t, callersTrace, a.json(t, "trace_id"))
}

// A saga's page leads to the trace that its history knows.
func TestSagasTellTheirTrace(t *testing.T) {
	t.Parallel()
	b := traced(t)
	b.started(t, "/v1/orders", exampleOrder)
	require.NotContains(t, b.get(t, "/v1/orders/"+orderID).body, "trace_id", "its starter made none")
	b.temporal.sagas["order-"+orderID].headers = map[string]any{"_tracer-data": map[string]string{"traceparent": callersParent}}

	for _, path := range []string{"/v1/orders/" + orderID, "/v1/sagas/order-" + orderID} {
		a := b.get(t, path)
		require.Equal(t, callersTrace, a.json(t, "trace_id"), path)
		require.Equal(t, "http://traces.example/trace/"+callersTrace+"?from=amends", a.json(t, "links", "trace"), path)
	}
}

// What is done to a saga has a trace of its own, which leads to the saga's.
func TestActsLeadToTheTraceOfTheSaga(t *testing.T) {
	t.Parallel()
	b := traced(t)
	b.started(t, "/v1/orders", exampleOrder)
	saga := b.temporal.sagas["order-"+orderID]
	saga.headers = map[string]any{"_tracer-data": map[string]string{"traceparent": callersParent}}
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }

	require.Equal(t, 202, b.post(t, "/v1/sagas/order-"+orderID+"/cancel", `{"by":"ada","reason":"twice"}`).status)
	saga.headers = nil
	require.Equal(t, 202, b.post(t, "/v1/sagas/order-"+orderID+"/cancel", `{"by":"ada","reason":"again"}`).status)

	all := b.spans.Ended()
	cancel, without := all[len(all)-2], all[len(all)-1]
	require.Equal(t, "POST /v1/sagas/{id}/cancel", cancel.Name())
	require.NotEqual(t, callersTrace, cancel.SpanContext().TraceID().String())
	require.Len(t, cancel.Links(), 1)
	require.Equal(t, callersTrace, cancel.Links()[0].SpanContext.TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", cancel.Links()[0].SpanContext.SpanID().String())
	require.Empty(t, without.Links(), "its starter made none")
}
