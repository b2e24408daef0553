package sagatest

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// Forever is a number of calls that does not end.
const Forever = 1 << 30

type faultKind int

const (
	faultNone faultKind = iota
	// faultFail: nobody answers, and nothing happens.
	faultFail
	// faultLoseReply: it happens, but nobody answers.
	faultLoseReply
	// faultLate: nobody answers, and it happens later.
	faultLate
	// faultRefuse: it is refused.
	faultRefuse
	// faultGarble: it happens, but something else answers that it did not.
	faultGarble
	// faultOutOfTime: nobody answers in time, and it happens then.
	faultOutOfTime
)

// fault is what some calls of a step come to.
type fault struct {
	kind faultKind
	left int
}

// faultKey is what faults are kept by: a step's name, or that of one of its items, such as "Remind.2".
type faultKey struct {
	step string
	part compensation.Part
}

// The faults of a step's do come one after the other, in the order in which they are asked for: Fail("Pay", 2), then
// Refuse("Pay"), is a step that is refused at its third try. So do those of its undo. A step is named by its name, for
// all its items, or by name and item, such as "Remind.2".

// Refuse lets the step's service refuse it, with [RefusalCode]. What is done already stays done.
func (e *Env) Refuse(step string) { e.add(step, compensation.PartDo, faultRefuse, Forever) }

// Fail leaves n calls of the step without an answer, and without an effect.
func (e *Env) Fail(step string, n int) { e.add(step, compensation.PartDo, faultFail, n) }

// LoseReply leaves n calls of the step without an answer, although they have their effect.
func (e *Env) LoseReply(step string, n int) { e.add(step, compensation.PartDo, faultLoseReply, n) }

// LateDo leaves one call of the step without an answer. It arrives after the step's undo, or when the saga has ended.
func (e *Env) LateDo(step string) { e.add(step, compensation.PartDo, faultLate, 1) }

// Garble lets n calls of the step have their effect, while something between worker and service answers that they failed
// and should not be tried again: a failure of type [ErrTypeGarbled].
func (e *Env) Garble(step string, n int) { e.add(step, compensation.PartDo, faultGarble, n) }

// FailUndo leaves n calls of the step's undo without an answer, and without an effect.
func (e *Env) FailUndo(step string, n int) { e.add(step, compensation.PartUndo, faultFail, n) }

// LoseUndoReply leaves n calls of the step's undo without an answer, although they have their effect.
func (e *Env) LoseUndoReply(step string, n int) {
	e.add(step, compensation.PartUndo, faultLoseReply, n)
}

// RefuseUndo lets the step's service refuse to undo what was done. That of the pivot refuses to prevent it.
func (e *Env) RefuseUndo(step string) { e.add(step, compensation.PartUndo, faultRefuse, Forever) }

// FailProbe leaves n calls of the step's probe without an answer.
func (e *Env) FailProbe(step string, n int) { e.add(step, compensation.PartProbe, faultFail, n) }

// Mend takes away what is left of the step's faults.
func (e *Env) Mend(step string) {
	e.requireStep(step)
	for _, part := range []compensation.Part{compensation.PartDo, compensation.PartUndo, compensation.PartProbe} {
		delete(e.faults, faultKey{step, part})
	}
}

func (e *Env) add(step string, part compensation.Part, kind faultKind, n int) {
	e.requireStep(step)
	k := faultKey{step, part}
	e.faults[k] = append(e.faults[k], fault{kind, n})
}

// takeFault is what the next call comes to.
func (e *Env) takeFault(key compensation.Key, part compensation.Part) (kind faultKind, endless bool) {
	for _, step := range []string{label(key), key.Step} {
		k := faultKey{step, part}
		for len(e.faults[k]) > 0 {
			f := &e.faults[k][0]
			if f.left > 0 {
				f.left--
				return f.kind, f.left > Forever/2
			}
			e.faults[k] = slices.Delete(e.faults[k], 0, 1)
		}
	}
	return faultNone, false
}

