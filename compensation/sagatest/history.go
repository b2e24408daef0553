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
	// firstTask is the history's length in a saga's first workflow task. lostTry is what a lost try of a task adds to it.
	firstTask = 3
	lostTry   = 3
	// taskTimeout is the limit of a workflow task: after it, another worker gets the task of a lost one. At
	// heartbeatAfter, 80 % of it, a worker that still waits for local activities completes the task, to get another one
	// at once.
	taskTimeout    = 5 * time.Second
	heartbeatAfter = 4 * time.Second
	// maxResult is the largest result that a server takes, maxTask the most that it takes in one task.
	maxResult = 2 << 20
	maxTask   = 4 << 20
)

// A history is the server's record of the saga's run. All its times are counted from the saga's start.
type history struct {
	// tasks are the completed workflow tasks.
	tasks []*task
	// activities are the ordinary ones, by number. Those of a lost task are removed.
	activities map[int]*attempts
	// effects are the results of side effects, in order.
	effects []any
	// resume is when the next worker begins, and retried the history's length in the task that it tries again; 0 if no
	// task was lost.
	resume  time.Duration
	retried int
}

// A task is a workflow task.
type task struct {
	began time.Duration
	// length is the history's length when it began.
	length  int
	brought []event
	// settled are the local activities that ended in it, in that order.
	settled []marker
	// activities is the number of the last activity that it, or a task before it, scheduled.
	activities int
	// effects is the number of side effects by its end.
	effects int
	// versions are the changes whose version it noted.
	versions map[string]workflow.Version
	// commands counts the timers and activities that it scheduled.
	commands int
}

// A marker is the record of a local activity in a task.
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

// attempts is the server's view of an ordinary activity, or a worker's of a local one.
type attempts struct {
	name string
	// made counts the tries, told those before somebody reset the activity.
	made, told int
	began      time.Duration
	// next is the time at which the next try is due.
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

// An event is something that a workflow task brings.
type event struct {
	kind eventKind
	// n is the number of the activity or of the timer.
	n       int
	message *message
}

// A message is an update, or Temporal's own cancel.
type message struct {
	// reply is nil for Temporal's cancel.
	reply *Reply
	name  string
	arg   any
	// given is set once its sender has given up.
	given bool
	// unheard is set while the workflow has it and has neither accepted nor rejected it.
	unheard bool
	// delivered is set once the workflow has it.
	delivered bool
}

// errCompleted is the server's answer to an update that comes too late.
var errCompleted = serviceerror.NewNotFound("workflow execution already completed")

// recorded reports whether a completed task has the message.
func (h *history) recorded(m *message) bool {
	return slices.ContainsFunc(h.tasks, func(t *task) bool {
		return slices.ContainsFunc(t.brought, func(e event) bool { return e.message == m })
	})
}

// version returns the recorded version of a change up to that task, the default version if there is no record.
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

// marker returns the record of a local activity.
func (h *history) marker(activity int) (m marker, ok bool) {
	for _, t := range h.tasks {
		if i := slices.IndexFunc(t.settled, func(m marker) bool { return m.activity == activity }); i >= 0 {
			return t.settled[i], true
		}
	}
	return m, false
}

// asked returns the number of the last activity in the record.
func (h *history) asked() int {
	if len(h.tasks) == 0 {
		return 0
	}
	return h.tasks[len(h.tasks)-1].activities
}

// forget removes the activities and side effects of a lost task.
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

// cut takes back every task from the n-th on, counted from 1. It is tried again, with what it brought. lost is the task
// that runs; nil if no task does.
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

// next returns the history's length in the task that follows.
func (h *history) next(brought int) int {
	if len(h.tasks) == 0 {
		return firstTask
	}
	t := h.tasks[len(h.tasks)-1]
	return t.length + 1 + t.commands + len(t.settled) + brought + 2
}

// encode encodes a value as in a record.
func encode(value any) *commonpb.Payload {
	p, err := converter.GetDefaultDataConverter().ToPayload(value)
	if err != nil {
		panic("sagatest: " + err.Error())
	}
	return p
}
