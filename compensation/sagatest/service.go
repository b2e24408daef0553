package sagatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
)

// What the fakes answer.
const (
	// RefusalCode and RefusalText are in the refusals that [Env.Refuse] asks for.
	RefusalCode = "refused_by_test"
	RefusalText = "not today"
	// ErrTypeKeyReused is the type of the failure of a do whose key was done with another input.
	ErrTypeKeyReused = "KeyReused"
	// ErrTypeUndoRefused is the type of the failure of a pivot's undo that was told to refuse.
	ErrTypeUndoRefused = "UndoRefused"
	// ErrTypeGarbled is the type of the failure that [Env.Garble] causes.
	ErrTypeGarbled = "Garbled"
)

// errNoAnswer is what a call comes to that nobody answers.
var errNoAnswer = errors.New("connection reset")

// services are the participants. They keep the step contract: do once, undo by key, a do after the undo is refused.
type services struct {
	mu   sync.Mutex
	rows map[compensation.Key]*row
	// keys are those of rows, in the order of their first effect.
	keys []compensation.Key
	// answers make the results, by step.
	answers map[string]func(in reflect.Value) reflect.Value
	// late are the dos that are still on their way.
	late []lateDo
}

// row is what a service knows of a key.
type row struct {
	in     []byte
	out    reflect.Value
	done   bool
	undone bool
}

// lateDo is a do that nobody waits for any more.
type lateDo struct {
	activity compensation.Activity
	key      compensation.Key
	in       reflect.Value
	// lands is the time at which it arrives; 0 for one that arrives after the step's undo or when the saga has ended.
	lands time.Duration
}

// order is one call of a fake: what to do, and what became of it.
type order struct {
	activity compensation.Activity
	pivot    bool
	attempt  int
	fault    faultKind
	// endless tells that all calls to come have the same fault.
	endless bool
	// outOfTime marks a call that takes longer than a try may take. Then lands is when it arrives.
	outOfTime bool
	lands     time.Duration

	out    reflect.Value
	err    error
	effect bool
}

// makeFake makes a function of the activity's type that gives its arguments to serve.
func makeFake(f any, serve func(key compensation.Key, in reflect.Value) (reflect.Value, error)) any {
	t := reflect.TypeOf(f)
	return reflect.MakeFunc(t, func(args []reflect.Value) []reflect.Value {
		var in reflect.Value
		if len(args) > 2 {
			in = args[2]
		}
		var key compensation.Key
		reflect.ValueOf(&key).Elem().Set(args[1])
		out, err := serve(key, in)
		results := make([]reflect.Value, t.NumOut())
		for i := range results {
			results[i] = reflect.Zero(t.Out(i))
		}
		if err != nil {
			results[len(results)-1] = reflect.ValueOf(&err).Elem()
		} else if len(results) > 1 && out.IsValid() {
			results[0] = out
		}
		return results
	}).Interface()
}

// resultType is the type of the activity's result; nil if it has none.
func resultType(f any) reflect.Type {
	if t := reflect.TypeOf(f); t.NumOut() > 1 {
		return t.Out(0)
	}
	return nil
}

// serve answers a call.
func (s *services) serve(o *order, key compensation.Key, in reflect.Value) (reflect.Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch o.fault {
	case faultFail:
		o.err = errNoAnswer
	case faultLate, faultOutOfTime:
		switch {
		case o.activity.Part == compensation.PartDo:
			s.late = append(s.late, lateDo{o.activity, key, in, o.lands})
		case o.fault == faultOutOfTime:
			_, _ = s.answer(o, key, in) // nobody waits for the answer
		}
		o.err = errNoAnswer
		if o.fault == faultOutOfTime {
			o.err = temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil)
		}
	case faultNone, faultLoseReply, faultRefuse, faultGarble:
		o.out, o.err = s.answer(o, key, in)
		switch o.fault {
		case faultLoseReply:
			o.err = errNoAnswer
		case faultGarble:
			o.err = temporal.NewNonRetryableApplicationError("not found", ErrTypeGarbled, nil)
		case faultNone, faultFail, faultLate, faultRefuse, faultOutOfTime:
		}
	}
	return o.out, o.err
}

