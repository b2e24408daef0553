package compensation

import (
	"context"
	"encoding/json"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
	// maxExpressResult is the largest result of an express step, in bytes of JSON. A step with a larger one becomes an
	// ordinary activity, whose result has an event of its own.
	maxExpressResult = 64 << 10
	// maxResult is the largest result of a step, in bytes of JSON. Temporal refuses payloads of 2 MiB
	// (limit.blobSize.error); the difference leaves room for what a codec adds.
	maxResult = 2<<20 - 128<<10

	// maxText is the longest text of a cause or a reason in a memo, in bytes, and maxListed how many parked steps one lists.
	maxText   = 4 << 10
	maxListed = 1000
	// maxFailure is the largest failure of a step that is passed on unchanged, in bytes of protobuf.
	maxFailure = 16 << 10

	// errTypeNotExpress is the type of the failure of an express step whose result needs an ordinary activity.
	errTypeNotExpress = "ResultNotExpress"
	// ErrTypeTooLarge is the type of the failure of a step whose input or result Temporal could not record. Its outcome
	// counts as unknown: a step whose result is too large has happened.
	ErrTypeTooLarge = "TooLargeToRecord"
)

// A workerInterceptor intercepts the workflows and activities of a worker with [NewPlugin].
type workerInterceptor struct {
	interceptor.WorkerInterceptorBase
}

// InterceptWorkflow implements [interceptor.WorkerInterceptor].
func (*workerInterceptor) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &inbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, host: &host{heardAt: unheard, ours: map[string]bool{}, handlers: map[string]bool{}}}
}

// InterceptActivity implements [interceptor.WorkerInterceptor]. The SDK passes local activities through it, too.
func (*workerInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &measured{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

// A host is the engine's view of the workflow that a saga runs in.
type host struct {
	// heardAt is the history's length in the workflow task that accepted the last update.
	heardAt int
	// saga is the workflow's saga; nil before it starts.
	saga *saga
	// ours are the updates that the engine handles, handlers the workflow's own.
	ours, handlers map[string]bool
}

// unheard is the history's length in no task.
const unheard = -1

type (
	hostKey struct{}
	// engineKey marks the contexts in which the engine sets its handlers.
	engineKey struct{}
)

// hostOf returns the host that the workflow of ctx runs in.
func hostOf(ctx workflow.Context) *host {
	h, ok := ctx.Value(hostKey{}).(*host)
	if !ok {
		panic("compensation: this worker has no compensation.NewPlugin among its plugins, without which no saga is safe")
	}
	return h
}

// enter makes s the workflow's saga, unless the workflow cannot be one.
func (h *host) enter(ctx workflow.Context, s *saga) error {
	info := workflow.GetInfo(ctx)
	bad := checkSagaID(s.id)
	switch {
	case bad != nil && s.plan.since(2):
		return refused("saga %s: %v", s.id, bad)
	case h.saga != nil:
		return refused("saga %s: the workflow runs a second saga, whose steps would have the keys of the first: run it as a child workflow", s.id)
	case info.CronSchedule != "":
		return refused("saga %s: it has a cron schedule, and each run would get the first one's results: let a schedule start sagas with IDs of their own", s.id)
	case info.RetryPolicy != nil:
		return refused("saga %s: it has a retry policy, and each run would get the first one's results: steps are retried, sagas are not", s.id)
	case info.ContinuedExecutionRunID != "":
		return refused("saga %s: it was continued as new, and each run would get the first one's results: use Step.For, or a child workflow for each part", s.id)
	}
	h.saga = s
	return nil
}

// refused returns the failure of a workflow that cannot be a saga.
func refused(format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), ErrTypeNotASaga, nil)
}

// inbound intercepts calls into the workflow.
type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	host *host
}

func (i *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&outbound{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: next}, host: i.host})
}

func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	return i.Next.ExecuteWorkflow(workflow.WithValue(ctx, hostKey{}, i.host), in)
}

func (i *inbound) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	i.host.heardAt = workflow.GetInfo(ctx).GetCurrentHistoryLength()
	return i.Next.ExecuteUpdate(ctx, in)
}

// outbound intercepts calls that the workflow makes.
type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	host *host
}

// SetUpdateHandler refuses a handler of the workflow's own for one of the engine's updates.
func (o *outbound) SetUpdateHandler(ctx workflow.Context, name string, handler any, options workflow.UpdateHandlerOptions) error {
	h := o.host
	if engines := ctx.Value(engineKey{}) != nil; engines && h.handlers[name] {
		return refused("the workflow has a handler of its own for the update %s, which is the saga's: give it another name", name)
	} else if !engines && h.ours[name] {
		return refused("the update %s is the saga's own: give the workflow's another name", name)
	}
	if ctx.Value(engineKey{}) != nil {
		h.ours[name] = true
	} else {
		h.handlers[name] = true
	}
	return o.Next.SetUpdateHandler(ctx, name, handler, options)
}

// measured refuses results of steps that are too large to record.
type measured struct {
	interceptor.ActivityInboundInterceptorBase
}

func (m *measured) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	out, err := m.Next.ExecuteActivity(ctx, in)
	if len(in.Args) == 0 {
		return out, err
	}
	key, ok := in.Args[0].(Key)
	if !ok {
		return out, err
	}
	if err != nil {
		return out, bounded(err)
	}
	if out == nil {
		return nil, nil // a step without a result
	}
	size := sizeOf(out)
	if activity.GetInfo(ctx).IsLocalActivity && size > maxExpressResult {
		return nil, temporal.NewNonRetryableApplicationError("its result is not for a workflow task", errTypeNotExpress, nil)
	}
	if size > maxResult {
		return nil, tooLargeToRecord("the result of "+key.label(), size)
	}
	return out, nil
}

// bounded returns a failure that fits into an event: err, or the parts of it that a saga goes by with the beginning of
// its text.
func bounded(err error) error {
	failure := temporal.GetDefaultFailureConverter().ErrorToFailure(err)
	if failure.Size() <= maxFailure {
		return err
	}
	text := shortened(failure.GetMessage(), maxFailure)
	kind, options := "", temporal.ApplicationErrorOptions{}
	if app, ok := err.(*temporal.ApplicationError); ok { //nolint:errorlint // only the outermost failure counts, as in outcomeOf
		kind = app.Type()
		options.NonRetryable, options.NextRetryDelay, options.Category = app.NonRetryable(), app.NextRetryDelay(), app.Category()
		if r, ok := refusalOf(app); ok {
			options.Details = []any{r}
		}
	}
	return temporal.NewApplicationErrorWithOptions(text, kind, options)
}

// tooLargeToRecord returns the failure of a step whose input or result is too large.
func tooLargeToRecord(what string, size int) error {
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("%s has %d bytes, of which Temporal records %d at most", what, size, maxResult), ErrTypeTooLarge, nil)
}

// sizeOf estimates the size of a result in a task or an event, in bytes. The same value always has the same size: in
// encoding/json, only the cache of types is not deterministic, which no caller sees.
//
//workflowcheck:ignore
func sizeOf(result any) int {
	if encoded, ok := result.(*commonpb.Payloads); ok {
		return encoded.Size()
	}
	text, err := json.Marshal(result)
	if err != nil {
		return 0 // a converter of the worker's own will see
	}
	return len(text)
}
