package compensation

import (
	"slices"

	"go.temporal.io/sdk/workflow"
)

// Sagas that began at revision 1 of the engine (see [Revision]) undo as below.

// undoAllOfRevision1 undoes what may stand, in reverse order of start. It goes past an undo that parks the saga to the
// next, and ends when all are done or an operator has settled them.
func (s *saga) undoAllOfRevision1(ctx workflow.Context) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	left := 0
	for i := len(s.executions) - 1; i >= 0; i-- {
		e := s.executions[i]
		if !s.mustUndo(e) {
			continue
		}
		err := s.undoExpress(ctx, e)
		if err == nil {
			continue
		}
		left++
		done := false
		workflow.Go(ctx, func(ctx workflow.Context) {
			_ = s.insistAfter(ctx, e, PartUndo, err) // it notes what it settles
			left--
			done = true
		})
		wait(ctx, func() bool { return done || s.isParked(e) })
	}
	wait(ctx, func() bool { return left == 0 })
}

// undoRestOfRevision1 undoes what may stand although the body went on without it. It comes before the pivot, after which nothing
// is undone, and for a plan without one before the end.
func (s *saga) undoRestOfRevision1(ctx workflow.Context) {
	if s.committed {
		return
	}
	if !s.certain(ctx) && !s.forward {
		s.addUnseen(ctx)
	}
	s.recordFirst = true // another try may be going on with what is undone here
	s.undoAllOfRevision1(ctx)
	s.recordFirst = false
}

// addEndedOfRevision1 notes the steps that the ended saga may have started, for its recovery.
func (s *saga) addEndedOfRevision1(started []Key) {
	for _, k := range started {
		if i := s.plan.index(k.Step); i >= 0 {
			s.add(Key{Saga: s.id, Step: k.Step, Item: k.Item}, s.plan.steps[i])
		}
	}
	for _, d := range s.plan.steps {
		hasItems := slices.ContainsFunc(started, func(k Key) bool { return k.Step == d.name && k.Item != "" })
		if k := (Key{Saga: s.id, Step: d.name}); s.find(k) == nil && !hasItems {
			s.add(k, d)
		}
	}
}
