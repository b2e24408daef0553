package sagatest

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

const (
	// firstTask is the history's length in a saga's first workflow task, lostTry what a lost try of a task adds to it.
	firstTask = 3
	lostTry   = 3
	// patience is how long a saga may try again to no avail before it is left.
	patience = 10 * time.Minute
	// aeon is longer than a saga waits for anything but an operator.
	aeon = 365 * 24 * time.Hour
	// unlimited stands for limits of the SDK's suite, which knows the real time only.
	unlimited = time.Hour
)

// errLeft ends a workflow in the suite that would not end by itself.
var errLeft = errors.New("left by sagatest")

// worker runs the saga, or the rest of it after another worker was lost. It stands between the workflow and the SDK's
// suite: it lets activities run one at a time, in the order in which they were scheduled, local ones first, and does
// the server's part of their retries on the suite's clock.
type worker struct {
	interceptor.WorkerInterceptorBase
	env   *Env
	suite *testsuite.TestWorkflowEnvironment

	number int
	// task counts the workflow tasks, n the calls of fakes.
	task, n int
	// recorded is how many calls are in the history.
	recorded int
	// seq numbers activities; waiting are those that want to make a call, current is the call being made.
	seq     int
	waiting []*activityRun
	current *order
	// undos are the steps whose undo began, in that order.
	undos []string
	// locals counts local activities that are not settled, bounded the ordinary ones that have a limit.
	locals, bounded int
	// timers are the workflow's own that are running; ownTimer is set while one is started that is not.
	timers   map[string]bool
	ownTimer bool
	// awaitTimer is where the ID goes of a timer that bounds an await; nil while none begins.
	awaitTimer *string
	// pending counts what was asked for with [Env.At] and is still to come.
	pending int
	// progress is when the saga last came further.
	progress time.Time
	// lost is set when the worker is, left when the saga comes no further.
	lost, left bool
	lostTask   int
	// slow is for a worker that only the server takes for lost (see [Env.SlowAt]).
	slow slowTry
	// done is closed when the workflow has ended in the suite; failure is a panic of the suite's.
	done    chan struct{}
	failure any
}

// answered is what a call came to, and the cancels that came meanwhile.
type answered struct {
	name    string
	out     reflect.Value
	err     error
	cancels []*Reply
}

// activityRun is an activity that the workflow asked for.
type activityRun struct {
	seq      int
	key      compensation.Key
	activity compensation.Activity
	local    bool
	// asked is the workflow's own context, which may be canceled.
	asked       workflow.Context
	retry       temporal.RetryPolicy
	limit       time.Duration
	one         func(workflow.Context) workflow.Future
	maxAttempts int32
}

// name tells the activity from the saga's others.
func (a *activityRun) name() string { return string(a.activity.Part) + " " + label(a.key) }

func newWorker(e *Env) *worker {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	w := &worker{env: e, number: len(e.workers) + 1, suite: suite.NewTestWorkflowEnvironment(), timers: map[string]bool{}, done: make(chan struct{}), slow: newSlowTry()}
	w.suite.SetStartTime(e.start)
	w.suite.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: e.id})
	w.suite.SetTestTimeout(unlimited)
	w.suite.SetWorkerOptions(sdkworker.Options{
		Interceptors:             []interceptor.WorkerInterceptor{w, compensation.NewInterceptor()},
		DeadlockDetectionTimeout: unlimited,
	})
	w.suite.SetOnTimerScheduledListener(func(id string, _ time.Duration) {
		if w.ownTimer {
			return
		}
		w.timers[id] = true
		if w.awaitTimer != nil {
			*w.awaitTimer, w.awaitTimer = id, nil
		}
	})
	w.suite.SetOnTimerCanceledListener(func(id string) { delete(w.timers, id) })
	w.suite.SetOnTimerFiredListener(func(id string) {
		if w.timers[id] {
			delete(w.timers, id)
			w.newTask()
		}
	})
	w.registerFakes()
	for _, configure := range e.configure {
		configure(w.suite)
	}
	w.setHistoryLength()
	w.progressed()
	for _, t := range e.timed {
		w.at(t.after, t.do)
	}
	w.watch()
	return w
}

// registerFakes registers a fake for each function of the plan under the function's name.
func (w *worker) registerFakes() {
	known := map[string]reflect.Type{}
	for _, a := range w.env.activities {
		t := reflect.TypeOf(a.Func)
		if other, twice := known[a.Name]; twice {
			if other != t {
				w.env.fatalf("two functions of the plan are called %s: a worker could not have both", a.Name)
			}
			continue
		}
		known[a.Name] = t
		w.suite.RegisterActivityWithOptions(makeFake(a.Func, func(key compensation.Key, in reflect.Value) (reflect.Value, error) {
			return w.env.services.serve(w.current, key, in)
		}), activity.RegisterOptions{Name: a.Name})
	}
}

// at calls do when the saga has run for that long.
func (w *worker) at(after time.Duration, do func()) {
	w.pending++
	w.suite.RegisterDelayedCallback(func() {
		w.pending--
		do()
	}, after)
}

// watch leaves the saga when nothing else is going to happen.
func (w *worker) watch() {
	w.suite.RegisterDelayedCallback(func() {
		if w.left = w.idle(); !w.left {
			w.watch()
		}
	}, aeon)
}

// idle tells that no time that passes makes a difference to the saga, but for tries that have no limit.
func (w *worker) idle() bool {
	return len(w.timers) == 0 && w.pending == 0 && w.bounded == 0 && w.locals == 0
}

// progressed notes that the saga came further.
func (w *worker) progressed() { w.progress = w.suite.Now() }

