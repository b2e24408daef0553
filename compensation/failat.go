package compensation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Failure is what a saga does when one of its steps is refused. It is about a saga that runs every step of its plan, each
// once; in JSON its times are Go durations, such as "5m0s".
type Failure struct {
	Saga string `json:"saga"`
	// Step is the one that is refused.
	Step string `json:"step"`
	// Started are the other steps that were started by then: those before it, and those of its group. They are in the
	// order of their start.
	Started []string `json:"started"`
	// Parks tells that the step comes after the pivot: nothing is undone, and the saga waits for an operator.
	Parks bool `json:"parks"`
	// Undo is what runs, in that order, if the saga knows that it has seen everything that happened: it is in the first
	// try of its first workflow task, and the refusal was the answer to the step's first try.
	Undo []UndoInfo `json:"undo"`
	// AtMost is what runs otherwise, in that order: the undo of everything that was started, the step itself included if
	// it may have had its effect, and of every express step before the pivot, seen or not.
	AtMost []UndoInfo `json:"at_most"`
	// Within is the longest time from the saga's start until all of that is undone, or parked because an undo is not done
	// within its limit. It adds up the limits of the steps until the refusal and of AtMost, of a group the longest. Other
	// waits come on top: for a person, a pause that a service asked for, a worker. 0 is no bound, where the saga parks.
	Within time.Duration `json:"-"`
}

// UndoInfo is the undo of a step.
type UndoInfo struct {
	Step string `json:"step"`
	// Fence tells that the step is the pivot. Its undo runs first, and makes sure that it never happens. If it finds that
	// the pivot happened, in a try whose record was lost, the saga goes forward instead.
	Fence bool `json:"fence,omitempty"`
	// Activity is the undo's name.
	Activity string `json:"activity"`
	// Express tells whether it is tried as a local activity first.
	Express bool `json:"express"`
	// Within is the longest time until it is done or parks the saga, with express tries and the wait before them (see
	// [Step.Settle]).
	Within time.Duration `json:"-"`
}

// MarshalJSON implements [json.Marshaler].
func (f Failure) MarshalJSON() ([]byte, error) {
	type plain Failure
	return json.Marshal(struct {
		plain
		Within string `json:"within,omitempty"`
	}{plain(f), orNone(f.Within)})
}

// MarshalJSON implements [json.Marshaler].
func (u UndoInfo) MarshalJSON() ([]byte, error) {
	type plain UndoInfo
	return json.Marshal(struct {
		plain
		Within string `json:"within"`
	}{plain(u), u.Within.String()})
}

// FailAt tells what a saga of the plan does when that step is refused. The error names the steps that there are.
func (p *Plan) FailAt(step string) (Failure, error) {
	i := p.index(step)
	if i < 0 {
		names := make([]string, len(p.steps))
		for i, d := range p.steps {
			names[i] = d.name
		}
		return Failure{}, fmt.Errorf("%s has no step %q; its steps are %s", p.name, step, strings.Join(names, ", "))
	}
	refused := p.steps[i]
	f := Failure{
		Saga: p.name, Step: step, Parks: refused.kind == Retriable,
		Started: []string{}, Undo: []UndoInfo{}, AtMost: []UndoInfo{},
	}
	var started []definition
	for _, d := range p.steps {
		if d.group <= refused.group {
			started = append(started, d)
			if d.name != step {
				f.Started = append(f.Started, d.name)
			}
		}
	}
	if f.Parks {
		return f, nil
	}

	pivot := p.pivot()
	fence := pivot != nil && !pivot.durable
	// A refusal by an ordinary activity is doubtful.
	own := refused.durable && p.since(2)
	f.Undo = p.undos(fence || (own && refused.kind == Pivot), func(d definition) bool {
		return d.group <= refused.group && (d.name != step || own)
	})
	if len(f.Undo) == 1 && f.Undo[0].Fence && refused.kind != Pivot {
		f.Undo = f.Undo[:0] // nothing to undo: no other try can come to harm
	}
	// A durable pivot is fenced only if its own outcome is in doubt.
	f.AtMost = p.undos(fence || refused.kind == Pivot, func(d definition) bool { return d.group <= refused.group || !d.durable })
	f.Within = longest(started) + p.within(f.AtMost)
	return f, nil
}

// undos returns the undos of these compensatable steps, after that of the pivot if it is fenced. At revision 1, the first
// is durable without a fence: the decision to turn back is on record before anything is undone.
func (p *Plan) undos(fence bool, of func(definition) bool) []UndoInfo {
	undos := []UndoInfo{}
	for _, d := range slices.Backward(p.steps) {
		if (d.kind == Pivot && fence) || (d.kind == Compensatable && of(d)) {
			express := !d.durable && (p.since(2) || fence || len(undos) > 0)
			undos = append(undos, UndoInfo{
				Step: d.name, Fence: d.kind == Pivot, Activity: functionName(d.undo),
				Express: express, Within: d.undoWithin(express),
			})
		}
	}
	return undos
}

// within returns the longest time that the undos take: one group after the other, and in a group the express tries one
// after the other, then the rest beside each other.
func (p *Plan) within(undos []UndoInfo) (t time.Duration) {
	slowest := map[int]time.Duration{}
	for _, u := range undos {
		group := p.steps[p.index(u.Step)].group
		limit := u.Within
		if u.Express {
			limit -= ExpressLimit
			t += ExpressLimit
		}
		if !p.since(2) {
			t += limit
			continue
		}
		t += max(limit-slowest[group], 0)
		slowest[group] = max(slowest[group], limit)
	}
	return t
}

// longest is how long the steps, one group after the other, take at most until the outcome of the last is known.
func longest(steps []definition) (t time.Duration) {
	for _, group := range groups(steps) {
		var slowest time.Duration
		for _, d := range group {
			slowest = max(slowest, d.longest())
		}
		t += slowest
	}
	return t
}

// groups are the steps, those together that start together.
func groups(steps []definition) (groups [][]definition) {
	for i, d := range steps {
		if i == 0 || d.group != steps[i-1].group {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], d)
	}
	return groups
}

// longest is how long the step takes at most until its outcome is known, or counts as unknown.
func (d definition) longest() time.Duration {
	t := d.limit
	if !d.durable {
		t += ExpressLimit
	}
	if d.onUnknown == ProbeUnknown {
		t += d.probeOptions(Key{}).ScheduleToCloseTimeout
	}
	return t
}
