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
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

const (
	// patience is how long a saga may try again to no avail before it is left.
	patience = 10 * time.Minute
	// aeon is longer than a saga waits for anything but an operator.
	aeon = 365 * 24 * time.Hour
	// unlimited stands for limits of the SDK's suite, which knows the real time only.
	unlimited = time.Hour
	// wakeSignal is the signal with which a worker calls itself.
	wakeSignal = "sagatest"
)

// errLeft ends a workflow in the suite that would not end by itself.
var errLeft = errors.New("left by sagatest")

// worker runs the saga, or the rest of it after another worker was lost. It stands between the workflow and the SDK's
// suite, and plays the server: it brings what happens to the workflow in workflow tasks, and does the retries of
// activities, on the suite's clock. It first replays what is in the history.
type worker struct {
	interceptor.WorkerInterceptorBase
	env   *Env
	suite *testsuite.TestWorkflowEnvironment

	number int
	// script is the part of the history still to be replayed. live is set once nothing is left of it.
	script []replayed
	live   bool
	// begun is set when the workflow may begin.
	begun bool
	// tasks counts the completed tasks, as far as this worker has come. task is the running one; nil if no task runs.
	// What arrives meanwhile waits in the inbox. delivering is set while the workflow is given what the task brought.
	tasks      int
	task       *task
	inbox      []event
	delivering bool
	// commands counts the timers and activities that the task scheduled, effects the side effects so far.
	commands, effects int
	// posted are functions to call when the workflow has come to rest.
	posted []func()

	// runs are the activities, by number, from 1; waiting are those that want to make a call, current is the call being
	// made, flying are those whose call is on its way.
	runs    []*activityRun
	waiting []*activityRun
	current *order
	flying  []*activityRun
	// told are the steps that the workflow was told are done, starts those that it started, undos those whose undo it
	// started, each in that order.
	told, starts, undos []string
	// locals counts local activities that are not settled, bounded the ordinary ones that have a limit.
	locals, bounded int
	timers          []*timerRun
	// awaitTimer points to the variable for the timer of an await that begins; nil otherwise.
	awaitTimer **timerRun
	// versions are the answers that it got about changes.
	versions map[string]workflow.Version
	// pending counts what was asked for with [Env.At] and is still to come.
	pending int
	// progress is when the saga last came further.
	progress time.Time
	// news is set when the list of what is parked has changed in this task.
	news bool
	// lost is set once crash has lost the worker, left when the saga comes no further, hung when nothing is tried either.
	lost, left, hung bool
	crash            *crash
	// slow is for a worker that only the server takes for lost (see [Env.SlowAt]).
	slow slowTry
	// done is closed when the workflow has ended in the suite; failure is a panic of the suite's.
	done    chan struct{}
	failure any
}

// replayed is a part of the history, with the time at which it is replayed.
type replayed struct {
	at time.Duration
	do func()
}

