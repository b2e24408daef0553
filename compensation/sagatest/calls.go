package sagatest

import (
	"errors"
	"slices"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
)

// Outcome is what a call came to.
type Outcome string

const (
	// Done is a call that did what it should.
	Done Outcome = "done"
	// Refused is a call that was refused, or failed in another way that trying again does not mend.
	Refused Outcome = "refused"
	// Unknown is a call that nobody answered.
	Unknown Outcome = "unknown"
	// Irreversible is what a pivot's undo says when the pivot has happened.
	Irreversible Outcome = "irreversible"
)

func outcomeOf(err error) Outcome {
	var app *temporal.ApplicationError
	switch {
	case err == nil:
		return Done
	case !errors.As(err, &app):
		return Unknown
	case app.Type() == compensation.ErrTypeIrreversible:
		return Irreversible
	}
	return Refused
}

// Call is a call of a fake.
type Call struct {
	Key  compensation.Key
	Part compensation.Part
	// Express tells a local activity from an ordinary one.
	Express bool
	// Worker is which worker made it, counted from 1: after one was lost (see [Env.CrashAt]) there is another.
	Worker  int
	Outcome Outcome
	// Effect tells that the call did something that was not done, or undid it.
	Effect bool
}

// String is the step's name and item: "Reserve" or "Reserve.berlin", "undo Reserve", "probe Reserve".
func (c Call) String() string {
	if c.Part == compensation.PartDo {
		return label(c.Key)
	}
	return string(c.Part) + " " + label(c.Key)
}

// Log is every call, in order, retries included.
func (e *Env) Log() []Call {
	calls := make([]Call, len(e.calls))
	for i, c := range e.calls {
		calls[i] = *c
	}
	return calls
}

// Calls are the names of every call (see [Call.String]), in order, retries included. Steps that start together are
// called in the order in which they were started.
func (e *Env) Calls() []string {
	calls := make([]string, len(e.calls))
	for i, c := range e.calls {
		calls[i] = c.String()
	}
	return calls
}

// RequireCalls requires that these were the calls, in this order, and no others.
func (e *Env) RequireCalls(want ...string) {
	e.t.Helper()
	if len(want) == 0 {
		want = []string{}
	}
	require.Equal(e.t, want, e.Calls())
}

// Effects are the steps whose effect stands, items included, in the order in which they were done.
func (e *Env) Effects() []string {
	effects := []string{}
	for _, k := range e.services.standing() {
		effects = append(effects, label(k))
	}
	return effects
}

// State is where the saga stands, or stood when it was left.
func (e *Env) State() compensation.State {
	switch {
	case e.terminated:
		return compensation.Terminated
	case e.ended && e.err == nil:
		return compensation.Completed
	case len(e.states) == 0:
		return compensation.Running
	}
	return e.states[len(e.states)-1]
}

// States are the states that the saga wrote to its search attribute, in order.
func (e *Env) States() []compensation.State { return slices.Clone(e.states) }

// Ended tells whether the workflow came to its end.
func (e *Env) Ended() bool { return e.ended }

// Cause is why the saga turned back, as it stands in its memo.
func (e *Env) Cause() string { return e.cause }

// Parked is what waits for an operator.
func (e *Env) Parked() []compensation.ParkedStep { return slices.Clone(e.parked) }

// RequireState requires that the saga ended so, or was left so.
func (e *Env) RequireState(want compensation.State) {
	e.t.Helper()
	require.Equal(e.t, want, e.State(), "cause: %s; parked: %v; calls: %v", e.cause, e.parked, e.Calls())
}
