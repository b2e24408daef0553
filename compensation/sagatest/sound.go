package sagatest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

// RequireSound requires of a saga that was run what every saga owes, whatever failed:
//
//   - each effect came about at most once, under the key of saga and step;
//   - a completed saga has the effects of complete, which are those of a run without faults (nil for those of
//     which the workflow was told that they are done), and a compensated one has none;
//   - a saga that has not ended is parked, or tries a step after its pivot; the only effects that stand are those whose
//     undo is parked, or, if it is not on its way back, all, but for what a try undid that was lost;
//   - undos of what was done began in reverse order of start;
//   - no worker started a step after it began to undo, but for undos of steps that it went on without;
//   - nothing that the saga counts on was undone after the pivot;
//   - a saga does not hang: it ends once it has completed or is compensated, and every update that it accepted is answered
//     once nothing is tried any more and nothing is parked;
//   - the server takes what its tasks did: no result, nor those of a task together, are too large.
//
// It is for sagas without an operator.
func (e *Env) RequireSound(complete []string) {
	e.t.Helper()
	if faults := e.unsound(complete); len(faults) > 0 {
		e.t.Errorf("unsound: %s\n%s", strings.Join(faults, "\n         "), e.story())
		e.t.FailNow()
	}
}

// shownCalls is how many of the first and of the last calls a failure shows.
const shownCalls = 30

// story tells what happened, for people.
func (e *Env) story() string {
	var b strings.Builder
	fmt.Fprintf(&b, "state %s, cause %q, error %v\n", e.State(), e.cause, e.err)
	for _, p := range e.parked {
		fmt.Fprintf(&b, "parked: %s %s: %s\n", p.Part, p.Step, p.Reason)
	}
	var lines []string
	for i, c := range e.calls {
		line := fmt.Sprintf("%4d worker %d: %s: %s", i+1, c.Worker, c, c.Outcome)
		if c.Express {
			line += ", express"
		}
		if c.Effect {
			line += ", effect"
		}
		lines = append(lines, line)
	}
	if len(lines) > 2*shownCalls {
		lines = slices.Concat(lines[:shownCalls], []string{"     …"}, lines[len(lines)-shownCalls:])
	}
	b.WriteString(strings.Join(lines, "\n") + "\n")
	fmt.Fprintf(&b, "effects: %v", e.Effects())
	return b.String()
}

func (e *Env) unsound(complete []string) []string {
	return slices.Concat(e.unsoundEffects(), e.unsoundEnd(complete), e.unsoundOrder(), e.unsoundStarts(), e.unsoundUndos())
}

// unsoundEffects checks that each effect came about at most once.
func (e *Env) unsoundEffects() (faults []string) {
	times := map[string]int{}
	for _, c := range e.calls {
		if c.Key.Saga != e.id {
			faults = append(faults, fmt.Sprintf("%s has the key %s of another saga", c, c.Key))
		}
		if c.Effect && c.Part == compensation.PartDo {
			times[label(c.Key)]++
		}
	}
	for step, n := range times {
		if n > 1 {
			faults = append(faults, fmt.Sprintf("%s was done %d times", step, n))
		}
	}
	slices.Sort(faults)
	return faults
}

// unsoundEnd checks the effects that stand against the state.
func (e *Env) unsoundEnd(complete []string) []string {
	standing := e.Effects()
	state := e.State()
	switch {
	case len(e.hangs()) > 0:
		return e.hangs()
	case state == compensation.Completed:
		if complete == nil {
			complete = e.told()
		}
		if !sameSet(standing, complete) {
			return []string{fmt.Sprintf("the saga completed with the effects %v, not %v", standing, complete)}
		}
		if len(e.parked) > 0 {
			return []string{"the saga completed while something was parked"}
		}
		return nil
	case e.ended && state == compensation.Compensated:
		if len(standing) > 0 {
			return []string{fmt.Sprintf("the saga is compensated, but %v stand", standing)}
		}
		return nil
	case e.ended:
		return []string{fmt.Sprintf("the saga ended as %s", state)}
	case state == compensation.Running && !slices.Contains(standing, e.plan.Pivot()):
		return []string{"the saga goes on for ever before its pivot"}
	case state == compensation.Compensating:
		return []string{"the saga undoes for ever, and nobody is told"}
	}
	return e.unsoundRest(standing)
}

// told returns the steps that the saga counts on: the last worker's workflow was told that they are done.
func (e *Env) told() []string { return slices.Clone(e.worker.told) }

