package sagatest

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// A timerRun is a timer of the workflow's. It fires on the suite's clock, and the workflow hears of it in the next task.
type timerRun struct {
	n int
	// fired is set when its time has come, delivered when the workflow has heard of it, over when it no longer fires.
	fired, delivered, over bool
	// due is set from the moment at which a task brings that it has fired.
	due bool
}

func (o *outbound) NewTimer(ctx workflow.Context, d time.Duration) workflow.Future {
	return o.worker.timer(ctx, d, o.Next.NewTimer(ctx, d))
}

func (o *outbound) NewTimerWithOptions(ctx workflow.Context, d time.Duration, options workflow.TimerOptions) workflow.Future {
	return o.worker.timer(ctx, d, o.Next.NewTimerWithOptions(ctx, d, options))
}

// timer returns a timer that the workflow hears of in a task.
func (w *worker) timer(asked workflow.Context, d time.Duration, fires workflow.Future) workflow.Future {
	if d <= 0 {
		return fires
	}
	t := &timerRun{n: len(w.timers)}
	w.timers = append(w.timers, t)
	w.commands++
	if w.awaitTimer != nil {
		*w.awaitTimer, w.awaitTimer = t, nil
	}
	future, settle := workflow.NewFuture(asked)
	ctx, _ := workflow.NewDisconnectedContext(asked)
	workflow.Go(ctx, func(ctx workflow.Context) {
		w.await(ctx, func() bool { return fires.IsReady() || asked.Err() != nil || t.delivered })
		if asked.Err() == nil && !t.delivered {
			t.fired = true
			if !t.over {
				w.arrive(event{kind: eventTimer, n: t.n})
			}
			w.await(ctx, func() bool { return asked.Err() != nil || t.delivered })
		}
		if t.due {
			w.await(ctx, func() bool { return t.delivered }) // it has fired: no cancel comes before that
		}
		t.over = true
		if t.delivered {
			settle.Set(nil, nil)
			return
		}
		w.inbox = slices.DeleteFunc(w.inbox, func(e event) bool { return e == event{kind: eventTimer, n: t.n} })
		settle.SetError(temporal.NewCanceledError())
	})
	return future
}

// AwaitWithTimeout and AwaitWithOptions forget the timer once the condition is true: the SDK lets it run on.
func (o *outbound) AwaitWithTimeout(ctx workflow.Context, timeout time.Duration, condition func() bool) (bool, error) {
	defer o.worker.expectTimer()()
	return o.Next.AwaitWithTimeout(ctx, timeout, condition)
}

func (o *outbound) AwaitWithOptions(ctx workflow.Context, options workflow.AwaitOptions, condition func() bool) (bool, error) {
	defer o.worker.expectTimer()()
	return o.Next.AwaitWithOptions(ctx, options, condition)
}

// expectTimer notes the next timer that is started, and returns a function that forgets it.
func (w *worker) expectTimer() (forget func()) {
	t := new(*timerRun)
	w.awaitTimer = t
	return func() {
		if w.awaitTimer == t {
			w.awaitTimer = nil
		}
		if *t != nil {
			(*t).over = true
		}
	}
}
