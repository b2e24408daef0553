package sagatest

import (
	"errors"
	"reflect"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// An activityRun is an activity that the workflow scheduled.
type activityRun struct {
	n        int
	key      compensation.Key
	activity compensation.Activity
	in       reflect.Value
	local    bool
	// task is the number of tasks that were completed when the workflow scheduled it.
	task int
	// asked is the workflow's own context, which may be canceled.
	asked       workflow.Context
	retry       temporal.RetryPolicy
	limit       time.Duration
	tryLimit    time.Duration
	one         func(workflow.Context) workflow.Future
	maxAttempts int32

	// state is the state of its tries, told is set when the workflow hears of it, over when nothing is tried any more.
	state *attempts
	told  bool
	over  bool
}

// name distinguishes the activity from the saga's others.
func (a *activityRun) name() string { return string(a.activity.Part) + " " + label(a.key) }

// run starts an activity for the workflow.
func (w *worker) run(ctx workflow.Context, a *activityRun) workflow.Future {
	future, settle := workflow.NewFuture(ctx)
	w.open()
	w.runs = append(w.runs, a)
	a.n, a.task = len(w.runs), w.tasks
	w.note(a)
	if a.local {
		w.locals++
	} else {
		w.commands++
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		if a.local {
			w.runLocal(ctx, a)
		} else {
			w.runOrdinary(ctx, a)
		}
		if a.state.err == nil && a.activity.Part != compensation.PartUndo && !slices.Contains(w.told, label(a.key)) {
			w.told = append(w.told, label(a.key))
		}
		settle.Set(decode(a.state.out, resultType(a.activity.Func)), a.state.err)
	})
	return future
}

// runLocal runs a local activity to its end, or waits until it is replayed.
func (w *worker) runLocal(ctx workflow.Context, a *activityRun) {
	if _, recorded := w.env.history.marker(a.n); recorded && !w.live {
		w.await(ctx, func() bool { return a.told })
	} else {
		w.await(ctx, func() bool { return w.live })
		a.state = &attempts{name: a.name(), began: w.now()}
		w.try(ctx, a)
		w.await(ctx, func() bool { return !w.delivering }) // the workflow hears first of the events that began the task
		w.task.settled = append(w.task.settled, marker{a.n, a.name(), w.now(), a.state.out, a.state.err})
	}
	a.over = true
	w.locals--
	w.progressed()
	w.post(w.rest)
}

// recall replays the end of a local activity.
func (w *worker) recall(m marker) {
	if len(w.runs) < m.activity || w.runs[m.activity-1].name() != m.name {
		w.env.fatalf("the workflow is not deterministic: it does not ask for %s where the history has it", m.name)
	}
	a := w.runs[m.activity-1]
	a.state, a.told = &attempts{name: m.name, settled: true, out: m.out, err: m.err}, true
}

// runOrdinary runs an ordinary activity from the end of the task that scheduled it, and reports its end to the workflow
// in another task.
func (w *worker) runOrdinary(ctx workflow.Context, a *activityRun) {
	w.await(ctx, func() bool { return w.tasks > a.task || a.asked.Err() != nil })
	if w.tasks == a.task {
		a.state, a.over = &attempts{err: temporal.NewCanceledError()}, true // no service was called
		return
	}
	known := w.env.history.activities
	if known[a.n] == nil && w == w.env.worker {
		known[a.n] = &attempts{name: a.name(), began: w.now()}
	}
	if a.state = known[a.n]; a.state == nil || a.state.name != a.name() {
		w.env.fatalf("the workflow is not deterministic: it asked for %s where the history has something else", a.name())
	}
	w.await(ctx, func() bool { return w.live || a.told })
	if !a.state.settled {
		bounded := a.limit > 0 || a.maxAttempts > 0
		if bounded {
			w.bounded++
		}
		w.try(ctx, a)
		if bounded {
			w.bounded--
		}
		w.arrive(event{kind: eventActivity, n: a.n})
	}
	a.over = true
	w.await(ctx, func() bool { return a.told })
}

