package sagatest

import (
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
)

const (
	// firstTask is the history's length in a saga's first workflow task, lostTry what a lost try of a task adds to it.
	firstTask = 3
	lostTry   = 3
	// taskTimeout is the limit of a workflow task: another worker gets what one was lost with. heartbeatAfter is when a
	// worker that still waits for local activities completes the task, to be given another one at once: 80 % of it.
	taskTimeout    = 5 * time.Second
	heartbeatAfter = 4 * time.Second
	// maxResult is the largest result that a server takes, maxTask the most that it takes in one task.
	maxResult = 2 << 20
	maxTask   = 4 << 20
)

// history is what the server has of the saga's run. All its times are counted from the saga's start.
type history struct {
	// tasks are the workflow tasks that were completed.
	tasks []*task
	// activities are the ordinary ones, by number. Those of a task that is lost are taken out again.
	activities map[int]*attempts
	// effects are what side effects came to, in their order.
	effects []any
	// resume is when the next worker begins, and retried the history's length in the task that it tries again; 0 if none
	// was lost.
	resume  time.Duration
	retried int
}

// task is a workflow task.
type task struct {
	began time.Duration
	// length is the history's length when it began.
	length  int
	brought []event
	// settled are the local activities that came to their end in it, in that order.
	settled []marker
	// activities is the number of the last activity that it, or a task before it, asked for.
	activities int
	// effects is how many side effects there were by its end.
	effects int
	// versions are the changes whose version it noted.
	versions map[string]workflow.Version
	// commands counts the timers and activities that it asked for.
	commands int
}

// marker is what a task's record says of a local activity.
type marker struct {
	activity int
	name     string
	at       time.Duration
	out      *commonpb.Payload
	err      error
}

func (m marker) size() int {
	if m.err != nil {
		return len(m.err.Error())
	}
	return m.out.Size()
}

// attempts is what the server knows of an ordinary activity, or a worker of a local one.
type attempts struct {
	name string
	// made counts the tries, and told is how many of them came before somebody reset the activity.
	made, told int
	began      time.Duration
	// next is when the next try is due.
	next    time.Duration
	settled bool
	out     *commonpb.Payload
	err     error
}

type eventKind int

const (
	eventStart eventKind = iota
	eventActivity
	eventTimer
	eventMessage
)

// event is what a workflow task brings.
type event struct {
	kind eventKind
	// n is the number of the activity or of the timer.
	n       int
	message *message
}

// message is an update, or Temporal's own cancel.
type message struct {
	// reply is nil for Temporal's cancel.
	reply *Reply
	name  string
	arg   any
	// given is set when its sender has given up.
	given bool
	// unheard is set while the workflow has it and has neither accepted nor rejected it.
	unheard bool
	// delivered is set when the workflow has it.
	delivered bool
}

// errCompleted is what the server says to an update that comes too late.
var errCompleted = serviceerror.NewNotFound("workflow execution already completed")

// recorded tells whether a completed task has the message.
func (h *history) recorded(m *message) bool {
	return slices.ContainsFunc(h.tasks, func(t *task) bool {
		return slices.ContainsFunc(t.brought, func(e event) bool { return e.message == m })
	})
}

// version is what the record says of a change up to that task, the default version if nothing.
func (h *history) version(change string, until *task) workflow.Version {
	for _, t := range h.tasks {
		if v, ok := t.versions[change]; ok {
			return v
		}
		if t == until {
			break
		}
	}
	return workflow.DefaultVersion
}

// marker is what is recorded of a local activity.
func (h *history) marker(activity int) (m marker, ok bool) {
	for _, t := range h.tasks {
		if i := slices.IndexFunc(t.settled, func(m marker) bool { return m.activity == activity }); i >= 0 {
			return t.settled[i], true
		}
	}
	return m, false
}

// asked is the number of the last activity that is in the record.
func (h *history) asked() int {
	if len(h.tasks) == 0 {
		return 0
	}
	return h.tasks[len(h.tasks)-1].activities
}

// forget takes out the activities and side effects of a task that was lost.
func (h *history) forget() {
	if len(h.tasks) == 0 {
		h.effects = nil
	} else {
		h.effects = h.effects[:h.tasks[len(h.tasks)-1].effects]
	}
	for n := range h.activities {
		if n > h.asked() {
			delete(h.activities, n)
		}
	}
}

// cut takes back every task from the n-th on, counted from 1. It is tried again, with what it brought. lost is the one that
// runs; nil if none does.
func (h *history) cut(n int, lost *task) {
	all := h.tasks
	if lost != nil {
		all = append(slices.Clone(all), lost)
	}
	if len(all) == 0 {
		h.retried = firstTask + lostTry
		return
	}
	n = min(max(n, 1), len(all))
	again := all[n-1]
	h.tasks = slices.Clone(all[:n-1])
	h.retried = again.length + lostTry
	h.forget()
	for number, a := range h.activities {
		told := slices.ContainsFunc(all[:n], func(t *task) bool { return slices.Contains(t.brought, event{kind: eventActivity, n: number}) })
		if !told {
			*a = attempts{name: a.name, began: a.began}
		}
	}
}

// next is the history's length in the task that follows.
func (h *history) next(brought int) int {
	if len(h.tasks) == 0 {
		return firstTask
	}
	t := h.tasks[len(h.tasks)-1]
	return t.length + 1 + t.commands + len(t.settled) + brought + 2
}

// encode makes what a record says of a value.
func encode(value any) *commonpb.Payload {
	p, err := converter.GetDefaultDataConverter().ToPayload(value)
	if err != nil {
		panic("sagatest: " + err.Error())
	}
	return p
}
