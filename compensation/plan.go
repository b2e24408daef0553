package compensation

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Plan is the ordered list of a saga's steps, known before the saga runs. It is immutable.
type Plan struct {
	name     string
	steps    []definition
	deadline time.Duration
	// revision is the engine's revision.
	revision      int
	pivotRequired bool
}

// Revision is the engine's revision. A history is replayed by the rules of the revision that wrote it, see
// [Plan.AtRevision]:
//
//   - 1: as it was before there were revisions.
//   - 2: a refusal counts as definite only if its step ran whole in the first try of the first task; a saga turns back
//     until its pivot is really called, and looks before that; decisions are on record before anything is done because of
//     them; what only another try may have done is undone last; undos that do not wait for each other run concurrently.
const Revision = 2

// AnyStep is a [Step] of any types, or several that [Parallel] puts beside each other.
type AnyStep interface{ definitions() []definition }

type parallel []definition

func (p parallel) definitions() []definition { return p }

// Parallel says that these steps start together. They are undone in reverse of the order given here.
func Parallel(steps ...AnyStep) AnyStep {
	var p parallel
	for _, st := range steps {
		p = append(p, st.definitions()...)
	}
	return p
}

// NewPlan checks the steps, in the order in which a saga without failure starts them. It refuses, and names every fault:
// an empty plan; a name that is missing, malformed or used twice; two functions of one name; a step without Do; a
// compensatable step or a pivot without Undo; a retriable step with Undo or Limit; two pivots; a compensatable step after
// the pivot; a retriable step before it, or without one; other steps beside the pivot; a negative limit; an OnUnknown or
// a Settle that does not fit.
func NewPlan(name string, steps ...AnyStep) (*Plan, error) {
	p := &Plan{name: name, revision: Revision}
	var errs []error
	if len(steps) == 0 {
		errs = append(errs, errors.New("no steps"))
	}
	pivot := ""
	for group, st := range steps {
		members := st.definitions()
		if len(members) == 0 {
			errs = append(errs, errors.New("a Parallel has no steps"))
		}
		for _, d := range members {
			if p.has(d.name) {
				errs = append(errs, fmt.Errorf("step %s: the name is used twice", d.name))
			}
			errs = append(errs, d.check(), d.checkPlace(pivot))
			if d.kind == Pivot && len(members) > 1 {
				errs = append(errs, fmt.Errorf("step %s: is a pivot beside other steps, which might still turn the saga back", d.name))
			}
			if d.kind == Pivot && pivot == "" {
				pivot = d.name
			}
			d.group = group
			p.steps = append(p.steps, d.withDefaults())
		}
	}
	if err := errors.Join(append(errs, p.checkNames()...)...); err != nil {
		return nil, fmt.Errorf("plan %s: %w", name, err)
	}
	p.nameUndos()
	return p, nil
}

// checkNames finds functions that a worker could not tell apart: the last part of a function's name is the name of its
// activity.
func (p *Plan) checkNames() (errs []error) {
	known := map[string]string{}
	for _, d := range p.steps {
		for _, f := range []any{d.do, d.undo, d.probe} {
			if f == nil {
				continue
			}
			name, whole := functionName(f), wholeName(f)
			if other, twice := known[name]; twice && other != whole {
				errs = append(errs, fmt.Errorf("step %s: its activity %s is %s, and another step's is %s: a worker has one activity of a name, so rename one of the two",
					d.name, name, whole, other))
			}
			known[name] = whole
		}
	}
	return errs
}

// nameUndos finds words for what each undo does: its function's name, which is the effect's, unless several steps
// share a function.
func (p *Plan) nameUndos() {
	uses := map[string]int{}
	for _, d := range p.steps {
		if d.undo != nil {
			uses[functionName(d.undo)]++
		}
	}
	for i := range p.steps {
		d := &p.steps[i]
		if d.undo == nil {
			continue
		}
		d.undoSummary = "UNDO " + words(d.name)
		if name := functionName(d.undo); uses[name] == 1 {
			d.undoSummary = "UNDO " + words(name)
		}
	}
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

// WithDeadline returns the plan with a soft deadline, counted from the saga's start; 0 is no deadline. A saga that is not
// done by then turns back, or, after its pivot, parks. Nothing is ever cut off. Temporal shortens any wait longer than
// [MaxWait].
func (p *Plan) WithDeadline(d time.Duration) *Plan {
	q := *p
	q.deadline = max(d, 0)
	return &q
}

// RequirePivot returns the plan with the promise that no saga of it completes without its pivot. If the body returns
// without an error and the pivot is not done, [Run] panics, which fails the workflow task until corrected code is
// deployed.
//
// A saga that has fenced its pivot then knows that no other try of it can complete, and undoes its steps at once. Without
// the promise, it first puts on record that it turns back, which costs a workflow task.
func (p *Plan) RequirePivot() *Plan {
	q := *p
	q.pivotRequired = p.pivot() != nil
	return &q
}

// AtRevision returns the plan with the rules of that revision of the engine, so that sagas that began before the engine
// was changed go on, and replay. Keep the revision that a saga began with in its input. A 0 there, for sagas that began
// before this function was used, is revision 1. It panics for an unknown revision.
func (p *Plan) AtRevision(revision int) *Plan {
	if revision < 0 || revision > Revision {
		panic(fmt.Sprintf("compensation: plan %s: the engine has no revision %d; its newest is %d", p.name, revision, Revision))
	}
	q := *p
	q.revision = max(revision, 1)
	return &q
}

// since reports whether sagas of the plan run by the rules of that revision or a later one.
func (p *Plan) since(revision int) bool { //nolint:unparam // there will be later ones
	return p.revision >= revision
}

// Durable returns the plan with every step durable: each step and each undo is an ordinary activity, as in sagas that
// were started before there were express steps.
func (p *Plan) Durable() *Plan {
	q := *p
	q.steps = slices.Clone(p.steps)
	for i := range q.steps {
		q.steps[i].durable = true
	}
	return &q
}

func (p *Plan) hasExpress() bool {
	return slices.ContainsFunc(p.steps, func(d definition) bool { return !d.durable })
}

// pivot is the plan's pivot, nil if it has none.
func (p *Plan) pivot() *definition {
	for i := range p.steps {
		if p.steps[i].kind == Pivot {
			return &p.steps[i]
		}
	}
	return nil
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
	fault(d.undoLimit < 0, "UndoLimit is negative")
	fault(d.settleFault() != "", d.settleFault())
	fault(d.retryFault() != "", d.retryFault())
	fault(d.onUnknown == ProbeUnknown && d.probe == nil, "has OnUnknown probe but no Probe")
	fault(d.onUnknown != ProbeUnknown && d.probe != nil, "has a Probe that its OnUnknown does not ask")
	fault(d.onUnknown < UndoUnknown || d.onUnknown > ParkUnknown, "has unknown "+d.onUnknown.String())
	fault(d.onUnknown != UndoUnknown && d.kind != Compensatable, "is not compensatable, so it has no OnUnknown")
	switch d.kind {
	case Compensatable:
		fault(d.undo == nil, "is compensatable but has no Undo")
	case Pivot:
		fault(d.undo == nil, "is the pivot but has no Undo: it must make sure that the pivot never happens, or say that it did")
	case Retriable:
		fault(d.undo != nil, "is retriable, so its Undo would never be called")
		fault(d.limit != 0, "is retriable: it is tried until it is done, so it has no Limit")
		fault(d.undoLimit != 0, "is retriable, so it has no UndoLimit")
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
