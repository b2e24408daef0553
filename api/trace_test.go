package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/amends-dev/amends/api"
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
