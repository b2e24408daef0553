package compensation

import (
	"errors"
	"fmt"
	"slices"
)

// Plan is the ordered list of a saga's steps, known before the saga runs. It is immutable.
type Plan struct {
	name  string
	steps []definition
}

// AnyStep is a [Step] of any types. Only Step implements it.
type AnyStep interface{ definition() definition }

// NewPlan checks the steps, in the order in which a saga without failure starts them. It refuses, with every fault
// named: an empty plan; a name that is missing, malformed or used twice; a step without Do; a compensatable step or a pivot without
// Undo; a retriable step with Undo or Limit; two pivots; a compensatable step after the pivot; a retriable step
// before it, or without one; a negative limit.
func NewPlan(name string, steps ...AnyStep) (*Plan, error) {
	p := &Plan{name: name}
	var errs []error
	if len(steps) == 0 {
		errs = append(errs, errors.New("no steps"))
	}
	pivot := ""
	for _, st := range steps {
		d := st.definition()
		if p.has(d.name) {
			errs = append(errs, fmt.Errorf("step %s: the name is used twice", d.name))
		}
		errs = append(errs, d.check(), d.checkPlace(pivot))
		if d.kind == Pivot && pivot == "" {
			pivot = d.name
		}
		p.steps = append(p.steps, d.withDefaults())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("plan %s: %w", name, err)
	}
	return p, nil
}

// MustPlan is [NewPlan] for plans at package level: it panics where NewPlan returns an error.
func MustPlan(name string, steps ...AnyStep) *Plan {
	p, err := NewPlan(name, steps...)
	if err != nil {
		panic("compensation: " + err.Error())
	}
	return p
}

// Name is the saga's type, by convention the workflow's.
func (p *Plan) Name() string { return p.name }

// StepInfo describes a step of a plan.
type StepInfo struct {
	Name string
	Kind Kind
}

// Steps lists the plan's steps in order.
func (p *Plan) Steps() []StepInfo {
	infos := make([]StepInfo, len(p.steps))
	for i, d := range p.steps {
		infos[i] = StepInfo{Name: d.name, Kind: d.kind}
	}
	return infos
}

func (p *Plan) index(step string) int {
	return slices.IndexFunc(p.steps, func(d definition) bool { return d.name == step })
}

func (p *Plan) has(step string) bool { return p.index(step) >= 0 }

// check finds faults of the step by itself.
func (d definition) check() error {
	var errs []error
	fault := func(bad bool, text string) {
		if bad {
			errs = append(errs, fmt.Errorf("step %s: %s", d.name, text))
		}
	}
	fault(!stepName.MatchString(d.name), "a name is a capital letter, then letters and digits, at most 64")
	fault(d.do == nil, "has no Do")
	fault(d.attemptTimeout < 0, "AttemptTimeout is negative")
	fault(d.limit < 0, "Limit is negative")
	switch d.kind {
	case Compensatable:
		fault(d.undo == nil, "is compensatable but has no Undo")
	case Pivot:
		fault(d.undo == nil, "is the pivot but has no Undo: it must make sure that the pivot never happens, or say that it did")
	case Retriable:
		fault(d.undo != nil, "is retriable, so its Undo would never be called")
		fault(d.limit != 0, "is retriable: it is tried until it is done, so it has no Limit")
		fault(d.retry.MaximumAttempts != 0, "is retriable: it is tried until it is done, so it has no MaximumAttempts")
	default:
		fault(true, "has unknown kind "+d.kind.String())
	}
	return errors.Join(errs...)
}

// checkPlace finds faults of the step's place, behind the pivot of that name ("" for none so far).
func (d definition) checkPlace(pivot string) error {
	switch {
	case d.kind == Compensatable && pivot != "":
		return fmt.Errorf("step %s: is compensatable but comes after the pivot %s, when nothing is undone any more", d.name, pivot)
	case d.kind == Pivot && pivot != "":
		return fmt.Errorf("step %s: is a second pivot after %s", d.name, pivot)
	case d.kind == Retriable && pivot == "":
		return fmt.Errorf("step %s: is retriable but comes before the pivot, when the saga may still turn back", d.name)
	}
	return nil
}