// unsoundRest checks the effects that stand of a saga that has not ended.
func (e *Env) unsoundRest(standing []string) (faults []string) {
	var parked []string
	back, byHand := e.cause != "", false
	for _, p := range e.parked {
		byHand = byHand || p.Part == compensation.PartSaga
		if p.Part == compensation.PartUndo {
			parked = append(parked, label(compensation.Key{Saga: e.id, Step: p.Step, Item: p.Item}))
		}
		// Nothing is undone before what is in flight has an outcome, nor before the pivot is fenced.
		back = back && (p.Part == compensation.PartSaga || (p.Part == compensation.PartUndo && !e.isPivot(p.Step)))
	}
	for _, c := range e.calls {
		stands := c.Effect && c.Part == compensation.PartDo && slices.Contains(standing, label(c.Key))
		// A person must find the items that a reset made it forget.
		if back && stands && !slices.Contains(parked, label(c.Key)) && (!byHand || c.Key.Item == "") {
			faults = append(faults, fmt.Sprintf("the saga is parked on its way back, but %s stands and is not parked", c))
		}
		// A saga that is to turn back, and waits to learn whether it may, counts on nothing that was undone before it.
		undone := c.Effect && c.Part == compensation.PartUndo && (e.cause == "" || c.Worker == e.worker.number)
		if !back && undone && slices.Contains(e.told(), label(c.Key)) {
			faults = append(faults, fmt.Sprintf("the saga is %s and counts on %s, but %s has taken effect", e.State(), label(c.Key), c))
		}
	}
	return faults
}

// unsoundOrder checks that each worker's undos of what was done began in reverse order of its starts. Steps that it did
// not start are undone in reverse order of the plan.
func (e *Env) unsoundOrder() (faults []string) {
	var plan []string
	for _, st := range e.plan.Steps() {
		plan = append(plan, st.Name)
	}
	for _, w := range e.workers {
		for i, undone := range w.undos {
			for _, before := range w.undos[:i] {
				if slices.Contains(w.starts, before) && !slices.Contains(w.told, before) {
					continue // the body may have gone on without it
				}
				order := w.starts
				if !slices.Contains(w.starts, before) && !slices.Contains(w.starts, undone) {
					order = plan
				}
				if i, j := slices.Index(order, before), slices.Index(order, undone); i >= 0 && j >= 0 && i < j {
					faults = append(faults, fmt.Sprintf("worker %d undid %s before %s, which came later", w.number, before, undone))
				}
			}
		}
	}
	return faults
}

// unsoundStarts checks that no worker started a step after it began to undo.
func (e *Env) unsoundStarts() (faults []string) {
	for _, w := range e.workers {
		done := map[string]bool{}
		undoing := ""
		for _, c := range e.calls {
			if c.Worker != w.number {
				continue
			}
			switch {
			case c.Part == compensation.PartDo && undoing != "":
				faults = append(faults, fmt.Sprintf("worker %d started %s after it began to undo with %s", w.number, c, undoing))
			case c.Part == compensation.PartDo:
				done[label(c.Key)] = done[label(c.Key)] || c.Outcome == Done
			case c.Part == compensation.PartUndo && !e.isPivot(c.Key.Step) && done[label(c.Key)]:
				undoing = label(c.Key)
			}
		}
	}
	return faults
}

// unsoundUndos checks that nothing that the saga counts on was undone after the pivot.
func (e *Env) unsoundUndos() (faults []string) {
	pivot, told := false, e.told()
	for _, c := range e.calls {
		if pivot && c.Effect && c.Part == compensation.PartUndo && slices.Contains(told, label(c.Key)) {
			faults = append(faults, fmt.Sprintf("%s came after the pivot, and the saga counts on %s", c, label(c.Key)))
		}
		pivot = pivot || (c.Effect && c.Part == compensation.PartDo && e.isPivot(c.Key.Step))
	}
	return faults
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// RequireEffects requires that these effects stand, in any order, and no others.
func (e *Env) RequireEffects(want ...string) {
	e.t.Helper()
	require.ElementsMatch(e.t, want, e.Effects())
}

// RequireSettled requires what also holds for sagas with an operator, whatever the operator does and when: each effect
// came about at most once; the saga has ended, is parked, or tries something; and every accepted update is answered. The
// exception is a cancel in a parked saga that does not know yet whether it is too late.
func (e *Env) RequireSettled() {
	e.t.Helper()
	if faults := slices.Concat(e.unsoundEffects(), e.hangs()); len(faults) > 0 {
		e.t.Errorf("unsound: %s\n%s", strings.Join(faults, "\n         "), e.story())
		e.t.FailNow()
	}
}

// hangs finds whatever waits for something that never comes.
func (e *Env) hangs() (faults []string) {
	if e.broken != "" {
		faults = append(faults, e.broken)
	}
	if state := e.State(); !e.ended && (state.Ended() || (e.worker.hung && len(e.parked) == 0)) {
		faults = append(faults, fmt.Sprintf("the saga hangs: it is %s, waits for nothing, and does not end", state))
	}
	for _, m := range e.messages {
		waits := m.name == compensation.UpdateCancel && len(e.parked) > 0
		if m.reply != nil && m.reply.Accepted && !m.reply.Answered && (e.ended || e.worker.hung) && !waits {
			faults = append(faults, fmt.Sprintf("%s was accepted, and has no answer", m.name))
		}
	}
	return faults
}
