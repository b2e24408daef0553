package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"

	"github.com/amends-dev/amends/compensation"
)

// sagas counts and logs what a worker does for its sagas.
type sagas struct {
	interceptor.InterceptorBase

	known   steps
	tracer  trace.Tracer
	carried tracer
	// handOver waits until the spans that have ended were taken.
	handOver func(context.Context)
	log      *slog.Logger
	// ending are sagas whose code has returned, by workflow ID, until the server takes their last task. A task that it
	// refuses runs again, here or elsewhere, and only one of its tries is the saga's end.
	ending *lru.Cache[string, ending]

	ended       metric.Int64Counter
	duration    metric.Float64Histogram
	tries       metric.Int64Counter
	tryDuration metric.Float64Histogram
}

// maxEnding is far more tasks than a worker has at the same time; the rest was lost.
const maxEnding = 4096

// ending is what a saga's code came to.
type ending struct {
	id, sagaType string
	state        compensation.State
	startedAt    time.Time
	// started is the span of its start.
	started trace.SpanContext
}

func newSagas(t *Telemetry, carried tracer) (*sagas, error) {
	s := &sagas{known: stepsOf(t.plans), tracer: t.Tracer(), carried: carried, handOver: t.tracers.handOver, log: t.logger}
	meter := t.Meter()
	var err error
	if s.ending, err = lru.New[string, ending](maxEnding); err != nil {
		return nil, err
	}
	if s.ended, err = meter.Int64Counter("amends_saga_ended",
		metric.WithDescription("Sagas that ended, by type and last state.")); err != nil {
		return nil, err
	}
	if s.duration, err = meter.Float64Histogram("amends_saga_duration", metric.WithUnit("s"),
		metric.WithDescription("Time from a saga's start to its end."),
		metric.WithExplicitBucketBoundaries(sagaBounds...)); err != nil {
		return nil, err
	}
	if s.tries, err = meter.Int64Counter("amends_step_tries",
		metric.WithDescription("Tries of steps and of their undos, by outcome.")); err != nil {
		return nil, err
	}
	s.tryDuration, err = meter.Float64Histogram("amends_step_try_duration", metric.WithUnit("s"),
		metric.WithDescription("Time that a try of a step or of its undo takes."), CallBounds())
	return s, err
}

// InterceptWorkflow implements [interceptor.WorkerInterceptor].
func (s *sagas) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &workflowInbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, sagas: s}
}

// InterceptActivity implements [interceptor.WorkerInterceptor].
func (s *sagas) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &activityInbound{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, sagas: s}
}

type workflowInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	sagas *sagas
	// started is the span of the workflow's start.
	started trace.SpanContext
}

func (i *workflowInbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	ctx = i.sagas.carried.rejoin(ctx, in.Args)
	i.started = spanOf(ctx)
	out, err := i.Next.ExecuteWorkflow(ctx, in)
	info := workflow.GetInfo(ctx)
	if i.sagas.known.saga(info.WorkflowType.Name) && !workflow.IsReplaying(ctx) {
		i.sagas.ending.Add(info.WorkflowExecution.ID, ending{
			id: info.WorkflowExecution.ID, sagaType: info.WorkflowType.Name, state: lastState(ctx, err),
			startedAt: info.WorkflowStartTime, started: i.started,
		})
	}
	return out, err
}

// ExecuteUpdate makes a span in the saga's trace for a message that the saga takes, such as an operator's act. It leads to the
// request that sent it, in whose trace nothing else of the saga is.
func (i *workflowInbound) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	info := workflow.GetInfo(ctx)
	if i.sagas.known.saga(info.WorkflowType.Name) && !workflow.IsReplaying(ctx) {
		attributes := []attribute.KeyValue{attribute.String(attributeSaga, info.WorkflowExecution.ID)}
		for _, arg := range in.Args {
			if act, ok := arg.(compensation.Act); ok && act.Step != "" {
				attributes = append(attributes, attribute.String(attributeStep, act.Step))
			}
		}
		parent := trace.ContextWithSpanContext(context.Background(), i.started) //nolint:forbidigo // a workflow has none
		_, span := i.sagas.tracer.Start(parent, in.Name, trace.WithAttributes(attributes...), trace.WithLinks(trace.Link{SpanContext: spanOf(ctx)}))
		span.End()
	}
	return i.Next.ExecuteUpdate(ctx, in)
}

// spanOf is the span that a workflow, or a message to it, came from.
func spanOf(ctx workflow.Context) trace.SpanContext {
	span, _ := opentelemetry.SpanFromWorkflowContext(ctx)
	return span.SpanContext()
}

// lastState is the state in which a saga ends whose code returned err, as [compensation.StateOf] tells it afterwards.
func lastState(ctx workflow.Context, err error) compensation.State {
	if err == nil {
		return compensation.Completed
	}
	attribute, _ := workflow.GetTypedSearchAttributes(ctx).GetKeyword(compensation.SearchAttributeState)
	if state := compensation.State(attribute); state == compensation.Compensated || state == compensation.CompensatedWithExceptions {
		return state
	}
	return compensation.Terminated
}

// respond hands over what a worker has done before it tells Temporal: what a saga's history has was in its trace before, whatever
// becomes of the worker. When the server has taken the task that ends a saga, it counts the end. It is a
// [grpc.UnaryClientInterceptor].
func (s *sagas) respond(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	switch req.(type) {
	case *workflowservice.RespondWorkflowTaskCompletedRequest, *workflowservice.RespondActivityTaskCompletedRequest,
		*workflowservice.RespondActivityTaskFailedRequest, *workflowservice.RespondActivityTaskCanceledRequest:
		s.handOver(ctx)
	}
	err := call(ctx, method, req, reply, cc, opts...)
	if task, ok := req.(*workflowservice.RespondWorkflowTaskCompletedRequest); ok && err == nil && ends(task) {
		id := strings.TrimPrefix(task.GetResourceId(), "workflow:")
		if e, ok := s.ending.Get(id); ok {
			s.ending.Remove(id)
			s.end(ctx, e)
			s.handOver(ctx)
		}
	}
	return err
}

// end counts the saga's end, and makes the span of all of it.
func (s *sagas) end(ctx context.Context, e ending) {
	ctx, span := s.tracer.Start(trace.ContextWithSpanContext(ctx, e.started), e.sagaType, trace.WithTimestamp(e.startedAt),
		trace.WithAttributes(attribute.String(attributeSaga, e.id), attribute.String("saga.state", string(e.state))))
	defer span.End()
	labels := metric.WithAttributeSet(attribute.NewSet(attribute.String("type", e.sagaType), attribute.String("state", string(e.state))))
	s.ended.Add(ctx, 1, labels)
	// The start is by the server's clock.
	s.duration.Record(ctx, max(time.Since(e.startedAt), 0).Seconds(), labels)
}

// ends tells whether a task ends its workflow. That is a task's last command.
func ends(task *workflowservice.RespondWorkflowTaskCompletedRequest) bool {
	commands := task.GetCommands()
	if len(commands) == 0 {
		return false
	}
	switch commands[len(commands)-1].GetCommandType() {
	case enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION, enumspb.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
		enumspb.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION:
		return true
	default:
		return false
	}
}
