package sagatest

import (
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// InterceptWorkflow implements [interceptor.WorkerInterceptor].
func (w *worker) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &inbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, worker: w}
}

// inbound sees what comes to the workflow.
type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	worker *worker
}

func (i *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&outbound{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: next}, worker: i.worker})
}

// ExecuteWorkflow runs the workflow beside a coroutine that can end it.
func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (out any, err error) {
	w, done := i.worker, false
	workflow.Go(ctx, func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		w.newTask()
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		out, err = i.Next.ExecuteWorkflow(ctx, in)
		done = true
	})
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	w.await(ctx, func() bool { return done || w.left || (w.lost && !w.slow.on) })
	if !done {
		return nil, errLeft
	}
	return out, err
}

func (i *inbound) HandleSignal(ctx workflow.Context, in *interceptor.HandleSignalInput) error {
	i.worker.newTask()
	return i.Next.HandleSignal(ctx, in)
}

func (i *inbound) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	i.worker.newTask()
	return i.Next.ExecuteUpdate(ctx, in)
}

// outbound sees what the workflow asks for.
type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	worker *worker
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	a, key, ok := o.worker.env.activityOf(name, args)
	if !ok {
		return o.Next.ExecuteActivity(ctx, name, args...)
	}
	options := workflow.GetActivityOptions(ctx)
	run := &activityRun{key: key, activity: a, asked: ctx, limit: options.ScheduleToCloseTimeout}
	if options.RetryPolicy != nil {
		run.retry, run.maxAttempts = *options.RetryPolicy, options.RetryPolicy.MaximumAttempts
	}
	run.one = func(ctx workflow.Context) workflow.Future {
		options.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
		options.StartToCloseTimeout, options.ScheduleToCloseTimeout, options.ActivityID = unlimited, 0, ""
		return o.Next.ExecuteActivity(workflow.WithActivityOptions(ctx, options), name, args...)
	}
	return o.worker.run(ctx, run)
}

func (o *outbound) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	a, key, ok := o.worker.env.activityOf(name, args)
	if !ok {
		return o.Next.ExecuteLocalActivity(ctx, name, args...)
	}
	options := workflow.GetLocalActivityOptions(ctx)
	run := &activityRun{key: key, activity: a, local: true, asked: ctx, limit: options.ScheduleToCloseTimeout}
	if options.RetryPolicy != nil {
		run.retry, run.maxAttempts = *options.RetryPolicy, options.RetryPolicy.MaximumAttempts
	}
	run.one = func(ctx workflow.Context) workflow.Future {
		options.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
		options.StartToCloseTimeout, options.ScheduleToCloseTimeout = unlimited, unlimited
		return o.Next.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, options), name, args...)
	}
	return o.worker.run(ctx, run)
}

// AwaitWithTimeout and AwaitWithOptions forget the timer when the condition has come true: the SDK lets it run on.
func (o *outbound) AwaitWithTimeout(ctx workflow.Context, timeout time.Duration, condition func() bool) (bool, error) {
	id, condition := o.worker.expectTimer(condition)
	defer func() { delete(o.worker.timers, *id) }()
	return o.Next.AwaitWithTimeout(ctx, timeout, condition)
}

func (o *outbound) AwaitWithOptions(ctx workflow.Context, options workflow.AwaitOptions, condition func() bool) (bool, error) {
	id, condition := o.worker.expectTimer(condition)
	defer func() { delete(o.worker.timers, *id) }()
	return o.Next.AwaitWithOptions(ctx, options, condition)
}

// expectTimer notes the ID of the timer that is started before the condition is asked for.
func (w *worker) expectTimer(condition func() bool) (id *string, _ func() bool) {
	id = new(string)
	w.awaitTimer = id
	return id, func() bool {
		if w.awaitTimer == id {
			w.awaitTimer = nil
		}
		return condition()
	}
}

func (o *outbound) UpsertTypedSearchAttributes(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	if state, ok := temporal.NewSearchAttributes(updates...).GetKeyword(compensation.SearchAttributeState); ok {
		o.worker.env.changed(o.worker, compensation.State(state))
	}
	return o.Next.UpsertTypedSearchAttributes(ctx, updates...)
}

func (o *outbound) UpsertMemo(ctx workflow.Context, memo map[string]any) error {
	o.worker.env.noted(o.worker, memo)
	return o.Next.UpsertMemo(ctx, memo)
}
