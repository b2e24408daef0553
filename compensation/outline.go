package compensation

import (
	"encoding/json"
	"strings"
	"time"
)

// StepInfo describes a step of a plan. In JSON its times are Go durations, such as "5m0s".
type StepInfo struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Group is the step's place in the plan, counted from 1. Steps of one group start together.
	Group int `json:"group"`
	// Express tells whether the step and its undo are tried as local activities first. A repeat for an item never is.
	Express bool `json:"express"`
	// Participant is the type that has Do as its method, such as "Inventory"; empty if Do is a function.
	Participant string `json:"participant,omitempty"`
	// Do, Undo and Probe are the names of the activities; empty for what the step does not have.
	Do    string `json:"do"`
	Undo  string `json:"undo,omitempty"`
	Probe string `json:"probe,omitempty"`
	// OnUnknown means something for compensatable steps only, and is in their JSON only.
	OnUnknown OnUnknown `json:"-"`
	// AttemptTimeout bounds one try.
	AttemptTimeout time.Duration `json:"-"`
	// Limit bounds all durable tries of Do together; 0 is no bound.
	Limit time.Duration `json:"-"`
	// MaximumAttempts bounds their number; 0 is no bound.
	MaximumAttempts int32 `json:"maximum_attempts,omitempty"`
	// UndoLimit is when a durable undo that does not succeed parks the saga; 0 where there is no undo.
	UndoLimit time.Duration `json:"-"`
	// Settle is the wait of the undo after the last try of Do; 0 if it does not wait.
	Settle time.Duration `json:"-"`
}

// MarshalJSON implements [json.Marshaler].
func (i StepInfo) MarshalJSON() ([]byte, error) {
	type plain StepInfo
	out := struct {
		plain
		OnUnknown      string `json:"on_unknown,omitempty"`
		AttemptTimeout string `json:"attempt_timeout"`
		Limit          string `json:"limit,omitempty"`
		UndoLimit      string `json:"undo_limit,omitempty"`
		Settle         string `json:"settle,omitempty"`
	}{plain: plain(i), AttemptTimeout: i.AttemptTimeout.String(), Limit: orNone(i.Limit), UndoLimit: orNone(i.UndoLimit), Settle: orNone(i.Settle)}
	if i.Kind == Compensatable {
		out.OnUnknown = i.OnUnknown.String()
	}
	return json.Marshal(out)
}

// orNone is d as text; empty for 0.
func orNone(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// receiverName is the type that a method value was taken from; empty for other functions.
func receiverName(f any) string {
	name, isMethod := strings.CutSuffix(wholeName(f), "-fm")
	if !isMethod {
		return ""
	}
	// Such as "example.com/shop/activities.(*Inventory).ReserveStock".
	name = name[:strings.LastIndexByte(name, '.')]
	return strings.Trim(name[strings.LastIndexByte(name, '.')+1:], "(*)")
}

// Steps are the plan's steps, in the order in which a saga without failure starts them.
func (p *Plan) Steps() []StepInfo {
	steps := make([]StepInfo, len(p.steps))
	for i, d := range p.steps {
		steps[i] = StepInfo{
			Name: d.name, Kind: d.kind, Group: d.group + 1, Express: !d.durable, OnUnknown: d.onUnknown,
			Participant: receiverName(d.do), Do: functionName(d.do),
			AttemptTimeout: d.attemptTimeout, Limit: d.limit, MaximumAttempts: d.retry.MaximumAttempts, UndoLimit: d.undoLimit, Settle: d.settle,
		}
		if d.undo != nil {
			steps[i].Undo = functionName(d.undo)
		}
		if d.probe != nil {
			steps[i].Probe = functionName(d.probe)
		}
	}
	return steps
}

// Pivot is the name of the plan's pivot; empty if it has none.
func (p *Plan) Pivot() string {
	if d := p.pivot(); d != nil {
		return d.name
	}
	return ""
}

// Deadline is the plan's soft deadline, counted from the saga's start; 0 is none.
func (p *Plan) Deadline() time.Duration { return p.deadline }

// MarshalJSON implements [json.Marshaler]: the saga's name, its pivot and deadline if it has them, and its steps.
func (p *Plan) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Saga     string     `json:"saga"`
		Pivot    string     `json:"pivot,omitempty"`
		Deadline string     `json:"deadline,omitempty"`
		Steps    []StepInfo `json:"steps"`
	}{p.name, p.Pivot(), orNone(p.deadline), p.Steps()})
}

// PartProbe is a step's Probe.
const PartProbe Part = "probe"

// Activity is a function that a step runs as an activity.
type Activity struct {
	Step string
	// Part is PartDo, PartUndo or PartProbe.
	Part Part
	// Name is the name under which a worker must have the function.
	Name string
	// Func is what the step was given: a function or a method value. The receiver of a method value may be nil.
	Func any
}

// Activities are the functions that sagas of the plan run, step by step. They are for tests and tools, such as one that
// registers a fake for each of them. Steps may share a function.
func (p *Plan) Activities() []Activity {
	var activities []Activity
	for _, d := range p.steps {
		for _, a := range []Activity{{Part: PartDo, Func: d.do}, {Part: PartUndo, Func: d.undo}, {Part: PartProbe, Func: d.probe}} {
			if a.Func != nil {
				a.Step, a.Name = d.name, functionName(a.Func)
				activities = append(activities, a)
			}
		}
	}
	return activities
}
