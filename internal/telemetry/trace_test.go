package telemetry_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/telemetry"
)

// start starts a saga within a request, and returns the span of the start and the headers that the saga gets.
func (b *bundle) start(t *testing.T) (started trace.SpanContext, headers *commonpb.Header) {
	t.Helper()
	server := &fakeServer{}
	options := b.options
	options.HostPort, options.Logger = server.serve(t), log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.DialContext(t.Context(), options)
	require.NoError(t, err)
	defer c.Close()
	ctx, request := b.telemetry.Tracer().Start(t.Context(), "POST /v1/orders")
	defer request.End()
	_, err = c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "order-1", TaskQueue: "test"}, "Shop", "tea")
	require.NoError(t, err)
	carrier := propagation.MapCarrier{}
	require.NoError(t, converter.GetDefaultDataConverter().FromPayload(server.started.GetFields()["_tracer-data"], &carrier))
	return trace.SpanContextFromContext(telemetry.Propagator.Extract(t.Context(), carrier)), server.started
}

// text is a span in one line.
func text(s sdktrace.ReadOnlySpan) string {
	line := s.Name()
	for _, key := range []attribute.Key{"saga.id", "saga.step", "saga.attempt", "saga.mode", "saga.outcome", "saga.state"} {
		for _, a := range s.Attributes() {
			if a.Key == key {
				line += " " + a.Value.String()
			}
		}
	}
	return line
}

// A saga is one trace, from the request that starts it on. A worker that dies in the middle leaves no span behind whose parent
// is not there: nothing that it would have to record at its end is anybody's parent.
func TestOneTraceOfASagaWhoseWorkerDied(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	b := setup(t, spans)
	started, headers := b.start(t)

	// The first worker dies when it has paid, and nobody hears of it; the second begins again.
	b.run(t, "order-1", nil, headers)
	before := len(spans.Ended())
	b.run(t, "order-1", map[string][]error{"Weigh": {errRefused}}, headers)
	b.complete(t, "order-1", nil, enumspb.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION)

	recorded := map[trace.SpanID]bool{}
	for _, s := range spans.Ended() {
		recorded[s.SpanContext().SpanID()] = true
	}
	var lines []string
	for i, s := range spans.Ended() {
		require.Equal(t, started.TraceID(), s.SpanContext().TraceID(), s.Name())
		if s.Parent().IsValid() {
			require.True(t, recorded[s.Parent().SpanID()], "%s is an orphan", s.Name())
		}
		if i >= before {
			require.Equal(t, started.SpanID(), s.Parent().SpanID(), "%s hangs from what a worker may lose", s.Name())
			lines = append(lines, text(s))
		}
	}
	require.Equal(t, []string{
		"Reserve order-1 Reserve 1 express done",
		"Weigh order-1 Weigh 1 durable refused",
		"PreventPay order-1 Pay 1 express done",
		"Unweigh order-1 Weigh 1 durable done",
		"Release order-1 Reserve 1 express done",
		"Shop order-1 compensated",
	}, lines)
	require.Equal(t, []string{
		"POST /v1/orders StartWorkflow:Shop",
	}, []string{spans.Ended()[1].Name() + " " + spans.Ended()[0].Name()})
	require.Equal(t, started.WithRemote(true), telemetry.StartOf(t.Context(), headers.GetFields()))
}

