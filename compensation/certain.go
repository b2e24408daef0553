package compensation

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"
)

// firstTask is the history's length in the first try of a saga's first workflow task: the workflow was started, the
// task was scheduled, the task was started.
const firstTask = 3

// certain reports whether this try of the saga's workflow task has seen everything that the saga did so far.
//
// An express step is recorded when its workflow task completes. If that never happens, the task is tried again, and only
// the services know what the lost try did. A lost try leaves its mark on the history's length, so a saga is certain in
// the first try of its first task, and nowhere else: later tasks look the same whether or not the saga was ever
// disturbed. In the first task, replay gives the same answer: another worker that takes over later sees the length that
// the first task had.
//
// If a task lasts longer than four fifths of its timeout, a heartbeat completes it while express steps are in flight, and
// they go on in the next one. What is in flight then has no record: a worker that takes over runs it again, in a later
// task, from code that it reached while it replayed the first. So certainty is checked before and after each call.
//
// # How tries can differ, and why each difference is safe
//
// The body is deterministic: with the same record and the same outcomes it does the same. So two tries can differ in the
// answers to their express steps, in the messages that had arrived when they began, in the time, and in how far they
// came.
//
//   - The same step is asked again. Its key is the same, so a service that did it gives its first answer, and one that
//     undid it says so (410).
//   - A service answered then and does not now, or refuses now, or the other way round. Whatever this try does next also
//     covers the lost one's effects. If it turns back, it undoes every express step of the plan by key, seen or not. If
//     it goes forward, it undoes the steps that it went on without: those that it has seen itself before its pivot
//     (undoRest), those that only another try may have done before it completes (undoUnseen).
//   - A cancel, a deadline or another message arrived in between. The body takes another way; as before. A message that
//     the lost try had taken is not lost with it: nothing express runs because of an update before the task that accepted
//     it has completed (ready), and signals, timers and Temporal's own cancel are in the history before any task sees
//     them.
//   - The lost try came past the pivot. Then nothing that the pivot stands on may be undone. The first thing that a saga
//     does on its way back is to fence the pivot: it asks the pivot's service to make sure that the pivot never happens.
//     If it did happen, the answer is Irreversible, and the saga goes forward: it calls the body again, and this time
//     steps are tried until they are done. One row of the pivot service's ledger decides between all tries.
//   - The lost try is not over. Its worker was only slow, the task was given to another one, and both go on. What it does
//     late to a key that was undone is refused (410). If it turns back, it fences the pivot as well, so it undoes nothing
//     of a saga that another try has brought past its pivot; and if the other one has not come there, it never will. That
//     is why a certain saga fences its pivot, too: it cannot know that it is still the only one.
//   - The fence does not cover a try that completes without the pivot, such as one whose body runs the pivot only on a
//     condition. Unless the plan rules that out ([Plan.RequirePivot]), and wherever no pivot can be fenced or only part
//     of the saga is undone, the task is ended before the first undo (endTask): a try that is not current cannot end a
//     task, so it undoes nothing.
//   - A refusal is definite only if no other try can still be on its way: from the first call of the first try of the
//     first task, within that task. Any other refused step is undone as well, always if it is an ordinary activity: what
//     is counted as its first attempt need not be (`temporal activity reset`).
//   - A step runs for other items than in the lost try. Steps with items are durable, so the record has them all.
//   - The body goes on without a step that failed, and the lost try had the step and came past the pivot. Then the step
//     is undone although the pivot has happened: this try's body decided to do without it, and the record counts. A body
//     that cannot live with that makes the step durable: then its outcome is on record before anything follows it.
//   - One try runs a step after the pivot and the other does not, because the body asked for the time in between, or got
//     another message. The step has no undo, so it may stand beside its alternative. Make it durable, or branch on the
//     result of a durable step.
//   - The run before a reset undid what this one's history shows as done. Before the pivot, and before a saga without one
//     completes, those steps run once more by key (askAgain).
//
// Durable steps are in the record before they run: a saga knows all of them, always, unless its run was reset (wasReset).
func (s *saga) certain(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetCurrentHistoryLength() == firstTask
}

// wasReset reports whether the run continues another one from an earlier point, by `temporal workflow reset`. Then the
// history lacks what the other run did after that point, durable steps included, so the saga is uncertain about all of
// it.
//
// What the other run decided before that point is replayed as it was: for a task that the other run recorded, the answer
// is no. The version marker of the first later task distinguishes that from yes.
func (s *saga) wasReset(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	if s.reset || !s.plan.since(2) || info.OriginalRunID == "" || info.OriginalRunID == info.WorkflowExecution.RunID {
		return s.reset
	}
	change := fmt.Sprintf("SagaReset-%d", historyLength(ctx))
	s.reset = workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) != workflow.DefaultVersion
	s.resetAt = workflow.Now(ctx)
	return s.reset
}

// askAgain runs the compensatable steps that are done once more, by key, in a run that was reset: the run before may have
// undone them, and nothing in this run's history says so. A service that did a step gives its first answer again. One that
// undid it refuses, and then the saga turns back.
func (s *saga) askAgain(ctx workflow.Context) error {
	if s.asked {
		return nil
	}
	s.asked = true
	for _, e := range slices.Clone(s.executions) {
		if e.kind != Compensatable || e.do != DoDone || e.undo.over() {
			continue
		}
		// An undo that the run before had asked for may be on its way as long as this.
		left := s.resetAt.Add(e.attemptTimeout).Sub(workflow.Now(ctx))
		if left > 0 {
			if err := workflow.NewTimerWithOptions(ctx, left, workflow.TimerOptions{
				Summary: "until no call of the run before the reset can be on its way",
			}).Get(ctx, nil); err != nil {
				return err
			}
		}
		e.settled, e.expressing = false, e.isExpress()
		e.err = s.attempt(ctx, e)
		e.settled, e.expressing = true, false
		if e.err != nil {
			return e.err
		}
	}
	return nil
}

// addUnseen notes the compensatable steps that only another try may have started: the express ones and, after a reset,
// the durable ones. They are placed after those that this try started, so they are undone first.
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
			// As if they had run after all others, group by group.
			e.began = s.steps + 2*d.group + 1
			e.ended = e.began + 1
		}
	}
}

// needsFence reports whether only the pivot's service can rule out the pivot, now and later. For a durable pivot, the
// record of a run that was not reset rules it out.
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