func (s *services) answer(o *order, key compensation.Key, in reflect.Value) (reflect.Value, error) {
	r := s.row(key)
	switch o.activity.Part {
	case compensation.PartDo:
		if o.fault == faultRefuse && !r.done && !r.undone {
			return reflect.Value{}, refusal(RefusalCode, RefusalText, o.attempt)
		}
		return s.do(o, key, in)
	case compensation.PartUndo:
		if o.fault == faultRefuse && o.pivot && !r.undone {
			return reflect.Value{}, temporal.NewNonRetryableApplicationError(RefusalText, ErrTypeUndoRefused, nil)
		}
		if o.fault == faultRefuse && r.done && !r.undone {
			return reflect.Value{}, compensation.Irreversible(RefusalText, nil)
		}
		return reflect.Value{}, s.undo(o, key)
	case compensation.PartProbe:
		if r.done && !r.undone {
			return r.out, nil
		}
		return reflect.Value{}, temporal.NewNonRetryableApplicationError("not done", "NotDone", nil)
	case compensation.PartSaga: // has no activity
	}
	panic("sagatest: an activity for part " + string(o.activity.Part))
}

func (s *services) do(o *order, key compensation.Key, in reflect.Value) (reflect.Value, error) {
	text, err := json.Marshal(in.Interface())
	if err != nil {
		return reflect.Value{}, fmt.Errorf("input of %s: %w", key, err)
	}
	r := s.row(key)
	switch {
	case r.undone:
		return reflect.Value{}, refusal("undone", "it was undone", o.attempt)
	case r.done && !bytes.Equal(r.in, text):
		return reflect.Value{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("%s was done with %s, not with %s", key, r.in, text), ErrTypeKeyReused, nil)
	case r.done:
		return r.out, nil
	}
	out := reflect.Zero(resultType(o.activity.Func))
	if answer := s.answers[key.Step]; answer != nil {
		out = answer(in)
	}
	r.done, r.in, r.out, o.effect = true, text, out, true
	s.keys = append(s.keys, key)
	return out, nil
}

func (s *services) undo(o *order, key compensation.Key) error {
	r := s.row(key)
	if o.pivot && r.done {
		return compensation.Irreversible("it happened", nil)
	}
	o.effect = r.done && !r.undone
	r.undone = true
	s.land(func(l lateDo) bool { return l.key == key })
	return nil
}

// land lets those dos arrive that were on their way.
func (s *services) land(which func(lateDo) bool) {
	var arriving []lateDo
	s.late = slices.DeleteFunc(s.late, func(l lateDo) bool {
		if which(l) {
			arriving = append(arriving, l)
		}
		return which(l)
	})
	for _, l := range arriving {
		_, _ = s.do(&order{activity: l.activity, attempt: 1}, l.key, l.in) // nobody waits for the answer
	}
}

func (s *services) row(key compensation.Key) *row {
	if s.rows[key] == nil {
		s.rows[key] = &row{}
	}
	return s.rows[key]
}

// standing are the keys whose effect stands, in the order in which they were done.
func (s *services) standing() []compensation.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.keys), func(k compensation.Key) bool { return s.rows[k].undone })
}

// refusal is what [compensation.Refuse] makes, of that attempt.
func refusal(code, message string, attempt int) error {
	return temporal.NewApplicationErrorWithOptions(message, compensation.ErrTypeRefused, temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Category:     temporal.ApplicationErrorCategoryBenign,
		Details:      []any{compensation.Refusal{Code: code, Attempt: int32(attempt)}},
	})
}

// label is the key without its saga.
func label(k compensation.Key) string { return strings.TrimPrefix(k.String(), k.Saga+":") }
