package sagatest

import (
	"fmt"
	"reflect"
	"time"

	"go.temporal.io/sdk/converter"
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

// ExecuteWorkflow runs the workflow beside a coroutine that can end it, and gives it its run.
func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (out any, err error) {
	w, done := i.worker, false
	info := workflow.GetInfo(ctx)
	info.OriginalRunID, info.FirstRunID = runID(1), runID(1)
	info.WorkflowExecution.RunID = runID(w.env.run)
	outer, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		inner, _ := workflow.NewDisconnectedContext(ctx)
		w.await(inner, func() bool { return w.begun })
		out, err = i.Next.ExecuteWorkflow(ctx, in)
		done = true
	})
	w.post(w.replay)
	w.await(outer, func() bool { return done || w.gone() })
	if w.gone() || (!w.slow.on && !w.end()) {
		return nil, errLeft
	}
	return out, err
}

// runID returns the ID of the workflow's n-th run.
func runID(n int) string { return fmt.Sprintf("run-%d", n) }

// HandleSignal runs what the worker has posted.
func (i *inbound) HandleSignal(ctx workflow.Context, in *interceptor.HandleSignalInput) error {
	if in.SignalName == wakeSignal {
		i.worker.wake()
		return nil
	}
	return i.Next.HandleSignal(ctx, in)
}

// outbound sees what the workflow asks for.
type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	worker *worker
}

// input returns the input of a step's do.
func input(args []any) reflect.Value {
	if len(args) < 2 {
		return reflect.Value{}
	}
	return reflect.ValueOf(args[1])
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	if name == compensation.ActivityEndTask {
		return o.NewTimer(ctx, time.Millisecond) // it is there for the event that it brings
	}
	a, key, ok := o.worker.env.activityOf(name, args)
	if !ok {
		return o.Next.ExecuteActivity(ctx, name, args...)
	}
	options := workflow.GetActivityOptions(ctx)
	run := &activityRun{
		key: key, activity: a, in: input(args), asked: ctx,
		limit: options.ScheduleToCloseTimeout, tryLimit: options.StartToCloseTimeout,
	}
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
	run := &activityRun{
		key: key, activity: a, local: true, in: input(args), asked: ctx,
		limit: options.ScheduleToCloseTimeout, tryLimit: options.StartToCloseTimeout,
	}
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

func (o *outbound) SideEffect(ctx workflow.Context, f func(workflow.Context) any) converter.EncodedValue {
	return o.Next.SideEffect(ctx, func(ctx workflow.Context) any {
		return o.worker.effect(func() any { return f(ctx) })
	})
}

func (o *outbound) MutableSideEffect(ctx workflow.Context, id string, f func(workflow.Context) any, equals func(a, b any) bool) converter.EncodedValue {
	return o.Next.MutableSideEffect(ctx, id, func(ctx workflow.Context) any {
		return o.worker.effect(func() any { return f(ctx) })
	}, equals)
}

func (o *outbound) SideEffectWithOptions(ctx workflow.Context, options workflow.SideEffectOptions, f func(workflow.Context) any) converter.EncodedValue {
	return o.Next.SideEffectWithOptions(ctx, options, func(ctx workflow.Context) any {
		return o.worker.effect(func() any { return f(ctx) })
	})
}

func (o *outbound) MutableSideEffectWithOptions(
	ctx workflow.Context, id string, options workflow.MutableSideEffectOptions, f func(workflow.Context) any, equals func(a, b any) bool,
) converter.EncodedValue {
	return o.Next.MutableSideEffectWithOptions(ctx, id, options, func(ctx workflow.Context) any {
		return o.worker.effect(func() any { return f(ctx) })
	}, equals)
}

// GetVersion answers from the history as a server does: a change is noted in the task that first asks for it. If a
// replayed task did not ask, the code is as old as that task.
func (o *outbound) GetVersion(_ workflow.Context, change string, _, newest workflow.Version) workflow.Version {
	w := o.worker
	if v, ok := w.versions[change]; ok {
		return v
	}
	v, recorded := newest, w.env.history.version(change, w.task)
	switch {
	case recorded != workflow.DefaultVersion:
		v = recorded
	case !w.live && w == w.env.worker:
		v = workflow.DefaultVersion
	case w.task != nil:
		if w.task.versions == nil {
			w.task.versions = map[string]workflow.Version{}
		}
		w.task.versions[change] = v
		w.commands += 2 // a marker and a search attribute
	}
	if w.versions == nil {
		w.versions = map[string]workflow.Version{}
	}
	w.versions[change] = v
	return v
}

// effect returns the recorded result of a side effect, or its result now.
func (w *worker) effect(f func() any) any {
	h := &w.env.history
	w.effects++
	if w.effects <= len(h.effects) && w == w.env.worker {
		return h.effects[w.effects-1]
	}
	v := f()
	if w == w.env.worker && !w.lost {
		h.effects = append(h.effects, v)
	}
	return v
}
