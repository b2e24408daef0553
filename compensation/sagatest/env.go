package sagatest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/amends-dev/amends/compensation"
)

// TB is what an [Env] needs of a test: that of a [*testing.T] or of a rapid.T.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	FailNow()
}

// Env runs one saga with fakes for every activity of its plan. It is for one test, one run and one goroutine.
type Env struct {
	t          TB
	plan       *compensation.Plan
	id         string
	start      time.Time
	configure  []func(*testsuite.TestWorkflowEnvironment)
	activities []compensation.Activity

	services services
	faults   map[faultKey][]fault
	// takes are the durations of calls, heartbeats the steps with a heartbeat, resets the steps whose activity is reset.
	takes      map[faultKey]time.Duration
	heartbeats []faultKey
	resets     []string
	cancels    []*cancelAt
	crashes    []*crash
	timed      []*timed

	// worker runs the saga now, slow are those that lost it and go on.
	worker  *worker
	workers []*worker
	slow    []*worker
	history history
	// run counts the runs of the workflow: each reset begins another one.
	run int
	// messages are the messages to the workflow, in the order sent.
	messages []*message

	calls    []*Call
	states   []compensation.State
	cause    string
	parked   []compensation.ParkedStep
	onParked []func([]compensation.ParkedStep)
	err      error
	ended    bool
	// broken explains why the server refuses a task; empty if it does not.
	broken     string
	terminated bool
}

// timed is something to do when the saga has run for that long.
type timed struct {
	after time.Duration
	do    func()
	// over is set once it was done.
	over bool
}

// Option is a choice for [New].
type Option func(*Env)

// ID gives the saga its ID. Default "saga-1".
func ID(id string) Option { return func(e *Env) { e.id = id } }

// Configure calls f with every environment of the SDK's suite that is made for the saga, to register its workflow or
// other activities than the plan's. The environment's interceptors and timer listeners are the kit's.
func Configure(f func(*testsuite.TestWorkflowEnvironment)) Option {
	return func(e *Env) { e.configure = append(e.configure, f) }
}

// New makes an environment for one saga of the plan. The plan must be the one that the workflow runs, in name at least:
// whether its steps are durable does not matter.
func New(t TB, plan *compensation.Plan, options ...Option) *Env {
	t.Helper()
	e := &Env{
		t: t, plan: plan, id: "saga-1", start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		activities: plan.Activities(), faults: map[faultKey][]fault{}, takes: map[faultKey]time.Duration{},
		run: 1, history: history{activities: map[int]*attempts{}},
		services: services{
			rows: map[compensation.Key]*row{}, answers: map[string]func(reflect.Value) reflect.Value{},
		},
	}
	for _, option := range options {
		option(e)
	}
	return e
}

// Answer gives a step its result. Without one, a step's result is the zero value. The answer is asked for once for each
// key: a step that is done gives its first result again.
func Answer[In, Out any](e *Env, step string, answer func(In) Out) {
	e.t.Helper()
	i := slices.IndexFunc(e.activities, func(a compensation.Activity) bool {
		return a.Step == step && a.Part == compensation.PartDo
	})
	if i < 0 {
		e.fatalf("plan %s has no step %s", e.plan.Name(), step)
	}
	do := reflect.TypeOf(e.activities[i].Func)
	if do.In(2) != reflect.TypeFor[In]() || do.Out(0) != reflect.TypeFor[Out]() {
		e.fatalf("step %s takes %s and gives %s, not %s and %s", step, do.In(2), do.Out(0), reflect.TypeFor[In](), reflect.TypeFor[Out]())
	}
	call := reflect.ValueOf(answer)
	e.services.answers[step] = func(in reflect.Value) reflect.Value { return call.Call([]reflect.Value{in})[0] }
}