// note notes the order of starts and undos. The order of calls differs: express ones come first.
func (w *worker) note(a *activityRun) {
	list := &w.starts
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

// try makes the calls of an activity, one after the other, and concludes from them as the server does.
func (w *worker) try(ctx workflow.Context, a *activityRun) {
	s := a.state
	for !s.settled {
		w.sleep(ctx, a.asked, s.next-w.now())
		if a.asked.Err() != nil && (s.made == 0 || s.next > w.now()) {
			s.settled, s.err = true, temporal.NewCanceledError()
			return
		}
		if w.env.resetActivity(a) {
			s.told = s.made
		}
		s.made++
		out, err := w.call(ctx, a, s.made-s.told)
		pause := a.pause(err, s.made-s.told)
		switch {
		case err == nil:
			s.settled, s.out = true, out
		case !retryable(err), a.asked.Err() != nil, a.maxAttempts > 0 && s.made-s.told >= int(a.maxAttempts),
			a.limit > 0 && w.now()+pause-s.began > a.limit:
			s.settled, s.err = true, err
		}
		s.next = w.now() + pause
		if w.gone() {
			w.await(ctx, never)
		}
		if !s.settled && w.idle() && w.suite.Now().Sub(w.progress) > max(patience, 2*pause) {
			w.left = true
			w.await(ctx, never)
		}
	}
}

// pause returns the server's wait before the next try.
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

// call makes one call. It takes its time, and gets its answer when its turn comes.
func (w *worker) call(ctx workflow.Context, a *activityRun, attempt int) (*commonpb.Payload, error) {
	o := &order{activity: a.activity, pivot: w.env.isPivot(a.key.Step), attempt: attempt}
	w.setOff(ctx, a, o)
	w.waiting = append(w.waiting, a)
	w.await(ctx, func() bool { return w.current == nil && w.next() == a })
	w.waiting = slices.DeleteFunc(w.waiting, func(o *activityRun) bool { return o == a })
	w.current = o
	if w.slow.on {
		w.slow.wait()
	}
	if w.gone() {
		w.await(ctx, never)
	}
	call := w.env.begin(w, a, o)
	var out any
	t := resultType(a.activity.Func)
	if t != nil {
		out = reflect.New(t).Interface()
	}
	err := a.one(ctx).Get(ctx, out)
	if !o.endless && !o.outOfTime {
		w.progressed()
	}
	if w.env.end(w, a, o, call) {
		err = errNoAnswer // the outcome of an ordinary activity whose worker is lost
	}
	if w.gone() && a.local {
		w.await(ctx, never)
	}
	w.current = nil
	if err != nil || t == nil {
		return nil, err
	}
	return encode(reflect.ValueOf(out).Elem().Interface()), nil
}

// setOff sends the call on its way, and waits for its duration.
func (w *worker) setOff(ctx workflow.Context, a *activityRun, o *order) {
	if w == w.env.worker {
		w.env.meet(ctx, w, a)
	}
	takes, limit := w.env.takes[faultKey{a.key.Step, a.activity.Part}], a.tryLimit
	if left := a.state.began + a.limit - w.now(); a.limit > 0 && (limit == 0 || left < limit) {
		limit = max(left, 0)
	}
	if limit > 0 && takes > limit {
		o.outOfTime, o.lands = true, w.now()+takes
		takes = limit
	}
	if takes > 0 {
		w.flying = append(w.flying, a)
		w.sleep(ctx, nil, takes)
		w.flying = slices.DeleteFunc(w.flying, func(f *activityRun) bool { return f == a })
	}
}

// next returns the activity whose turn it is.
func (w *worker) next() *activityRun {
	var next *activityRun
	for _, a := range w.waiting {
		if next == nil || a.n < next.n {
			next = a
		}
	}
	return next
}

// decode returns a value from the record; nil for no value.
func decode(p *commonpb.Payload, t reflect.Type) any {
	if p == nil || t == nil {
		return nil
	}
	out := reflect.New(t)
	if err := converter.GetDefaultDataConverter().FromPayload(p, out.Interface()); err != nil {
		panic("sagatest: " + err.Error())
	}
	return out.Elem().Interface()
}
