package compensation_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"github.com/amends-dev/amends/compensation"
)

// A script lists the actions of a body before its pivot, in order.
type script []line

// A line is one action of a body.
type line struct {
	kind lineKind
	leg  leg
	// failing is the consequence if the step is not done: the saga turns back, goes on without it, or falls back to
	// other.
	failing failing
	other   leg
	// when is the condition for then; otherwise runs if it does not hold.
	when            condition
	then, otherwise script
	pause           time.Duration
}

type lineKind int

const (
	// runs runs the step, starts starts it and waits for it before the pivot, or not at all; pairs runs both at once.
	runs lineKind = iota
	starts
	pairs
	sleeps
	decides
	branches
)

type failing int

const (
	turnsBack failing = iota
	goesOn
	fallsBack
)

type condition int

const (
	// onTime tests the clock, onResult whether the steps so far are all done, onDecision somebody's decision.
	onTime condition = iota
	onResult
	onDecision
)

// A drama is a saga whose body branches.
type drama struct {
	before script
	// The pivot is run always, on a condition, or not at all. after is what follows if it was refused.
	hasPivot, conditional bool
	when                  condition
	pay                   step
	fallback              script
	after                 []step
	steps                 []compensation.AnyStep
	names                 string
}

func drawDrama(t *rapid.T) *drama {
	d := &drama{names: "ABCDEFGHIJKLMNOP"}
	d.before = append(script{{kind: runs, leg: d.drawLeg(t)}}, d.drawScript(t, 2)...)
	if d.hasPivot = rapid.IntRange(0, 4).Draw(t, "pivot") > 0; !d.hasPivot {
		return d
	}
	d.conditional = rapid.IntRange(0, 2).Draw(t, "pivot on a condition") == 0
	d.when = condition(rapid.IntRange(0, 2).Draw(t, "when"))
	if rapid.Bool().Draw(t, "fallback after the pivot") {
		d.fallback = script{d.drawLine(t, 0)}
	}
	d.pay = pivot()
	d.pay.Durable = rapid.IntRange(0, 3).Draw(t, "durable pivot") == 0
	d.steps = append(d.steps, d.pay)
	for _, name := range []string{"X", "Y"}[:rapid.IntRange(0, 2).Draw(t, "after")] {
		st := retriable(name)
		st.Durable = rapid.Bool().Draw(t, "durable")
		d.after = append(d.after, st)
		d.steps = append(d.steps, st)
	}
	return d
}

func (d *drama) drawLeg(t *rapid.T) leg {
	st := onUnknown(compensatable(d.names[:1]), rapid.SampledFrom([]compensation.OnUnknown{
		compensation.UndoUnknown, compensation.UndoUnknown, compensation.UndoUnknown, compensation.ProbeUnknown, compensation.ParkUnknown,
	}).Draw(t, "on unknown"))
	d.names = d.names[1:]
	st.Durable = rapid.IntRange(0, 3).Draw(t, "durable") == 0
	st.Repeats = rapid.IntRange(0, 7).Draw(t, "item") == 0
	d.steps = append(d.steps, st)
	if st.Repeats {
		return leg{st, "1"}
	}
	return leg{step: st}
}

func (d *drama) drawLine(t *rapid.T, depth int) line {
	l := line{
		kind:    rapid.SampledFrom([]lineKind{runs, runs, runs, starts, pairs, sleeps, decides, branches}).Draw(t, "line"),
		failing: failing(rapid.IntRange(0, 2).Draw(t, "failing")),
		when:    condition(rapid.IntRange(0, 2).Draw(t, "when")),
		pause:   rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute}).Draw(t, "pause"),
	}
	if l.kind == branches && (depth == 0 || len(d.names) < 5) {
		l.kind = runs
	}
	switch l.kind {
	case runs, starts, pairs:
		l.leg = d.drawLeg(t)
		if l.kind == pairs || l.failing == fallsBack {
			l.other = d.drawLeg(t)
		}
	case branches:
		l.then, l.otherwise = d.drawScript(t, depth-1), d.drawScript(t, depth-1)
	case sleeps, decides:
	}
	return l
}

func (d *drama) drawScript(t *rapid.T, depth int) (s script) {
	for range rapid.IntRange(1, 1+depth).Draw(t, "lines") {
		if len(d.names) > 2 {
			s = append(s, d.drawLine(t, depth))
		}
	}
	return s
}

// An actor is one call of the body.
type actor struct {
	decided, approved *bool
	done              []string
	missed            bool
	pending           []pending
}

type pending struct {
	line   line
	future *compensation.Future[string]
}

