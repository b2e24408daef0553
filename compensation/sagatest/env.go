package sagatest

import (
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
	cancels  []*cancelAt
	crashes  []*crashAt
	timed    []timed

	// worker runs the saga now, slow are those that lost it and go on.
	worker  *worker
	workers []*worker
	slow    []*worker
	// record is what is in the history, lostTasks are the tasks that a worker was lost in.
	record    []answered
	lostTasks []int
	// answered is what the calls of the current worker came to.
	answered []answered

	// starts are the steps in the order in which they were started, which is not that of their calls.
	starts   []string
	calls    []*Call
	states   []compensation.State
	cause    string
	parked   []compensation.ParkedStep
	onParked []func([]compensation.ParkedStep)
	err      error
	ended    bool
}

// timed is something to do when the saga has run for that long.
type timed struct {
	after time.Duration
	do    func()
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
		activities: plan.Activities(), faults: map[faultKey][]fault{},
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
	if !e.ended {
		return nil
	}
	return e.err
}

// work lets a new worker go on with the saga. again tells that it was lost.
func (e *Env) work(workflow any, args []any) (again bool) {
	e.t.Helper()
	// What the saga wrote is written again from the history.
	e.states, e.cause, e.parked, e.answered = nil, "", nil, nil
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
	if w.lost {
		e.lose(w)
		return true
	}
	e.ended, e.err = !w.left, w.suite.GetWorkflowError()
	return false
}

// lose goes back to what is in the history.
func (e *Env) lose(w *worker) {
	crash := e.crashes[0]
	e.crashes = e.crashes[1:]
	if w.recorded < len(e.answered) {
		e.lostTasks = append(e.lostTasks, w.lostTask)
	}
	e.record = slices.Clone(e.answered[:w.recorded])
	for _, a := range e.answered[w.recorded:] {
		e.sendAgain(a.cancels)
	}
	if w.slow.on {
		e.slow = append(e.slow, w)
	}
	e.worker = nil
	if crash.next != nil {
		crash.next()
	}
}

// sendAgain sends cancels that the lost try had taken at the beginning of the next one.
func (e *Env) sendAgain(cancels []*Reply) {
	if n := len(e.record); n > 0 {
		e.record[n-1].cancels = append(e.record[n-1].cancels, cancels...)
		return
	}
	for _, r := range cancels {
		e.timed = append(e.timed, timed{0, func() { e.send(r, compensation.UpdateCancel, cancelRequest) }})
	}
}

// begin notes a call, and finds out what it comes to.
func (e *Env) begin(w *worker, a *activityRun, o *order) *Call {
	if w == e.worker && w.n < len(e.record) {
		o.replay = &e.record[w.n]
		if o.replay.name != a.name() {
			e.fatalf("the workflow is not deterministic: the history has %s where it now asks for %s", o.replay.name, a.name())
		}
		o.cancels = o.replay.cancels
		e.sendCancels(o)
		return nil
	}
	if w == e.worker {
		e.overtake()
	}
	o.fault, o.endless = e.takeFault(a.key, a.activity.Part)
	if w == e.worker && a.activity.Part == compensation.PartDo {
		for _, c := range e.cancels {
			if !c.sent && (c.step == label(a.key) || c.step == a.key.Step) {
				c.sent = true
				o.cancels = append(o.cancels, c.reply)
			}
		}
		e.sendCancels(o)
	}
	c := &Call{Key: a.key, Part: a.activity.Part, Express: a.local, Worker: w.number}
	e.calls = append(e.calls, c)
	return c
}

func (e *Env) sendCancels(o *order) {
	for _, r := range o.cancels {
		e.send(r, compensation.UpdateCancel, cancelRequest)
	}
}

// end notes what a call came to.
func (e *Env) end(w *worker, a *activityRun, o *order, c *Call) {
	if c != nil {
		c.Outcome, c.Effect = outcomeOf(o.err), o.effect
	}
	if w != e.worker || w.lost {
		return
	}
	answer := answered{a.name(), o.out, o.err, o.cancels}
	if c != nil && len(e.crashes) > 0 && e.crashes[0].hits(a) {
		w.lost, w.lostTask = true, w.task
		w.slow.on, w.slow.pace = a.local && e.crashes[0].pace != nil, e.crashes[0].pace
		answer.out, answer.err = reflect.Value{}, errNoAnswer // what an ordinary activity comes to whose worker is lost
	}
	e.answered = append(e.answered, answer)
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
	e.timed = append(e.timed, timed{after, do})
	if e.worker != nil {
		e.worker.at(after, do)
	}
}

// Reply is what became of an update.
type Reply struct {
	Accepted bool
	// Rejected is why the workflow did not take the update.
	Rejected error
	// Result and Err are what the handler returned, once it has.
	Result any
	Err    error
}

// replying gives what the suite reports to a Reply.
type replying struct{ *Reply }

func (r replying) Accept()                        { r.Accepted = true }
func (r replying) Reject(err error)               { r.Rejected = err }
func (r replying) Complete(result any, err error) { r.Result, r.Err = result, err }

// Update sends an update to the running saga, from [Env.At] or [Env.WhenParked].
func (e *Env) Update(name string, arg any) *Reply {
	r := &Reply{}
	e.send(r, name, arg)
	return r
}

func (e *Env) send(r *Reply, name string, arg any) {
	*r = Reply{}
	e.worker.suite.UpdateWorkflow(name, "", replying{r}, arg)
}

// UpdateAfter sends an update when the saga has run for that long.
func (e *Env) UpdateAfter(d time.Duration, name string, arg any) *Reply {
	r := &Reply{}
	e.At(d, func() { e.send(r, name, arg) })
	return r
}

// Act sends an operator's update to the running saga, from [Env.At] or [Env.WhenParked].
func (e *Env) Act(name string, act compensation.Act) *Reply { return e.Update(name, act) }

// WhenParked calls do each time that the list of what waits for an operator changes and is not empty.
func (e *Env) WhenParked(do func(parked []compensation.ParkedStep)) {
	e.onParked = append(e.onParked, do)
}

// changed notes a state that the saga wrote.
func (e *Env) changed(w *worker, state compensation.State) {
	if w != e.worker {
		return
	}
	w.progressed()
	e.states = append(e.states, state)
}

// noted notes a memo that the saga wrote.
func (e *Env) noted(w *worker, memo map[string]any) {
	if w != e.worker {
		return
	}
	if cause, ok := memo[compensation.MemoCause].(string); ok {
		e.cause = cause
	}
	parked, ok := memo[compensation.MemoParked].([]compensation.ParkedStep)
	if !ok {
		return
	}
	w.progressed()
	e.parked = parked
	if len(parked) > 0 {
		for _, do := range e.onParked {
			w.suite.RegisterDelayedCallback(func() { do(parked) }, 0)
		}
	}
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
