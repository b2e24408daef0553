package compensation

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// The updates with which an operator settles what is parked. Each takes an [Act] and returns the [State] that follows.
// One that does not fit is rejected with [ErrTypeActRefused], one that says too little or something impossible with
// [ErrTypeActInvalid]; neither leaves a trace.
const (
	// UpdateRetry tries again, with the same input.
	UpdateRetry = "retry"
	// UpdateRetryWithInput tries a retriable step again with Act.Input in place of its input.
	UpdateRetryWithInput = "retry-with-input"
	// UpdateSkip goes on without: an undo leaves its effect standing, and the saga ends as compensated with exceptions; a
	// step after the pivot counts as done, with the zero result.
	UpdateSkip = "skip"
	// UpdateMarkDone goes on because somebody did it by hand; Act.Reference says where that is written down.
	UpdateMarkDone = "mark-done"
	// UpdateMarkHappened records that a pivot whose undo is parked happened: nothing is undone, and the saga goes
	// forward. Act.Reference names the record of that, Act.Result holds what the pivot returned.
	UpdateMarkHappened = "mark-happened"
	// UpdateMarkPrevented records that a pivot whose undo is parked has not happened and never will: the saga undoes its
	// steps. Act.Reference names the record of that.
	UpdateMarkPrevented = "mark-prevented"
	// UpdateCompensate turns a saga back that is parked before its pivot.
	UpdateCompensate = "compensate"
	// UpdateExtendDeadline gives a saga with a deadline until Act.Deadline.
	UpdateExtendDeadline = "extend-deadline"
)

// MaxWait is the longest timer that Temporal keeps, a hundred years. It silently shortens longer ones to this
// (go.temporal.io/server, common/primitives/timestamp).
const MaxWait = 100 * 365 * 24 * time.Hour

// Act is what an operator decides about a saga. It stays in the saga's history.
type Act struct {
	// Step is what the act is about, and Item which of its repeats. Both may be left out where only one step is parked.
	Step string `json:"step,omitempty"`
	Item string `json:"item,omitempty"`
	// By is who decides. Required.
	By string `json:"by"`
	// Reason is why. Required for every act but a retry.
	Reason string `json:"reason,omitempty"`
	// Reference names the record of something done by hand, such as a ticket. Required for every act that marks.
	Reference string `json:"reference,omitempty"`
	// Input is the new input of a retry, as JSON. Unknown fields are refused, and what its type's own Validate refuses.
	Input json.RawMessage `json:"input,omitempty"`
	// Result is the result of a step that is marked done, as JSON. Without it, the workflow gets the zero result.
	Result json.RawMessage `json:"result,omitempty"`
	// Deadline is the new deadline.
	Deadline time.Time `json:"deadline,omitzero"`
	// IfActs is the number of acts that the saga must have taken so far, or else it refuses the act with
	// [ErrTypeActStale]. When several people decide about the same state of a saga, one act is taken. Nil sets no
	// condition.
	IfActs *int `json:"if_acts,omitempty"`
}

// ActRecord is an act that was accepted.
type ActRecord struct {
	// Name is the update's.
	Name string `json:"name"`
	Act
	At time.Time `json:"at"`
}

// marks are the acts that need a reference.
var marks = map[string]bool{UpdateMarkDone: true, UpdateMarkHappened: true, UpdateMarkPrevented: true}

var actDescriptions = map[string]string{
	UpdateRetry:          "Tries what is parked again.",
	UpdateRetryWithInput: "Tries a parked step after the pivot again, with another input.",
	UpdateSkip:           "Goes on without what is parked. An undo that is skipped leaves its effect standing.",
	UpdateMarkDone:       "Goes on because what is parked was done by hand.",
	UpdateMarkHappened:   "Goes forward because the pivot, whose undo is parked, happened. Nothing is undone.",
	UpdateMarkPrevented:  "Undoes everything because the pivot, whose undo is parked, has not happened and never will.",
	UpdateCompensate:     "Turns back a saga that is parked before its pivot.",
	UpdateExtendDeadline: "Gives the saga until another deadline.",
}

