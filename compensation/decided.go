package compensation

import (
	"encoding/json"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/sdk/converter"
)

// acceptedAct is an act with the event that accepted it.
type acceptedAct struct {
	ActRecord

	accepted int64
}

// A decision is the effect of an act on a step or its undo.
type decision struct {
	// accepted is the event that accepted the act.
	accepted int64
	about    activityRef
	before   StepStatus
	// late is the ending of the try that was running when the act came; nil if it has not ended since.
	late *ending
}

// acted records an operator's decision.
func (p *projection) acted(accepted int64, update *updatepb.Input, at time.Time) {
	if _, known := actDescriptions[update.GetName()]; !known {
		return
	}
	r := ActRecord{Name: update.GetName(), At: at}
	if converter.GetDefaultDataConverter().FromPayloads(update.GetArgs(), &r.Act) != nil {
		return // a validator would not have let it pass
	}
	p.acts = append(p.acts, acceptedAct{ActRecord: r, accepted: accepted})
	named := func(st StepStatus) bool { return r.Step == "" || (st.Name == r.Step && st.Item == r.Item) }
	undoing := slices.ContainsFunc(p.status.Steps, func(st StepStatus) bool { return named(st) && st.undoOpen() })
	for i := range p.status.Steps {
		st := &p.status.Steps[i]
		before, undo := *st, st.undoOpen()
		do := !undoing && (st.Do == DoRunning || st.Do == DoRefused || st.Do == DoUnknown)
		switch {
		case !named(*st):
			continue
		case r.Name == UpdateSkip && undo:
			st.Undo = UndoSkipped
		case r.Name == UpdateMarkDone && undo, r.Name == UpdateMarkPrevented && undo && st.Kind == Pivot:
			st.Undo = UndoMarkedDone
		case r.Name == UpdateMarkHappened && undo && st.Kind == Pivot:
			st.Do, st.Undo, st.Result = DoMarkedDone, UndoNone, payloadsOf(r.Result)
		case r.Name == UpdateSkip && do:
			st.Do = DoSkipped
		case r.Name == UpdateMarkDone && do:
			st.Do, st.Result = DoMarkedDone, payloadsOf(r.Result)
		default:
			continue
		}
		p.decisions = append(p.decisions, &decision{
			accepted: accepted, about: activityRef{step: st.Name, item: st.Item, undo: undo}, before: before,
		})
	}
}

// undoOpen reports whether the step's undo has started and is not over.
func (st *StepStatus) undoOpen() bool { return st.Undo == UndoRunning || st.Undo == UndoFailed }

// revoke takes back an act that was accepted but came too late: the running try had settled the matter meanwhile.
func (p *projection) revoke(accepted int64) {
	p.acts = slices.DeleteFunc(p.acts, func(a acceptedAct) bool { return a.accepted == accepted })
	for _, d := range p.decisions {
		if d.accepted != accepted {
			continue
		}
		*p.step(d.about.step, d.about.item) = d.before
		if d.late != nil {
			p.concluded(d.about, *d.late)
		}
	}
}

// payloadsOf returns JSON as a step's result; nil for no value.
func payloadsOf(value json.RawMessage) *commonpb.Payloads {
	if len(value) == 0 {
		return nil
	}
	result, err := converter.GetDefaultDataConverter().ToPayloads(value)
	if err != nil {
		return nil // it was read from a history, so it is JSON
	}
	return result
}

// decided reports whether an operator has settled the step, or its undo.
func (st *StepStatus) decided(undo bool) bool {
	if undo {
		happened := st.Kind == Pivot && st.Do == DoMarkedDone
		return st.Undo == UndoSkipped || st.Undo == UndoMarkedDone || happened
	}
	return st.Do == DoSkipped || st.Do == DoMarkedDone
}