// Takes makes each call of the step take that long, on the suite's clock. Its effect comes at the end. A call that takes
// longer than a try may take is out of time. Its effect still comes once that time is over, unless the step was undone by
// then.
func (e *Env) Takes(step string, d time.Duration) {
	e.requireStep(step)
	e.takes[faultKey{step, compensation.PartDo}] = d
}

// TakesUndo is [Env.Takes] for the step's undo.
func (e *Env) TakesUndo(step string, d time.Duration) {
	e.requireStep(step)
	e.takes[faultKey{step, compensation.PartUndo}] = d
}

// HeartbeatAt makes a heartbeat come while the step's call as a local activity is on its way, as if the workflow task had
// lasted for four seconds by then: settled activities go on record, the history grows, and the workflow gets what has
// arrived. Without it, a heartbeat comes when a task has lasted that long (see [Env.Takes]).
func (e *Env) HeartbeatAt(step string) {
	e.requireStep(step)
	e.heartbeats = append(e.heartbeats, faultKey{step, compensation.PartDo})
}

// HeartbeatAtUndo is [Env.HeartbeatAt] for the step's undo.
func (e *Env) HeartbeatAtUndo(step string) {
	e.requireStep(step)
	e.heartbeats = append(e.heartbeats, faultKey{step, compensation.PartUndo})
}

// ResetActivity resets the step's ordinary activity before its next try but the first, as "temporal activity reset" does:
// that try counts as the first.
func (e *Env) ResetActivity(step string) {
	e.requireStep(step)
	e.resets = append(e.resets, step)
}

// CancelAt sends a cancel while the step runs. [Env.Update] describes when it reaches the workflow; with
// [Env.HeartbeatAt] that is while the step runs.
func (e *Env) CancelAt(step string) *Reply {
	e.requireStep(step)
	r := &Reply{}
	e.cancels = append(e.cancels, &cancelAt{step: step, reply: r})
	return r
}

// RequestCancelAt is [Env.RequestCancel] while the step runs.
func (e *Env) RequestCancelAt(step string) {
	e.requireStep(step)
	e.cancels = append(e.cancels, &cancelAt{step: step})
}

// CancelAfter sends a cancel when the saga has run for that long.
func (e *Env) CancelAfter(d time.Duration) *Reply {
	return e.UpdateAfter(d, compensation.UpdateCancel, cancelRequest)
}

// CancelBetween sends a cancel that the next worker finds when it goes on where the last one was lost. It is for the next
// of [Env.CrashAt] and the like.
func (e *Env) CancelBetween() *Reply { return e.Update(compensation.UpdateCancel, cancelRequest) }

// cancelRequest is the cancel that tests send.
var cancelRequest = compensation.CancelRequest{By: "sagatest"}

// cancelAt is a cancel that waits for its step.
type cancelAt struct {
	step string
	// reply is nil for Temporal's own cancel.
	reply *Reply
	sent  bool
}

// meet runs whatever is due when a step is called.
func (e *Env) meet(ctx workflow.Context, w *worker, a *activityRun) {
	if w.lost {
		return
	}
	for _, c := range e.cancels {
		if a.activity.Part != compensation.PartDo || c.sent || (c.step != label(a.key) && c.step != a.key.Step) {
			continue
		}
		c.sent = true
		m := e.send(c.reply, compensation.UpdateCancel, cancelRequest)
		if !a.local {
			w.await(ctx, func() bool { return m.delivered })
		}
	}
	i := slices.IndexFunc(e.heartbeats, func(k faultKey) bool {
		return k.part == a.activity.Part && (k.step == label(a.key) || k.step == a.key.Step)
	})
	if i < 0 || !a.local {
		return
	}
	e.heartbeats = slices.Delete(e.heartbeats, i, i+1)
	t := w.task
	w.post(func() { w.heartbeat(t) })
	w.await(ctx, func() bool { return w.gone() || (w.task != t && !w.delivering) })
}