var errNotDone = temporal.NewNonRetryableApplicationError("a step was not done", "NotDone", nil)

// settle notes a step's outcome.
func (a *actor) settle(ctx workflow.Context, l line, at leg, err error) error {
	switch {
	case err == nil:
		a.done = append(a.done, at.label())
		return nil
	case ctx.Err() != nil || l.failing == turnsBack:
		return err
	}
	a.missed = true
	if l.failing == goesOn || l.other.Name == "" || l.kind == pairs {
		return nil
	}
	if _, err := l.other.start(ctx).Get(ctx); err != nil {
		return err
	}
	a.done = append(a.done, l.other.label())
	return nil
}

// join waits for the steps that were started.
func (a *actor) join(ctx workflow.Context) error {
	for len(a.pending) > 0 {
		p := a.pending[0]
		a.pending = a.pending[1:]
		_, err := p.future.Get(ctx)
		if err := a.settle(ctx, p.line, p.line.leg, err); err != nil {
			return err
		}
	}
	return nil
}

func (a *actor) holds(ctx workflow.Context, c condition) bool {
	switch c {
	case onTime:
		return workflow.Now(ctx).Unix()%2 == 0
	case onResult:
		return !a.missed
	case onDecision:
		return *a.approved
	}
	return false
}

func (a *actor) play(ctx workflow.Context, s script) error {
	for _, l := range s {
		var err error
		switch l.kind {
		case runs:
			_, err = l.leg.start(ctx).Get(ctx)
			err = a.settle(ctx, l, l.leg, err)
		case starts:
			a.pending = append(a.pending, pending{l, l.leg.start(ctx)})
		case pairs:
			first, second := l.leg.start(ctx), l.other.start(ctx)
			_, err2 := second.Get(ctx)
			_, err1 := first.Get(ctx)
			err = errors.Join(a.settle(ctx, l, l.leg, err1), a.settle(ctx, l, l.other, err2))
		case sleeps:
			err = workflow.Sleep(ctx, l.pause)
		case decides:
			_, err = workflow.AwaitWithTimeout(ctx, time.Hour, func() bool { return *a.decided })
			if err == nil && *a.decided && !*a.approved && l.failing == turnsBack {
				err = temporal.NewNonRetryableApplicationError("turned down", "TurnedDown", nil)
			}
		case branches:
			if a.holds(ctx, l.when) {
				err = a.play(ctx, l.then)
			} else {
				err = a.play(ctx, l.otherwise)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// act is the body.
func (d *drama) act(ctx workflow.Context, a *actor) error {
	if err := a.play(ctx, d.before); err != nil {
		return err
	}
	if !d.hasPivot || (d.conditional && !a.holds(ctx, d.when)) {
		for _, p := range a.pending { // nobody asks for their outcome, but it counts
			a.done = append(a.done, p.line.leg.label())
		}
		return nil
	}
	if err := a.join(ctx); err != nil {
		return err
	}
	if _, err := d.pay.Run(ctx, "Pay"); err != nil {
		if ctx.Err() != nil || d.fallback == nil {
			return err
		}
		if err := a.play(ctx, d.fallback); err != nil {
			return err
		}
		return a.join(ctx)
	}
	a.done = append(a.done, "Pay")
	for _, st := range d.after {
		if _, err := st.Run(ctx, st.Name); err != nil {
			return err
		}
		a.done = append(a.done, st.Name)
	}
	return nil
}

func (d *drama) run(plan *compensation.Plan) func(workflow.Context) (string, error) {
	return func(ctx workflow.Context) (string, error) {
		var decided, approved bool
		err := workflow.SetUpdateHandlerWithOptions(ctx, "decide",
			func(_ workflow.Context, yes bool) error {
				decided, approved = true, yes
				return nil
			},
			workflow.UpdateHandlerOptions{Validator: func(bool) error {
				if decided {
					return errNotDone
				}
				return nil
			}})
		if err != nil {
			return "", err
		}
		return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
			a := &actor{decided: &decided, approved: &approved}
			err := d.act(ctx, a)
			return strings.Join(a.done, " "), err
		})
	}
}

func (s script) String() string {
	var b strings.Builder
	for _, l := range s {
		fmt.Fprintf(&b, "[%d %s", l.kind, l.leg.label())
		if l.other.Name != "" {
			b.WriteString("/" + l.other.label())
		}
		if l.kind == branches {
			fmt.Fprintf(&b, "%d? %s : %s", l.when, l.then, l.otherwise)
		}
		fmt.Fprintf(&b, " failing %d]", l.failing)
	}
	return b.String()
}