func newWorker(e *Env) *worker {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	w := &worker{env: e, number: len(e.workers) + 1, suite: suite.NewTestWorkflowEnvironment(), done: make(chan struct{}), slow: newSlowTry()}
	w.suite.SetStartTime(e.start)
	w.suite.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: e.id, WorkflowTaskTimeout: taskTimeout})
	w.suite.SetTestTimeout(unlimited)
	w.suite.SetWorkerOptions(sdkworker.Options{
		Interceptors:             []interceptor.WorkerInterceptor{w},
		Plugins:                  []sdkworker.Plugin{compensation.NewPlugin()},
		DeadlockDetectionTimeout: unlimited,
	})
	w.registerFakes()
	for _, configure := range e.configure {
		configure(w.suite)
	}
	w.progressed()
	w.writeScript()
	for _, t := range e.timed {
		w.at(t)
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

// now returns how long the saga has run.
func (w *worker) now() time.Duration { return w.suite.Now().Sub(w.env.start) }

// after calls f when that time has passed and the workflow has come to rest.
func (w *worker) after(d time.Duration, f func()) {
	if d <= 0 {
		w.post(f)
		return
	}
	w.suite.RegisterDelayedCallback(func() { w.post(f) }, d)
}

// post calls f when the workflow has come to rest after what was posted before.
func (w *worker) post(f func()) {
	w.posted = append(w.posted, f)
	w.suite.SignalWorkflow(wakeSignal, nil)
}

// wake runs the call that was requested first.
func (w *worker) wake() {
	f := w.posted[0]
	w.posted = w.posted[1:]
	if !w.gone() {
		f()
	}
}

// gone reports whether the worker does nothing more.
func (w *worker) gone() bool { return w.left || (w.lost && !w.slow.on) }

// at calls the function when the saga has run for that long.
func (w *worker) at(t *timed) {
	if t.over {
		return
	}
	w.pending++
	w.suite.RegisterDelayedCallback(func() {
		w.pending--
		if !t.over && !w.lost {
			t.over = true
			t.do()
		}
	}, t.after-w.now())
}

// watch leaves the saga when nothing else is going to happen.
func (w *worker) watch() {
	w.suite.RegisterDelayedCallback(func() {
		if w.left = w.idle(); !w.left {
			w.watch()
		} else {
			w.hung = w.tries() == 0
		}
	}, aeon)
}

// idle tells that no time that passes makes a difference to the saga, but for tries that have no limit.
func (w *worker) idle() bool {
	for _, t := range w.timers {
		if !t.over && !t.fired {
			return false
		}
	}
	return w.live && w.task == nil && w.pending == 0 && w.bounded == 0 && w.locals == 0
}

// tries counts the activities that are being tried.
func (w *worker) tries() (n int) {
	for _, a := range w.runs {
		if !a.over {
			n++
		}
	}
	return n
}

// progressed notes that the saga came further.
func (w *worker) progressed() { w.progress = w.suite.Now() }

// writeScript lists the parts of the history to replay.
func (w *worker) writeScript() {
	h := &w.env.history
	for _, t := range h.tasks {
		w.script = append(w.script, replayed{t.began, func() {
			w.task = t
			w.suite.SetCurrentHistoryLength(t.length)
			w.deliver(t.brought)
		}})
		for _, m := range t.settled {
			w.script = append(w.script, replayed{m.at, func() { w.recall(m) }})
		}
		w.script = append(w.script, replayed{0, func() {
			if len(w.runs) != t.activities {
				w.env.fatalf("the workflow is not deterministic: it asked for %d activities where the history has %d", len(w.runs), t.activities)
			}
			w.task = nil
			w.tasks++
		}})
	}
	w.script = append(w.script, replayed{h.resume, w.goLive})
}

// replay goes on with the script when the workflow has come to rest.
func (w *worker) replay() {
	if w.delivering {
		w.post(w.replay)
		return
	}
	next := w.script[0]
	if d := next.at - w.now(); d > 0 {
		w.after(d, w.replay)
		return
	}
	w.script = w.script[1:]
	next.do()
	if len(w.script) > 0 {
		w.post(w.replay)
	}
}

// goLive goes on where the history ends, with all that has happened since.
func (w *worker) goLive() {
	h := &w.env.history
	w.live, w.commands = true, 0
	w.progressed()
	if len(h.tasks) == 0 {
		w.inbox = append(w.inbox, event{kind: eventStart})
	}
	for i, a := range w.runs {
		if !a.local && !a.told && a.state != nil && a.state.settled {
			w.inbox = append(w.inbox, event{kind: eventActivity, n: i + 1})
		}
	}
	for _, t := range w.timers {
		if t.fired && !t.over && !t.delivered {
			w.inbox = append(w.inbox, event{kind: eventTimer, n: t.n})
		}
	}
	for _, m := range w.env.messages {
		if !m.given && !h.recorded(m) {
			w.inbox = append(w.inbox, event{kind: eventMessage, message: m})
		}
	}
	switch {
	case h.retried > 0:
		w.begin(h.retried)
	case len(w.inbox) > 0:
		w.begin(h.next(len(w.inbox)))
	}
}

// arrive makes something happen to the workflow, which hears of it in the next task.
func (w *worker) arrive(e event) {
	if !w.live || w.lost {
		return
	}
	w.inbox = append(w.inbox, e)
	w.post(w.look)
}

// look begins a task if something has arrived and none runs.
func (w *worker) look() {
	if w.task == nil && len(w.inbox) > 0 && !w.lost {
		w.begin(w.env.history.next(len(w.inbox)))
	}
}

// begin begins a task, with all that has arrived.
func (w *worker) begin(length int) {
	t := &task{began: w.now(), length: length, brought: w.inbox}
	w.task, w.inbox, w.commands = t, nil, 0
	w.suite.SetCurrentHistoryLength(length)
	w.progressed()
	w.after(heartbeatAfter, func() { w.heartbeat(t) })
	w.deliver(t.brought)
	w.post(w.rest)
}

// complete puts what the task did on record.
func (w *worker) complete() {
	h, t := &w.env.history, w.task
	t.activities, t.effects, t.commands = len(w.runs), len(h.effects), w.commands
	h.tasks, h.retried = append(h.tasks, t), 0
	w.task = nil
	w.tasks++
	w.env.weigh(w, t)
	if w.news {
		w.news = false
		w.env.tell()
	}
}

// end ends the workflow with its task. ok is false if the server refuses that because of what has arrived meanwhile: then
// the task is lost, and tried again with that.
func (w *worker) end() (ok bool) {
	missed := func(e event) bool { return e.kind != eventMessage || e.message.reply == nil }
	if slices.ContainsFunc(w.inbox, missed) {
		w.lost = true
		return false
	}
	w.open()
	w.complete()
	return !w.left
}

// open makes sure that there is a task: something unknown to the kit may have called the workflow.
func (w *worker) open() {
	if w.live && w.task == nil {
		w.task = &task{began: w.now(), length: w.env.history.next(0)}
		w.post(w.rest)
	}
}

func never() bool { return false }

func (w *worker) await(ctx workflow.Context, condition func() bool) {
	if err := workflow.Await(ctx, condition); err != nil {
		panic(fmt.Sprintf("sagatest: a context that nothing cancels was canceled: %v", err))
	}
}

// sleep waits on the suite's clock, but no longer than until asked is canceled; nil for a wait that nothing ends.
func (w *worker) sleep(ctx, asked workflow.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	over := false
	w.suite.RegisterDelayedCallback(func() { over = true }, d)
	w.await(ctx, func() bool { return over || (asked != nil && asked.Err() != nil) })
}