// What a worker tells Temporal is in the saga's trace by then; the whole of the saga is as soon as Temporal knows of its end.
func TestSpansComeBeforeTheHistory(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(context.Context, workflowservice.WorkflowServiceClient) error{
		"a task": func(ctx context.Context, c workflowservice.WorkflowServiceClient) error {
			_, err := c.RespondWorkflowTaskCompleted(ctx, taskOf("order-1"))
			return err
		},
		"a step that is done": func(ctx context.Context, c workflowservice.WorkflowServiceClient) error {
			_, err := c.RespondActivityTaskCompleted(ctx, &workflowservice.RespondActivityTaskCompletedRequest{})
			return err
		},
		"a step that is not": func(ctx context.Context, c workflowservice.WorkflowServiceClient) error {
			_, err := c.RespondActivityTaskFailed(ctx, &workflowservice.RespondActivityTaskFailedRequest{})
			return err
		},
		"a step that is called off": func(ctx context.Context, c workflowservice.WorkflowServiceClient) error {
			_, err := c.RespondActivityTaskCanceled(ctx, &workflowservice.RespondActivityTaskCanceledRequest{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := tracetest.NewInMemoryExporter()
			b := setup(t, sdktrace.NewBatchSpanProcessor(sent, sdktrace.WithBatchTimeout(time.Hour)))
			b.run(t, "order-1", nil)
			require.Empty(t, sent.GetSpans())
			var before int
			server := b.dial(t, &fakeServer{answers: []error{nil, nil}, told: func() { before = len(sent.GetSpans()) }})

			require.NoError(t, tell(t.Context(), server))
			require.Equal(t, 3, before)

			_, err := server.RespondWorkflowTaskCompleted(t.Context(), taskOf("order-1", enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION))
			require.NoError(t, err)
			require.Equal(t, 3, before, "it has not ended yet")
			require.Len(t, sent.GetSpans(), 4)
		})
	}
}

// What a person does to a saga is in the saga's trace.
func TestActsAreInTheTrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	b := setup(t, spans)
	started, headers := b.start(t)
	b.meanwhile = func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			for _, act := range []compensation.Act{
				{By: "ada", Step: "Reserve"}, // it is refused, since it gives no reason
				{By: "ada", Reason: "the tea is lost", Step: "Reserve"},
			} {
				env.UpdateWorkflow(compensation.UpdateSkip, "", &testsuite.TestUpdateCallback{
					OnAccept: func() {}, OnReject: func(error) {}, OnComplete: func(any, error) {},
				}, act)
			}
		}, time.Second)
	}

	b.run(t, "order-1", map[string][]error{"Weigh": {errRefused}, "Release": {errBroken}}, headers)

	var acts []sdktrace.ReadOnlySpan
	for _, s := range spans.Ended() {
		if s.Name() == compensation.UpdateSkip {
			acts = append(acts, s)
		}
	}
	require.Len(t, acts, 1)
	require.Equal(t, "skip order-1 Reserve", text(acts[0]))
	require.Len(t, acts[0].Attributes(), 2, "nothing of who said what")
	require.Equal(t, started.TraceID(), acts[0].SpanContext().TraceID())
	require.Equal(t, started.SpanID(), acts[0].Parent().SpanID())
}

// What a step's service is told is the span of the saga's start.
func TestTheServiceGoesOnFromTheStart(t *testing.T) {
	t.Parallel()
	b := setup(t, tracetest.NewSpanRecorder())
	started, headers := b.start(t)

	seen := b.run(t, "order-1", nil, headers)

	require.Equal(t, []trace.SpanContext{started, started, started}, seen)
}

// A saga whose starter made no trace has one for each try.
func TestASagaWithoutATrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	b := setup(t, spans)

	seen := b.run(t, "order-1", nil, nil)

	require.Len(t, spans.Ended(), 3)
	for i, s := range spans.Ended() {
		require.False(t, s.Parent().IsValid())
		require.Equal(t, s.SpanContext(), seen[i])
	}
	require.False(t, telemetry.StartOf(t.Context(), nil).IsValid())
}

func TestHeadersThatAreNoTrace(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"x", map[string]string{}, map[string]string{"traceparent": "00-0-0-00"}} {
		p, err := converter.GetDefaultDataConverter().ToPayload(value)
		require.NoError(t, err)
		require.False(t, telemetry.StartOf(t.Context(), map[string]*commonpb.Payload{"_tracer-data": p}).IsValid())
	}
}

// Exemplars lead from a count to the trace of one that was counted.
func TestExemplars(t *testing.T) {
	t.Parallel()
	b := setup(t, tracetest.NewSpanRecorder())
	started, headers := b.start(t)
	b.run(t, "order-1", nil, headers)
	b.complete(t, "order-1", nil, enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)

	lines := b.text(t, "application/openmetrics-text")

	for _, metric := range []string{"amends_step_tries_total", "amends_step_try_duration_seconds_bucket", "amends_saga_ended_total"} {
		found := false
		for line := range strings.Lines(lines) {
			found = found || strings.HasPrefix(line, metric+"{") && strings.Contains(line, `trace_id="`+started.TraceID().String()+`"`)
		}
		require.True(t, found, "%s in\n%s", metric, lines)
	}
}