// newTask notes that the next workflow task begins: what came before is in the history.
func (w *worker) newTask() {
	w.left = w.left || w.slow.on // the server gives it no other task
	w.task++
	w.recorded = w.n
	w.progressed()
	w.setHistoryLength()
}

// setHistoryLength sets what the SDK tells the saga. Only a first try of the first task has [firstTask] events.
func (w *worker) setHistoryLength() {
	length := firstTask + 4*w.task
	for _, task := range w.env.lostTasks {
		if task <= w.task {
			length += lostTry
		}
	}
	w.suite.SetCurrentHistoryLength(length)
}

// run makes the calls of an activity, one after the other, and draws the server's conclusions.
func (w *worker) run(ctx workflow.Context, a *activityRun) workflow.Future {
	future, settle := workflow.NewFuture(ctx)
	w.seq++
	a.seq = w.seq
	w.note(a)
	if a.local {
		w.locals++
	} else if a.limit > 0 || a.maxAttempts > 0 {
		w.bounded++
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		out, err := w.tries(ctx, a)
		if a.local {
			w.locals--
			w.progressed()
		} else {
			if a.limit > 0 || a.maxAttempts > 0 {
				w.bounded--
			}
			w.newTask()
		}
		settle.Set(out, err)
	})
	return future
}

// note notes the order of starts and undos. It is not that of the calls, in which express ones come first.
func (w *worker) note(a *activityRun) {
	list := &w.env.starts
	switch {
	case a.activity.Part == compensation.PartUndo && !w.env.isPivot(a.key.Step):
		list = &w.undos
	case a.activity.Part != compensation.PartDo:
		return
	}
	if !slices.Contains(*list, label(a.key)) {
		*list = append(*list, label(a.key))
	}
}

func (w *worker) tries(ctx workflow.Context, a *activityRun) (any, error) {
	began := workflow.Now(ctx)
	for attempt := 1; ; attempt++ {
		if a.asked.Err() != nil && attempt == 1 {
			return nil, temporal.NewCanceledError()
		}
		out, err := w.call(ctx, a, attempt)
		pause := a.pause(err, attempt)
		switch {
		case err == nil:
			return out, nil
		case !retryable(err), a.asked.Err() != nil, a.maxAttempts > 0 && attempt >= int(a.maxAttempts),
			a.limit > 0 && workflow.Now(ctx).Add(pause).Sub(began) > a.limit:
			return nil, err
		}
		if w.idle() && w.suite.Now().Sub(w.progress) > max(patience, 2*pause) {
			w.left = true
			w.await(ctx, never)
		}
		if w.sleep(ctx, a.asked, pause) != nil {
			return nil, temporal.NewCanceledError()
		}
	}
}

// sleep waits between two tries, but not longer than asked is not canceled.
func (w *worker) sleep(ctx, asked workflow.Context, d time.Duration) error {
	ctx, stop := workflow.WithCancel(ctx)
	defer stop()
	w.ownTimer = true
	timer := workflow.NewTimer(ctx, d)
	w.ownTimer = false
	workflow.NewSelector(ctx).AddFuture(timer, func(workflow.Future) {}).
		AddReceive(asked.Done(), func(workflow.ReceiveChannel, bool) {}).Select(ctx)
	return asked.Err()
}

// pause is how long the server waits before the next try.
func (a *activityRun) pause(err error, attempt int) time.Duration {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NextRetryDelay() > 0 {
		return app.NextRetryDelay()
	}
	d := float64(a.retry.InitialInterval)
	for range attempt - 1 {
		d *= max(a.retry.BackoffCoefficient, 1)
		if a.retry.MaximumInterval > 0 && d > float64(a.retry.MaximumInterval) {
			return a.retry.MaximumInterval
		}
	}
	return max(time.Duration(d), time.Millisecond)
}

func retryable(err error) bool {
	var app *temporal.ApplicationError
	return !errors.As(err, &app) || !app.NonRetryable()
}

// call makes one call when its turn comes.
func (w *worker) call(ctx workflow.Context, a *activityRun, attempt int) (any, error) {
	w.waiting = append(w.waiting, a)
	w.await(ctx, func() bool { return w.current == nil && w.next() == a })
	w.waiting = slices.DeleteFunc(w.waiting, func(o *activityRun) bool { return o == a })
	if !a.local {
		w.recorded = w.n // the workflow task that scheduled it is over
	}
	o := &order{activity: a.activity, pivot: w.env.isPivot(a.key.Step), attempt: attempt}
	w.current = o
	if w.slow.on {
		w.slow.wait(w, a)
	}
	if w.left {
		w.await(ctx, never)
	}
	call := w.env.begin(w, a, o)
	var out any
	if t := resultType(a.activity.Func); t != nil {
		out = reflect.New(t).Interface()
	}
	err := a.one(ctx).Get(ctx, out)
	w.n++
	if !o.endless {
		w.progressed()
	}
	if !a.local {
		w.recorded = w.n
	}
	w.env.end(w, a, o, call)
	if (w.lost && !w.slow.on) || w.left {
		w.await(ctx, never)
	}
	w.current = nil
	if out != nil {
		return reflect.ValueOf(out).Elem().Interface(), err
	}
	return nil, err
}

// next is the activity whose turn it is. Ordinary ones wait until the workflow task is over that has local ones.
func (w *worker) next() *activityRun {
	var next *activityRun
	for _, a := range w.waiting {
		switch {
		case !a.local && w.locals > 0:
		case next == nil || a.seq < next.seq:
			next = a
		}
	}
	return next
}

func never() bool { return false }

func (w *worker) await(ctx workflow.Context, condition func() bool) {
	if err := workflow.Await(ctx, condition); err != nil {
		panic(fmt.Sprintf("sagatest: a context that nothing cancels was canceled: %v", err))
	}
}
