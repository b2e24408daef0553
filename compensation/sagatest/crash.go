package sagatest

import (
	"slices"
	"time"

	"github.com/amends-dev/amends/compensation"
)

// A crash is the loss of a worker that waits for its step, or a reset of the workflow.
type crash struct {
	step string
	part compensation.Part
	// inFlight marks a worker that is lost before the step's service acts.
	inFlight bool
	// pace is the pace of a slow worker; nil for a lost one.
	pace []int
	// reset is the task that another run tries again; 0 if the workflow is not reset.
	reset int
	// atEnd marks a reset of a workflow that has ended.
	atEnd bool
	next  func()
}

// CrashAt loses the worker while the step runs, after the step's effect. Another worker replays the history up to then,
// and tries the lost workflow task again once its limit has passed. Where the step is an ordinary activity by then, only
// its reply is lost, and it is tried again. next, which may be nil, is called in between: the world may have changed when
// the second worker begins.
//
// Crashes come one after the other, in the order of the calls that request them.
func (e *Env) CrashAt(step string, next func()) {
	e.crash(&crash{step: step, part: compensation.PartDo, next: next})
}

// CrashAtUndo is [Env.CrashAt] for the step's undo.
func (e *Env) CrashAtUndo(step string, next func()) {
	e.crash(&crash{step: step, part: compensation.PartUndo, next: next})
}

// CrashInFlight is [Env.CrashAt], but the step's call is still on its way when the worker is lost. It arrives after the
// step's undo, or when the saga has ended.
func (e *Env) CrashInFlight(step string, next func()) {
	e.crash(&crash{step: step, part: compensation.PartDo, inFlight: true, next: next})
}

// SlowAt is [Env.CrashAt], but the worker is only slow: once the step was called, another worker takes over, and the
// first one goes on beside it with the workflow task that it has lost. pace is the number of calls it makes before the
// other one's first, second, … call; the last number is repeated. It does the rest after the saga has ended. It makes no
// ordinary activities any more, since the server hears nothing from it, and stops where its task would end.
func (e *Env) SlowAt(step string, pace []int, next func()) {
	e.crash(&crash{step: step, part: compensation.PartDo, pace: orOne(pace), next: next})
}

// SlowAtUndo is [Env.SlowAt] for the step's undo. For the pivot's undo, that is a worker that has fenced it and is about
// to undo.
func (e *Env) SlowAtUndo(step string, pace []int, next func()) {
	e.crash(&crash{step: step, part: compensation.PartUndo, pace: orOne(pace), next: next})
}

// ResetAt resets the workflow while the step runs, after its effect. Another run continues from the record before that
// workflow task, counted from 1, and tries the task again; if the number is too large, the last one. What came after is
// forgotten, while the services still have it. Updates that only the forgotten part had come again, unless their senders
// gave up. Activities that have not ended by then begin with their first try again. next is as in [Env.CrashAt].
func (e *Env) ResetAt(step string, task int, next func()) {
	e.crash(&crash{step: step, part: compensation.PartDo, reset: max(task, 1), next: next})
}

// ResetAtUndo is [Env.ResetAt] for the step's undo.
func (e *Env) ResetAtUndo(step string, task int, next func()) {
	e.crash(&crash{step: step, part: compensation.PartUndo, reset: max(task, 1), next: next})
}

// ResetAfter resets the workflow when it has run for that long (see [Env.ResetAt]).
func (e *Env) ResetAfter(d time.Duration, task int, next func()) {
	e.At(d, func() { e.worker.lost, e.worker.crash = true, &crash{reset: max(task, 1), next: next} })
}

// ResetAtEnd resets the workflow when it has ended (see [Env.ResetAt]).
func (e *Env) ResetAtEnd(task int, next func()) {
	e.crashes = append(e.crashes, &crash{atEnd: true, reset: max(task, 1), next: next})
}

func (e *Env) crash(c *crash) {
	e.requireStep(c.step)
	e.crashes = append(e.crashes, c)
}

func orOne(pace []int) []int {
	if len(pace) == 0 {
		return []int{1}
	}
	return pace
}

// crashFor returns the crash that this call of the worker meets; nil if it meets no crash.
func (e *Env) crashFor(w *worker, a *activityRun) *crash {
	if w != e.worker || w.lost || len(e.crashes) == 0 {
		return nil
	}
	if c := e.crashes[0]; c.part == a.activity.Part && (c.step == label(a.key) || c.step == a.key.Step) {
		return c
	}
	return nil
}

// resetActivity reports whether the step's activity is reset before this try.
func (e *Env) resetActivity(a *activityRun) bool {
	i := slices.IndexFunc(e.resets, func(step string) bool { return step == label(a.key) || step == a.key.Step })
	if i < 0 || a.local || a.state.made == 0 || a.activity.Part != compensation.PartDo {
		return false
	}
	e.resets = slices.Delete(e.resets, i, i+1)
	return true
}
