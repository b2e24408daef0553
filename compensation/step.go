package compensation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/internal/strictjson"
)

// Kind says what a step means to the saga's way back.
type Kind int

const (
	// Compensatable steps come before the pivot. Each can be undone.
	Compensatable Kind = iota
	// Pivot is the point of no return, at most one in a plan: once it is done the saga only goes forward.
	Pivot
	// Retriable steps come after the pivot. They are tried until they are done.
	Retriable
)

// String is the kind's name on the wire: "compensatable", "pivot" or "retriable".
func (k Kind) String() string {
	switch k {
	case Compensatable:
		return "compensatable"
	case Pivot:
		return "pivot"
	case Retriable:
		return "retriable"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// MarshalText implements [encoding.TextMarshaler].
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// OnUnknown says what becomes of a compensatable step whose outcome is still unknown at its limit.
type OnUnknown int

const (
	// UndoUnknown gives the step up: the saga turns back and undoes the step, whether or not it happened.
	UndoUnknown OnUnknown = iota
	// ProbeUnknown asks first, with [Step.Probe]. If the step turns out to be done, the saga goes on with its result;
	// otherwise the step is given up.
	ProbeUnknown
	// ParkUnknown waits for an operator, who can retry, mark the step done, or turn the saga back.
	ParkUnknown
)

// String is the policy's name on the wire: "undo", "probe" or "park".
func (o OnUnknown) String() string {
	switch o {
	case UndoUnknown:
		return "undo"
	case ProbeUnknown:
		return "probe"
	case ParkUnknown:
		return "park"
	}
	return fmt.Sprintf("OnUnknown(%d)", int(o))
}

// MarshalText implements [encoding.TextMarshaler].
func (o OnUnknown) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// What a [Step] gets where it says nothing.
const (
	DefaultAttemptTimeout = 10 * time.Second
	DefaultLimit          = 5 * time.Minute
	DefaultUndoLimit      = 10 * time.Minute
)

// Step is one participant's part in a saga: an activity that does it and the one that undoes it. Steps are values
// declared once, at package level; a [Plan] checks them.
//
// Do and Undo are activities, given as functions or method values, and registered with the worker under their own
// names. They are run any number of times with one key and must have the effect of one run.
//
// Do has three outcomes. nil: it is done. An error made by [Refuse]: it definitely has no effect, and trying again
// would not help. Any other error: unknown; Do is tried again with the same key until Limit.
//
// A step is express unless it is Durable or runs for an item: it is tried as a local activity first, for at most
// [ExpressLimit]. Without a definite outcome it goes on as an ordinary activity, with the same key. So is its undo.
// An express step costs Temporal next to nothing, and asks that its service keeps the contract above to the letter.
type Step[In, Out any] struct {
	// Name is part of the key and of recorded histories, so it never changes: a capital letter, then letters and
	// digits, at most 64.
	Name string
	Kind Kind
	Do   func(context.Context, Key, In) (Out, error)
	// Undo takes back what Do did with this key, and makes a Do that comes later fail. It succeeds if Do never ran
	// and if Undo already ran. For a pivot it makes sure that the pivot never happens, or fails with [Irreversible] if it
	// happened. A retriable step has none.
	Undo func(context.Context, Key) error
	// Probe finds out whether Do happened, and with what result, without changing anything. Any error means that it
	// is not known to have happened. Required by ProbeUnknown, and for it only.
	Probe func(context.Context, Key) (Out, error)
	// Durable makes the step an ordinary activity from its first try, so that it is in the history before it runs: the
	// saga always knows that it was started. It does not make a request harmless that arrives after the undo. A service
	// that cannot make a late Do fail needs Settle as well.
	Durable bool
	// Repeats marks a step that runs for items (see [Step.For]), which makes it durable. A compensatable step with items
	// needs it: after a reset of its workflow, it warns the saga of effects whose keys it may not know.
	Repeats bool
	// Settle is for a service that cannot make a late Do fail: the longest time for which a request of Do can still be on
	// its way, and have its effect, after the try that sent it has ended. The undo waits that long after the last try,
	// even if Do succeeded, since an earlier try may be the late one. So add up every time limit between the worker and
	// the effect: of proxies, queues and the service itself, and how long a worker may stall before it sends a request. A
	// pivot's undo waits likewise before it decides. It needs Durable. Default 0: the service keeps the contract, and
	// nothing waits.
	Settle time.Duration
	// OnUnknown is for compensatable steps. A pivot's undo decides about a pivot of unknown outcome, and a retriable
	// step is tried until it is done.
	OnUnknown OnUnknown
	// AttemptTimeout bounds one try of Do or of Undo. Default [DefaultAttemptTimeout].
	AttemptTimeout time.Duration
	// Limit bounds all tries of Do together. After it the outcome counts as unknown, and a saga that gives up undoes
	// the step too. Default [DefaultLimit]. A retriable step has none.
	Limit time.Duration
	// UndoLimit is when an undo that does not succeed parks the saga. It is still tried after that. Default
	// [DefaultUndoLimit].
	UndoLimit time.Duration
	// Retry spaces the tries. Default: 500 ms, doubling, at most 30 s. MaximumAttempts bounds the durable tries of Do
	// for a compensatable step or a pivot; tries of a retriable step and of an undo have no bound.
	Retry temporal.RetryPolicy

	item string
}

// For returns the step for one of several items, such as one reservation for each warehouse. Each item has a key of
// its own, and is durable: a saga that lost a record could not know which items it was for. An item is 1 to 64 letters,
// digits, "-" and "_". A pivot has no items: whether it happened is asked for the step as a whole.
func (st Step[In, Out]) For(item string) Step[In, Out] {
	if !itemName.MatchString(item) {
		panic(fmt.Sprintf("compensation: step %s: item %q must be 1 to 64 letters, digits, - and _", st.Name, item))
	}
	st.item = item
	return st
}

// Run runs the step and waits for its outcome. The error, if any, is a [*StepError]; a [*temporal.CanceledError] if
// the saga turned back before the step was started.
func (st Step[In, Out]) Run(ctx workflow.Context, in In) (Out, error) {
	s := sagaOf(ctx, st.Name)
	e, out, err := st.register(ctx, s, in)
	if e == nil {
		return *out, err
	}
	if !e.settled {
		err = s.execute(ctx, e)
	}
	e.seen = true
	return *out, err
}

// Start runs the step beside others. Its undo is registered before it starts.
func (st Step[In, Out]) Start(ctx workflow.Context, in In) *Future[Out] {
	s := sagaOf(ctx, st.Name)
	settled, settle := workflow.NewFuture(ctx)
	e, out, err := st.register(ctx, s, in)
	f := &Future[Out]{settled: settled, execution: e, out: out}
	if e == nil || e.settled {
		settle.SetError(err)
		return f
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		settle.SetError(s.execute(ctx, e))
	})
	return f
}

// register registers the step's undo and says where its result will be. A step that an earlier call of the body brought
// to its end comes back settled, with its outcome; there is no execution if the step must not start.
func (st Step[In, Out]) register(ctx workflow.Context, s *saga, in In) (*execution, *Out, error) {
	e, err := s.register(ctx, st.Name, st.item)
	if err != nil {
		return nil, new(Out), err
	}
	if e.settled {
		if out, ok := e.out.(*Out); ok {
			return e, out, e.err
		}
		out := new(Out)
		if len(e.given) > 0 {
			if err := e.readOut(e.given, out); err != nil {
				panic(fmt.Sprintf("compensation: result of %s: it is not what the step returns: %v", e.key.label(), err))
			}
			e.out = out
		}
		return e, out, e.err
	}
	out := new(Out)
	e.in, e.out = in, out
	return e, out, nil
}

// Future is the outcome of a step that was started.
type Future[Out any] struct {
	settled   workflow.Future
	execution *execution
	out       *Out
}

// Get waits for the outcome; errors are those of [Step.Run].
func (f *Future[Out]) Get(ctx workflow.Context) (Out, error) {
	err := f.settled.Get(ctx, nil)
	if f.execution != nil {
		f.execution.seen = true
	}
	return *f.out, err
}

func (st Step[In, Out]) definitions() []definition {
	d := definition{
		name: st.Name, kind: st.Kind,
		durable: st.Durable || st.Repeats, repeats: st.Repeats, settle: st.Settle, onUnknown: st.OnUnknown,
		attemptTimeout: st.AttemptTimeout, limit: st.Limit, undoLimit: st.UndoLimit, retry: st.Retry,
		readIn:  func(text json.RawMessage) (any, error) { return read[In](text) },
		checkIn: check[In], checkOut: check[Out],
		readOut: func(text json.RawMessage, out any) error {
			v, err := read[Out](text)
			if target, ok := out.(*Out); ok && err == nil {
				*target = v
			}
			return err
		},
	}
	// A nil func in an interface is not nil.
	if st.Do != nil {
		d.do = st.Do
	}
	if st.Undo != nil {
		d.undo = st.Undo
	}
	if st.Probe != nil {
		d.probe = st.Probe
	}
	return []definition{d}
}

// check is [read] for what an operator gives now: it also refuses names that stand twice or mean one field. What was
// accepted before this check existed is read without it, so that its history replays.
func check[T any](text json.RawMessage) error {
	v, err := read[T](text)
	if err != nil {
		return err
	}
	return strictjson.CheckNames(text, v)
}

// read reads what an operator gave as a step's input or result: one JSON value without unknown fields, which passes
// its own Validate, if it has one.
func read[T any](text json.RawMessage) (T, error) {
	var v, none T
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return none, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return none, errors.New("something follows the JSON value")
	}
	if checked, ok := any(v).(interface{ Validate() error }); ok {
		if err := checked.Validate(); err != nil {
			return none, err
		}
	}
	return v, nil
}
