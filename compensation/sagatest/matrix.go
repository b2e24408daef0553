package sagatest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

// Matrix runs a saga once for each step of its plan and each way in which the step can fail, and requires after each
// what [Env.RequireSound] says. newEnv makes an environment with the answers that the saga needs, run runs it so that,
// without a fault, every step of the plan is called.
//
// The ways: refused; unanswered once, for ever, and after the effect; a do that arrives after its undo; an undo that is
// unanswered once, after its effect, for ever, or refused; a cancel while the step runs, also at a heartbeat; a worker
// that is lost while it runs, or while its call is on its way, or is only slow, also after a heartbeat, with what another
// worker may find then: that nothing else happened, that a cancel came, that a step is refused now; a reset of the workflow
// while the step runs, while it is undone, or when all is over.
func Matrix(t *testing.T, newEnv func(TB) *Env, run func(*Env) error) {
	t.Helper()
	base := newEnv(t)
	require.NoError(t, run(base), "without a fault")
	base.RequireState(compensation.Completed)
	m := matrix{newEnv: newEnv, run: run, plan: base.plan.Steps(), complete: base.Effects()}
	for i, st := range m.plan {
		require.True(t, slices.ContainsFunc(base.calls, func(c *Call) bool { return c.Key.Step == st.Name }),
			"without a fault, %s is not called", st.Name)
		t.Run(st.Name, func(t *testing.T) {
			t.Parallel()

			for _, c := range m.cells(i) {
				t.Run(c.name, func(t *testing.T) { m.check(t, c) })
			}
		})
	}
}

type matrix struct {
	newEnv   func(TB) *Env
	run      func(*Env) error
	plan     []compensation.StepInfo
	complete []string
}

// cell is one way to fail.
type cell struct {
	name   string
	faults func(*Env)
	// end is how the saga ends, or is left; empty where several ends are sound.
	end compensation.State
}

func (m *matrix) check(t *testing.T, c cell) {
	t.Helper()
	env := m.newEnv(t)
	c.faults(env)
	_ = m.run(env) // any end will do that is sound
	env.RequireSound(m.complete)
	if c.end != "" {
		env.RequireState(c.end)
	}
}

func (m *matrix) cells(i int) []cell {
	st := m.plan[i]
	name := st.Name
	refused, unknown, canceled := compensation.Compensated, compensation.Compensated, compensation.Compensated
	switch {
	case st.Kind == compensation.Retriable:
		refused, unknown, canceled = compensation.Parked, compensation.Running, compensation.Completed
	case st.Kind == compensation.Pivot:
		canceled = compensation.Completed // it is too late
	case st.OnUnknown == compensation.ParkUnknown:
		unknown = compensation.Parked
	}
	cells := []cell{
		{"refused", func(e *Env) { e.Refuse(name) }, refused},
		{"unknown once", func(e *Env) { e.Fail(name, 1) }, compensation.Completed},
		{"unknown once, then refused", func(e *Env) { e.Fail(name, 1); e.Refuse(name) }, refused},
		{"unknown until it is an ordinary activity", func(e *Env) { e.Fail(name, 4) }, compensation.Completed},
		{"unknown for ever", func(e *Env) { e.Fail(name, Forever) }, unknown},
		{"reply lost", func(e *Env) { e.LoseReply(name, 1) }, compensation.Completed},
		{"reply lost, then unknown for ever", func(e *Env) { e.LoseReply(name, 1); e.Fail(name, Forever) }, ""},
		{"every reply lost", func(e *Env) { e.LoseReply(name, Forever) }, ""},
		{"late, then refused", func(e *Env) { e.LateDo(name); e.Refuse(name) }, refused},
		{"late, then unknown for ever", func(e *Env) { e.LateDo(name); e.Fail(name, Forever) }, unknown},
		{"canceled", func(e *Env) { e.CancelAt(name) }, ""}, // express steps may be done before the saga hears of it
		{"canceled at a heartbeat", func(e *Env) { e.CancelAt(name); e.HeartbeatAt(name) }, canceled},
		{"canceled while unknown", func(e *Env) { e.CancelAt(name); e.Fail(name, 4) }, ""},
		{"canceled, and every reply lost", func(e *Env) { e.CancelAt(name); e.LoseReply(name, Forever) }, ""},
		{"canceled through Temporal", func(e *Env) { e.RequestCancelAt(name) }, ""},
		{"refused after a heartbeat", func(e *Env) { e.HeartbeatAt(name); e.Refuse(name) }, refused},
	}
	if st.Kind != compensation.Retriable {
		cells = append(cells, m.undoCells(i)...)
	}
	return slices.Concat(cells, m.crashCells(i), m.resetCells(i))
}

// undoCells are what can go wrong while the step is undone.
func (m *matrix) undoCells(i int) []cell {
	name, back := m.plan[i].Name, m.turnBack(i)
	return []cell{
		{"undo unknown once", func(e *Env) { back(e); e.FailUndo(name, 1) }, compensation.Compensated},
		{"undo unknown until it is an ordinary activity", func(e *Env) { back(e); e.FailUndo(name, 4) }, compensation.Compensated},
		{"undo unknown beyond its limit", func(e *Env) { back(e); e.FailUndo(name, 60) }, compensation.Compensated},
		{"undo unknown for ever", func(e *Env) { back(e); e.FailUndo(name, Forever) }, compensation.Parked},
		{"undo reply lost", func(e *Env) { back(e); e.LoseUndoReply(name, 1) }, compensation.Compensated},
		{"undo refused", func(e *Env) { back(e); e.RefuseUndo(name) }, compensation.Parked},
		{"worker lost at undo", func(e *Env) { back(e); e.CrashAtUndo(name, nil) }, compensation.Compensated},
		{"worker lost at undo, then not refused", func(e *Env) {
			back(e)
			e.CrashAtUndo(name, func() { e.faults = map[faultKey][]fault{} })
		}, ""},
		{"worker lost at undo, then canceled", func(e *Env) {
			back(e)
			e.CrashAtUndo(name, func() { e.CancelBetween() })
		}, compensation.Compensated},
	}
}

