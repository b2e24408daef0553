package sagatest

import (
	"slices"
	"time"

	"github.com/amends-dev/amends/compensation"
)

// Update sends an update to the saga, from [Env.At], [Env.WhenParked], or what a crash calls before the next worker. As
// on a server, it reaches the workflow when no workflow task runs: local activities that take their time, or that follow
// each other, hold it up until the task ends or a heartbeat completes it. A saga that ends first never hears of it.
//
// If the task that has taken it is lost, it comes again with the next one, unless its sender gave up (see [Env.GiveUp]).
func (e *Env) Update(name string, arg any) *Reply {
	r := &Reply{}
	e.send(r, name, arg)
	return r
}

func (e *Env) send(r *Reply, name string, arg any) *message {
	m := &message{reply: r, name: name, arg: arg}
	e.messages = append(e.messages, m)
	if e.worker != nil {
		e.worker.arrive(event{kind: eventMessage, message: m})
	}
	return m
}

// GiveUp makes the sender of an update stop waiting: if no record has the update, it does not come again.
func (e *Env) GiveUp(r *Reply) {
	for _, m := range e.messages {
		m.given = m.given || m.reply == r
	}
}

// RequestCancel sends Temporal's own cancel. Like an update, it waits for the end of a workflow task (see [Env.Update]),
// but a saga cannot end before it has heard of it: the server discards the task, which is then tried again with the
// cancel.
func (e *Env) RequestCancel() {
	m := &message{}
	e.messages = append(e.messages, m)
	if e.worker != nil {
		e.worker.arrive(event{kind: eventMessage, message: m})
	}
}

// UpdateAfter sends an update when the saga has run for that long.
func (e *Env) UpdateAfter(d time.Duration, name string, arg any) *Reply {
	r := &Reply{}
	e.At(d, func() { e.send(r, name, arg) })
	return r
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
	w.news = w.live
}

// tell reports what is parked, once it is on record, to those who want to know.
func (e *Env) tell() {
	if len(e.parked) == 0 {
		return
	}
	for _, do := range e.onParked {
		do(slices.Clone(e.parked))
	}
}