func (s *saga) handleActs(ctx workflow.Context) error {
	for _, name := range workflow.DeterministicKeys(actDescriptions) {
		err := workflow.SetUpdateHandlerWithOptions(workflow.WithValue(ctx, engineKey{}, true), name,
			func(ctx workflow.Context, a Act) (State, error) { return s.act(ctx, name, a) },
			workflow.UpdateHandlerOptions{
				Description: actDescriptions[name],
				Validator: func(ctx workflow.Context, a Act) error {
					if err := s.refuseStale(name, a); err != nil {
						return err
					}
					if err := s.refuseAct(ctx, name, a); err != nil {
						return actFailure(name, err)
					}
					if name == UpdateExtendDeadline && a.Deadline.Equal(s.deadline.at) {
						return s.unchanged("the saga has this deadline already", ErrTypeUnchanged)
					}
					return nil
				},
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// invalidAct is what is wrong with what an act says, wherever the saga stands.
type invalidAct struct{ error }

// actFailure is the rejection of an act.
func actFailure(name string, err error) error {
	kind := ErrTypeActRefused
	if errors.As(err, new(invalidAct)) {
		kind = ErrTypeActInvalid
	}
	return temporal.NewApplicationErrorWithOptions(name+": "+err.Error(), kind,
		temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})
}

// act carries out an act that the validator has passed.
func (s *saga) act(ctx workflow.Context, name string, a Act) (_ State, err error) {
	s.taken++
	defer func() {
		if err != nil {
			s.taken--
		}
	}()
	r := ActRecord{Name: name, Act: a, At: workflow.Now(ctx)}
	if name == UpdateExtendDeadline {
		s.acts = append(s.acts, r)
		s.extend(ctx, a.Deadline)
		return s.shown(), nil
	}
	item, err := s.parkedItem(a)
	if err != nil {
		return "", actFailure(name, err)
	}
	op := &operation{name: name, Act: a}
	if name == UpdateRetryWithInput {
		if op.input, err = item.execution.readIn(a.Input); err != nil {
			return "", actFailure(name, invalidAct{fmt.Errorf("input: %w", err)})
		}
	}
	item.act, op.record = op, r
	wait(ctx, func() bool { return op.answered })
	if op.err != nil {
		return "", op.err
	}
	return s.shown(), nil
}

// extend replaces the deadline, and takes back what the old one has parked.
func (s *saga) extend(ctx workflow.Context, at time.Time) {
	s.setDeadline(ctx, at)
	for _, item := range slices.Clone(s.parked) {
		if item.late {
			s.unpark(ctx, item)
		}
	}
}

// refuseAct finds what is wrong with an act, in words for the operator.
func (s *saga) refuseAct(ctx workflow.Context, name string, a Act) error {
	switch {
	case strings.TrimSpace(a.By) == "":
		return invalidAct{errors.New("by is missing: say who you are")}
	case strings.TrimSpace(a.Reason) == "" && name != UpdateRetry:
		return invalidAct{errors.New("reason is missing: say why")}
	case strings.TrimSpace(a.Reference) == "" && marks[name]:
		return invalidAct{errors.New("reference is missing: say where it is written down that this was done by hand, such as a ticket")}
	}
	if name == UpdateExtendDeadline {
		return s.refuseExtension(ctx, a)
	}
	item, err := s.parkedItem(a)
	if err != nil {
		return err
	}
	return s.refuseFor(item, name, a)
}

func (s *saga) refuseExtension(ctx workflow.Context, a Act) error {
	switch {
	case s.deadline.at.IsZero():
		return errors.New("the saga has no deadline")
	case s.state == Completed:
		return errors.New("the saga has completed")
	case s.state != Running || s.reversal != nil:
		return errors.New("the saga has turned back already")
	case !a.Deadline.After(workflow.Now(ctx)):
		return invalidAct{fmt.Errorf("deadline %s is not in the future", a.Deadline.UTC().Format(time.RFC3339))}
	case a.Deadline.After(workflow.Now(ctx).Add(MaxWait)):
		return invalidAct{fmt.Errorf("deadline %s is too far away: the latest that Temporal keeps is %s",
			a.Deadline.UTC().Format(time.RFC3339), workflow.Now(ctx).Add(MaxWait).UTC().Format(time.RFC3339))}
	}
	return nil
}

// refuseFor finds what is wrong with an act about what is parked.
func (s *saga) refuseFor(item *parked, name string, a Act) error {
	e := item.execution
	if item.part == PartSaga {
		if only := item.onlyAct(); name != only {
			return fmt.Errorf("the saga itself is parked and not a step of it: %s is all that can be done", only)
		}
		return nil
	}
	beforePivot := e.kind == Compensatable && item.part == PartDo && !s.forward
	fence := e.kind == Pivot && item.part == PartUndo
	switch name {
	case UpdateMarkHappened, UpdateMarkPrevented:
		if !fence {
			return fmt.Errorf("%s is not what a pivot's undo could not find out: mark it done", item.label())
		}
		if len(a.Result) > 0 && name == UpdateMarkPrevented {
			return invalidAct{errors.New("result: what did not happen has none")}
		}
		if err := e.checkResult(a.Result); err != nil {
			return err
		}
	case UpdateRetryWithInput:
		if item.part == PartUndo || e.kind != Retriable {
			return fmt.Errorf("%s is not a retriable step, so what it was asked for is fixed", item.label())
		}
		if err := e.checkIn(a.Input); err != nil {
			return invalidAct{fmt.Errorf("input: %w", err)}
		}
	case UpdateSkip:
		if fence {
			return s.whichWay(item)
		}
		if beforePivot {
			return fmt.Errorf("nothing that %s may have done would be undone: compensate, or mark it done", item.label())
		}
		if item.part == PartDo && e.kind == Pivot {
			return fmt.Errorf("%s has happened: mark it done", item.label())
		}
	case UpdateMarkDone:
		if fence {
			return s.whichWay(item)
		}
		if len(a.Result) > 0 && item.part == PartUndo {
			return invalidAct{errors.New("result: an undo has none")}
		}
		if err := e.checkResult(a.Result); err != nil {
			return err
		}
	case UpdateCompensate:
		if !beforePivot {
			return errors.New("the saga is past its pivot, or on its way back already")
		}
	}
	return nil
}

// whichWay asks the operator to settle the pivot: the saga goes forward after one of the two acts, and back after the
// other.
func (s *saga) whichWay(item *parked) error {
	return fmt.Errorf("nobody knows whether %s happened, and everything depends on it: ask its service, then say %s or %s",
		item.execution.name, UpdateMarkHappened, UpdateMarkPrevented)
}

// checkResult reports why an operator's result is invalid. An empty one is valid.
func (e *execution) checkResult(text json.RawMessage) error {
	if len(text) == 0 {
		return nil
	}
	if err := e.checkOut(text); err != nil {
		return invalidAct{fmt.Errorf("result: %w", err)}
	}
	return nil
}

// parkedItem is what the act is about.
func (s *saga) parkedItem(a Act) (*parked, error) {
	var steps []string
	var found []*parked
	for _, p := range s.parked {
		if p.part == PartSaga && (a.Step != "" || p.late) {
			continue // the deadline is extended, not retried
		}
		steps = append(steps, p.label())
		if a.Step == "" || (p.execution != nil && p.execution.key.Step == a.Step && p.execution.key.Item == a.Item) {
			found = append(found, p)
		}
	}
	switch {
	case len(steps) == 0:
		return nil, fmt.Errorf("no step of the saga is parked; the saga is %s", s.shown())
	case len(found) == 0:
		return nil, fmt.Errorf("%s is not parked; parked is %s", Key{Step: a.Step, Item: a.Item}.label(), strings.Join(steps, ", "))
	case len(found) > 1:
		return nil, fmt.Errorf("step is missing: parked are %s", strings.Join(steps, ", "))
	case found[0].act != nil:
		return nil, fmt.Errorf("%s is being settled by %s already", found[0].label(), found[0].act.By)
	}
	return found[0], nil
}

// onlyAct is the one act that moves a saga that is parked as a whole.
func (p *parked) onlyAct() string {
	if p.byHand {
		return UpdateMarkDone
	}
	return UpdateRetry
}

func (p *parked) label() string {
	switch {
	case p.execution == nil:
		return "the saga"
	case p.part == PartUndo:
		return "the undo of " + p.execution.key.label()
	default:
		return p.execution.key.label()
	}
}