// Run runs the workflow to its end, or until it comes no further by itself: a saga that only waits for an operator, or
// tries again for ever, is left as it is after some minutes of the suite's clock. The error is the workflow's, nil for a
// saga that has not ended; [Env.State] tells the two apart.
func (e *Env) Run(workflow any, args ...any) error {
	e.t.Helper()
	if e.worker != nil {
		e.fatalf("an Env runs one saga")
	}
	for again := true; again; {
		again = e.work(workflow, args)
	}
	for _, w := range e.slow {
		for !w.slow.over {
			w.step()
		}
	}
	e.services.land(func(lateDo) bool { return true })
	for _, m := range e.messages {
		if e.ended && m.reply != nil && !e.history.recorded(m) {
			*m.reply = Reply{Rejected: errCompleted}
		}
	}
	switch {
	case e.broken != "":
		return errors.New("sagatest: " + e.broken)
	case !e.ended:
		return nil
	}
	return e.err
}

// work lets a new worker continue the saga. again reports that yet another one is needed.
func (e *Env) work(workflow any, args []any) (again bool) {
	e.t.Helper()
	// What the saga wrote is written again from the history.
	e.states, e.cause, e.parked = nil, "", nil
	w := newWorker(e)
	e.worker, e.workers = w, append(e.workers, w)
	go func() {
		defer close(w.done)
		defer func() { w.failure = recover() }()
		w.suite.ExecuteWorkflow(workflow, args...)
	}()
	w.awaitArrival()
	if w.failure != nil {
		panic(w.failure)
	}
	if !w.lost && !w.left && len(e.crashes) > 0 && e.crashes[0].atEnd {
		w.lost, w.crash = true, e.crashes[0]
	}
	if w.lost {
		e.lose(w)
		return true
	}
	e.ended, e.err = !w.left || e.terminated, w.suite.GetWorkflowError()
	return false
}

// lose goes back to the history, and runs whatever happens before another worker goes on.
func (e *Env) lose(w *worker) {
	h, lost, now := &e.history, w.task, w.now()
	if !w.live { // it came no further than the one before
		lost = nil
	}
	for _, a := range w.flying {
		if a.activity.Part == compensation.PartDo && !w.slow.on {
			e.services.late = append(e.services.late, lateDo{activity: a.activity, key: a.key, in: a.in})
		}
	}
	if w.slow.on {
		e.slow = append(e.slow, w)
	}
	h.resume = max(h.resume, now)
	if w.live {
		h.retried = 0
	}
	if lost != nil {
		for _, b := range lost.brought {
			if b.message != nil && b.message.reply != nil {
				*b.message.reply = Reply{}
			}
		}
		h.retried = lost.length + lostTry
	}
	h.forget()
	c := w.crash
	e.worker = nil
	switch {
	case c == nil: // the server refused the end of the workflow
	case c.reset > 0:
		h.cut(c.reset, lost)
		e.run++
	case lost != nil:
		h.resume = max(h.resume, lost.began+taskTimeout)
	}
	if c == nil {
		return
	}
	e.crashes = slices.DeleteFunc(e.crashes, func(o *crash) bool { return o == c })
	if c.next != nil {
		c.next()
	}
}

// begin notes a call, and finds out what it comes to.
func (e *Env) begin(w *worker, a *activityRun, o *order) *Call {
	if w == e.worker {
		e.overtake()
		e.services.land(func(l lateDo) bool { return l.lands > 0 && l.lands <= w.now() })
	}
	o.fault, o.endless = e.takeFault(a.key, a.activity.Part)
	if o.outOfTime && o.fault != faultFail {
		o.fault = faultOutOfTime
	}
	if c := e.crashFor(w, a); c != nil && c.inFlight {
		o.fault = faultLate
	}
	c := &Call{Key: a.key, Part: a.activity.Part, Express: a.local, Worker: w.number}
	e.calls = append(e.calls, c)
	return c
}

// end notes the outcome of a call. lost reports that its answer is lost with the worker.
func (e *Env) end(w *worker, a *activityRun, o *order, c *Call) (lost bool) {
	c.Outcome, c.Effect = outcomeOf(o.err), o.effect
	hit := e.crashFor(w, a)
	if hit == nil {
		return false
	}
	w.lost, w.crash = true, hit
	w.slow.on, w.slow.pace = a.local && hit.pace != nil, hit.pace
	return !a.local
}

