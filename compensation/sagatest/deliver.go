package sagatest

import (
	"slices"
)

// deliver delivers everything that a task brought before the workflow goes on.
func (w *worker) deliver(events []event) {
	w.delivering = true
	for _, e := range events {
		if e.kind == eventTimer {
			w.timers[e.n].due = true
		}
	}
	rest := func() {
		for _, e := range events {
			switch e.kind {
			case eventStart:
				w.begun = true
			case eventActivity:
				w.runs[e.n-1].told = true
			case eventTimer:
				w.timers[e.n].delivered = true
			case eventMessage:
			}
		}
	}
	messages := func() {
		for _, e := range events {
			if e.kind == eventMessage {
				w.give(e.message)
			}
		}
	}
	over := func() {
		w.delivering = false
		for _, e := range events {
			if e.message != nil {
				e.message.delivered = true
			}
		}
	}
	// As on a worker, updates come first: a saga that one turns back starts nothing more.
	unheard := func() bool {
		return slices.ContainsFunc(events, func(e event) bool { return e.message != nil && e.message.unheard })
	}
	var goOn func()
	goOn = func() {
		if unheard() {
			w.post(goOn)
			return
		}
		w.suite.RegisterDelayedCallback(rest, 0)
		w.post(over)
	}
	w.post(func() {
		if !w.begun { // before the workflow begins, nothing can hear them
			w.suite.RegisterDelayedCallback(rest, 0)
			messages()
			w.post(over)
			return
		}
		messages()
		w.post(goOn)
	})
}

// give delivers a message to the workflow.
func (w *worker) give(m *message) {
	switch {
	case m.reply == nil:
		w.suite.CancelWorkflow()
	case w.live:
		*m.reply = Reply{}
		fallthrough
	case m.reply.Rejected == nil: // no history has a rejected update
		m.unheard = true
		w.suite.UpdateWorkflow(m.name, "", replying{m.reply, w, func() { m.unheard = false }}, m.arg)
	}
}

// rest ends the task if the workflow waits for nothing within it.
func (w *worker) rest() {
	switch {
	case w.task == nil || !w.live:
	case w.delivering:
		w.post(w.rest)
	case w.locals == 0 && w.slow.on:
		w.left = true // the server gives it no other task
	case w.locals == 0:
		w.complete()
		w.look()
	}
}

// heartbeat completes the task before it takes too long, and begins another one.
func (w *worker) heartbeat(t *task) {
	switch {
	case w.task != t || w.locals == 0:
	case w.delivering:
		w.post(func() { w.heartbeat(t) })
	case w.slow.on:
		w.left = true
	default:
		w.complete()
		w.begin(w.env.history.next(len(w.inbox)))
	}
}
