package compensation

import (
	"fmt"

	"go.temporal.io/sdk/workflow"
)

// firstTask is the history's length in the first try of a saga's first workflow task: the workflow was started, the
// task was scheduled, the task was started.
const firstTask = 3

// certain reports whether everything that the saga did so far was seen by this try of its workflow task.
//
// An express step is recorded when its workflow task completes. If that never happens, the task is tried again, and
// what the lost try did is known to the services only. A lost try leaves its mark on the history's length, so a saga
// is certain in the first try of its first task, and nowhere else: later tasks of one that was never disturbed look the
// same as those of one that was. In the first task, the answer is the same when it is replayed: another worker that
// takes over later sees the length that the first task had.
//
// A task that lasts longer than four fifths of its timeout is completed by a heartbeat while express steps are in flight,
// and they go on in the next one. What is in flight then has no record: a worker that takes over runs it again, in a later
// task, from code that it reached while it replayed the first. So whether a call was certain is asked before and after it.
//
// # How tries can differ, and why each difference is safe
//
// The body is deterministic: with the same record and the same outcomes it does the same. So a try can differ from
// another one in what its express steps were answered, in what had arrived when it began, in the time, and in how far
// it came.
//
//   - The same step is asked again. Its key is the same, so a service that did it gives its first answer, and one that
//     undid it says that it did (410).
//   - A service answered then and does not now, or refuses now, or the other way round. Whatever this try does next, it
//     is for the lost one's effects, too: if it turns back, it undoes every express step of the plan by key, seen or
//     not; if it goes forward, it undoes those that it went on without: what it has seen itself before its pivot
//     (undoRest), what only another try may have done before it completes (undoUnseen).
//   - A cancel, a deadline or another message arrived in between. The body takes another way; as before. A message that the
//     lost try had taken is not gone with it: nothing express runs because of an update before the task that accepted it has
//     completed (ready), and signals, timers and Temporal's own cancel are in the history before any task sees them.
//   - The lost try came past the pivot. Then nothing may be undone that the pivot stands on. The first thing that a saga
//     does on its way back is to fence the pivot: to ask its service to make sure that it never happens. Irreversible is
//     the answer if it did, and the saga goes forward: it calls the body again, and this time steps are tried until they
//     are done. One row of the pivot service's ledger decides between all tries.
//   - The lost try is not over. Its worker was only slow, the task was given to another one, and both go on. What it
//     does late to a key that was undone is refused (410). If it turns back, it fences the pivot as well, so it undoes
//     nothing of a saga that another try has brought past its pivot; and if the other one has not come there, it never
//     will. That is why a certain saga fences its pivot, too: it cannot know that it is still the only one.
//   - The fence says nothing about a try that completes without the pivot, such as one whose body runs it on a condition
//     only. Unless the plan rules that out ([Plan.RequirePivot]), and wherever no pivot can be fenced or what is undone is
//     not the whole saga, the task is ended before the first undo (endTask): a try that is not current cannot end one, so
//     it undoes nothing.
//   - A refusal is definite only if no other try can still be on its way: from the first call of the first try of the
//     first task, within that task. Any other refused step is undone as well, an ordinary activity's always: what is
//     counted as its first attempt need not be (`temporal activity reset`).
//   - A step runs for other items than in the lost try. Steps with items are durable, so the record has them all.
//   - The body goes on without a step that failed, and the lost try had the step and came past the pivot. Then the step
//     is undone although the pivot has happened: this try's body decided to do without it, and what is in the record
//     counts. A body that cannot live with that makes the step durable: then its outcome is on record before anything
//     follows it.
//   - A step after the pivot is run by one try and not by the other, because the body asked for the time in between, or
//     got another message. It has no undo, so it may stand beside its alternative. Make it durable, or branch on what a
//     durable step found.
//
// Durable steps are in the record before they run: a saga knows all of them, always, but for a run that was reset (wasReset).
func (s *saga) certain(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetCurrentHistoryLength() == firstTask
}

// wasReset reports whether the run goes on from an earlier point of another one, by `temporal workflow reset`. Then the
// history lacks what the other run did after that point, durable steps included, so the saga is uncertain about all of it.
//
// What was decided before that point, by the other run, is replayed as it was: the answer for a task that the other run
// recorded is no, which the version marker of the first later one tells from yes.
func (s *saga) wasReset(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	if s.reset || !s.plan.since(2) || info.OriginalRunID == "" || info.OriginalRunID == info.WorkflowExecution.RunID {
		return s.reset
	}
	change := fmt.Sprintf("SagaReset-%d", historyLength(ctx))
	s.reset = workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) != workflow.DefaultVersion
	return s.reset
}

// addUnseen notes the compensatable steps that only another try may have started: the express ones, and after a reset the
// durable ones, too. They come after those that this one started, so they are undone before them.
func (s *saga) addUnseen(ctx workflow.Context) {
	reset := s.wasReset(ctx)
	for _, d := range s.plan.steps {
		if d.kind != Compensatable || (d.durable && !reset) || (d.repeats && s.plan.since(2)) {
			continue
		}
		e := s.find(Key{Saga: s.id, Step: d.name})
		if e == nil {
			e = s.add(Key{Saga: s.id, Step: d.name}, d)
		}
		if e.do == DoNotRun {
			e.unseen = true
			// As if they had run after all others, one group after the other.
			e.began = s.steps + 2*d.group + 1
			e.ended = e.began + 1
		}
	}
}

// needsFence reports whether only the pivot's service can say that the pivot did not happen and never will. The record
// of a run that was not reset says it of a durable pivot.
func (s *saga) needsFence(ctx workflow.Context) bool {
	s.wasReset(ctx)
	return s.unfenced()
}

// unfenced is needsFence for conditions, which must not write to the history.
func (s *saga) unfenced() bool {
	p := s.plan.pivot()
	return p != nil && (!p.durable || s.reset) && !s.committed && !s.forward && !s.fenced()
}

// fenced tells whether the pivot can never happen any more, or an operator answers for that.
func (s *saga) fenced() bool {
	p := s.plan.pivot()
	if p == nil {
		return false
	}
	e := s.find(Key{Saga: s.id, Step: p.name})
	return e != nil && e.undo.over()
}

// pivotExecution is the pivot, started by this try or not.
func (s *saga) pivotExecution() *execution {
	key := Key{Saga: s.id, Step: s.plan.pivot().name}
	if e := s.find(key); e != nil {
		return e
	}
	return s.add(key, *s.plan.pivot())
}