// weigh checks whether the server accepts a task.
func (e *Env) weigh(w *worker, t *task) {
	size := 0
	for _, m := range t.settled {
		size += m.size()
		if m.size() > maxResult {
			e.broken, w.left = fmt.Sprintf("the result of %s has %d bytes: no server takes it, and the task fails again and again", m.name, m.size()), true
			return
		}
	}
	if size > maxTask {
		e.broken = fmt.Sprintf("the results of a task have %d bytes together: the server has terminated the saga", size)
		e.terminated, w.left = true, true
	}
}

// Result reads what the workflow returned into what out points to.
func (e *Env) Result(out any) {
	e.t.Helper()
	if e.worker == nil || !e.ended {
		e.fatalf("the saga has not ended")
	}
	if err := e.worker.suite.GetWorkflowResult(out); err != nil {
		e.fatalf("result: %v", err)
	}
}

// Environment is the SDK's environment that runs the saga now; nil before [Env.Run].
func (e *Env) Environment() *testsuite.TestWorkflowEnvironment {
	if e.worker == nil {
		return nil
	}
	return e.worker.suite
}

// At calls do when the saga has run for that long.
func (e *Env) At(after time.Duration, do func()) {
	t := &timed{after: after, do: do}
	e.timed = append(e.timed, t)
	if e.worker != nil {
		e.worker.at(t)
	}
}

// Reply is what became of an update.
type Reply struct {
	Accepted bool
	// Rejected is why the workflow did not take the update.
	Rejected error
	// Result and Err are what the handler returned. Answered is set once it has.
	Answered bool
	Result   any
	Err      error
}

// replying passes what the suite reports on to a Reply, unless the worker was lost.
type replying struct {
	*Reply
	worker *worker
	// heard is called once the workflow has accepted or rejected the update.
	heard func()
}

func (r replying) current() bool { return r.worker == r.worker.env.worker }

func (r replying) Accept() {
	r.heard()
	if r.current() {
		r.Accepted = true
	}
}

func (r replying) Reject(err error) {
	r.heard()
	if r.current() {
		r.Rejected = err
	}
}

func (r replying) Complete(result any, err error) {
	if r.current() {
		r.Result, r.Err = result, err
		r.Answered = true
	}
}

// Act sends an operator's update to the running saga, from [Env.At] or [Env.WhenParked].
func (e *Env) Act(name string, act compensation.Act) *Reply { return e.Update(name, act) }

// WhenParked calls do each time that the list of what waits for an operator changes and is not empty.
func (e *Env) WhenParked(do func(parked []compensation.ParkedStep)) {
	e.onParked = append(e.onParked, do)
}

// activityOf is the plan's activity that is called with these arguments, and its key.
func (e *Env) activityOf(name string, args []any) (a compensation.Activity, key compensation.Key, ok bool) {
	if len(args) == 0 {
		return a, key, false
	}
	if key, ok = args[0].(compensation.Key); !ok {
		return a, key, false
	}
	i := slices.IndexFunc(e.activities, func(a compensation.Activity) bool { return a.Step == key.Step && a.Name == name })
	if i < 0 {
		return a, key, false
	}
	return e.activities[i], key, true
}

func (e *Env) isPivot(step string) bool { return step == e.plan.Pivot() }

func (e *Env) requireStep(step string) {
	e.t.Helper()
	name, _, _ := strings.Cut(step, ".")
	if !slices.ContainsFunc(e.activities, func(a compensation.Activity) bool { return a.Step == name }) {
		e.fatalf("plan %s has no step %s", e.plan.Name(), step)
	}
}

func (e *Env) fatalf(format string, args ...any) {
	e.t.Helper()
	e.t.Errorf("sagatest: "+format, args...)
	e.t.FailNow()
	panic(fmt.Sprintf(format, args...)) // for a TB that goes on
}

// Elapsed returns how long the saga has run, on the suite's clock.
func (e *Env) Elapsed() time.Duration {
	if e.worker == nil {
		return e.history.resume
	}
	return e.worker.now()
}