// turnBack makes the saga turn back when the step is done, or, for the pivot, when all before it are.
func (m *matrix) turnBack(i int) func(*Env) {
	if m.plan[i].Kind == compensation.Pivot {
		return func(e *Env) { e.Fail(m.plan[i].Name, Forever) }
	}
	for _, st := range m.plan[i+1:] {
		if st.Group != m.plan[i].Group {
			return func(e *Env) { e.Refuse(st.Name) }
		}
	}
	return func(e *Env) { e.CancelAt(m.plan[i].Name); e.HeartbeatAt(m.plan[i].Name) }
}

// resetCells returns resets of the workflow while the step runs, with what the new run may find.
func (m *matrix) resetCells(i int) []cell {
	name := m.plan[i].Name
	cells := []cell{
		{"reset to the first task", func(e *Env) { e.ResetAt(name, 1, nil) }, ""},
		{"reset to the first task, then canceled", func(e *Env) { e.ResetAt(name, 1, func() { e.CancelBetween() }) }, ""},
		{"reset to the second task, then canceled", func(e *Env) { e.ResetAt(name, 2, func() { e.CancelBetween() }) }, ""},
		{"reset to the first task, then refused", func(e *Env) { e.ResetAt(name, 1, func() { e.Refuse(m.plan[0].Name) }) }, ""},
		{"reset when it has ended, then canceled", func(e *Env) { e.ResetAtEnd(1, func() { e.CancelBetween() }) }, ""},
		{"refused, reset when it has ended", func(e *Env) { e.Refuse(name); e.ResetAtEnd(1, func() { e.Mend(name) }) }, ""},
	}
	if m.plan[i].Kind != compensation.Retriable {
		back := m.turnBack(i)
		cells = append(cells, cell{"reset at undo", func(e *Env) {
			back(e)
			e.ResetAtUndo(name, 1, func() { e.faults = map[faultKey][]fault{} })
		}, ""})
	}
	return cells
}

// crashCells are what another worker may find that goes on where one was lost.
func (m *matrix) crashCells(i int) []cell {
	name := m.plan[i].Name
	var cells []cell
	crash := func(suffix string, then func(*Env)) {
		cells = append(cells, cell{"worker lost" + suffix, func(e *Env) { e.CrashAt(name, func() { then(e) }) }, ""})
		if !m.plan[i].Express {
			return // the record has it, so a slow worker could do nothing
		}
		cells = append(cells,
			cell{"worker slow" + suffix, func(e *Env) { e.SlowAt(name, []int{1}, func() { then(e) }) }, ""},
			cell{"worker slower" + suffix, func(e *Env) { e.SlowAt(name, []int{0, 0, 1, 0}, func() { then(e) }) }, ""},
		)
	}
	crash("", func(*Env) {})
	cells = append(cells,
		cell{"worker lost, call in flight", func(e *Env) { e.CrashInFlight(name, nil) }, ""},
		cell{"worker lost, call in flight, then refused", func(e *Env) { e.CrashInFlight(name, func() { e.Refuse(name) }) }, ""},
	)
	if m.plan[i].Express {
		cells = append(cells,
			cell{"worker lost after a heartbeat", func(e *Env) { e.HeartbeatAt(name); e.CrashAt(name, nil) }, ""},
			cell{"worker lost after a heartbeat, call in flight, then refused", func(e *Env) {
				e.HeartbeatAt(name)
				e.CrashInFlight(name, func() { e.Refuse(name) })
			}, ""},
			cell{"worker slow after a heartbeat, then refused", func(e *Env) {
				e.HeartbeatAt(name)
				e.SlowAt(name, []int{1}, func() { e.Refuse(name) })
			}, ""},
		)
	}
	if m.plan[i].Kind != compensation.Retriable {
		cells = append(cells,
			cell{"refused, worker lost, then not refused", func(e *Env) {
				e.Refuse(name)
				e.CrashAt(name, func() { e.Mend(name) })
			}, ""},
			cell{"refused, worker slow, then not refused", func(e *Env) {
				e.Refuse(name)
				e.SlowAt(name, []int{1}, func() { e.Mend(name) })
			}, ""},
			cell{"refused, worker slower, then not refused", func(e *Env) {
				e.Refuse(name)
				e.SlowAt(name, []int{0, 0, 1, 0}, func() { e.Mend(name) })
			}, ""},
		)
	}
	crash(", then canceled", func(e *Env) { e.CancelBetween() })
	for _, st := range m.plan {
		crash(", then "+st.Name+" refused", func(e *Env) { e.Refuse(st.Name) })
	}
	for _, st := range m.plan[:i+1] {
		crash(", then "+st.Name+" unknown for ever", func(e *Env) { e.Fail(st.Name, Forever) })
	}
	return cells
}
