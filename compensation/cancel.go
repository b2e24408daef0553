package compensation

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// askToTurnBack turns the saga back as soon as it may: at once before the pivot, and when the pivot turns out not to
// happen.
func (s *saga) askToTurnBack(r reversal) {
	if s.reversal != nil || s.committed || s.forward || s.state != Running {
		return
	}
	s.reversal = &r
	if !s.pastTurning() {
		s.stop()
	}
}

// pastTurning reports whether the saga has gone so far that it can turn back only once the pivot's outcome is known.
func (s *saga) pastTurning() bool {
	if s.plan.since(2) {
		return s.calling
	}
	return s.pivot != nil
}

func (s *saga) handleCancel(ctx workflow.Context) error {
	return workflow.SetUpdateHandlerWithOptions(workflow.WithValue(ctx, engineKey{}, true), UpdateCancel,
		func(ctx workflow.Context, r CancelRequest) (State, error) {
			s.askToTurnBack(reversal{cancel: &r})
			s.wasReset(ctx)
			// Only the pivot's service can tell an uncertain saga that it is not too late.
			s.canceling = true
			wait(ctx, func() bool { return s.turned || !s.unfenced() || s.state == Completed })
			s.canceling = false
			if s.committed || s.forward || s.state == Completed {
				return "", s.tooLate()
			}
			if s.state == Running {
				return Compensating, nil
			}
			return s.shown(), nil
		},
		workflow.UpdateHandlerOptions{
			Description: "Turns the saga back: everything that was started is undone. Rejected after the pivot.",
			Validator: func(CancelRequest) error {
				switch {
				case s.pastTurning(), s.committed, s.forward, s.state == Completed:
					return s.tooLate()
				case s.turned:
					return s.unchanged("the saga turns back already", ErrTypeTurnsBack)
				case s.canceling:
					// Temporal takes up to ten updates at a time per workflow, and a parked fence waits until somebody
					// acts.
					return s.unchanged("the saga finds out for an earlier cancel whether it can still turn back", ErrTypeUndecided)
				}
				return nil
			},
		})
}

func (s *saga) tooLate() error {
	text := "too late to cancel: the saga has completed"
	if p := s.plan.pivot(); p != nil && s.state != Completed {
		text = fmt.Sprintf("too late to cancel: %s was started, and nothing after it is undone", p.name)
	}
	return temporal.NewApplicationErrorWithOptions(text, ErrTypeTooLate,
		temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})
}

// unchanged returns the rejection of an update that changes nothing. It leaves no event: a saga parked on its way back
// can be canceled any number of times, while Temporal accepts 2,000 updates per workflow.
func (s *saga) unchanged(text, kind string) error {
	return temporal.NewApplicationErrorWithOptions(text, kind,
		temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign, Details: []any{s.shown()}})
}

// deadlineSummary tells the deadline's timer from others in histories.
const deadlineSummary = "the saga's deadline"

// deadline is when a saga should be done.
type deadline struct {
	// at is zero if there is none.
	at time.Time
	// passed is set once it has come and the saga was not done.
	passed bool
	stop   workflow.CancelFunc
}

// startDeadline starts the plan's deadline, if it has one.
func (s *saga) startDeadline(ctx workflow.Context) {
	s.deadline.stop = func() {}
	if s.plan.deadline > 0 {
		s.setDeadline(ctx, workflow.GetInfo(ctx).WorkflowStartTime.Add(s.plan.deadline))
	}
}

// setDeadline replaces the deadline.
func (s *saga) setDeadline(ctx workflow.Context, at time.Time) {
	s.deadline.stop()
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	ctx, stop := workflow.WithCancel(ctx)
	s.deadline = deadline{at: at, stop: stop}
	workflow.Go(ctx, func(ctx workflow.Context) {
		// The timer would be the only thing that a saga writes which ends in its first workflow task. So it starts when the
		// saga waits for something that is not an express step.
		err := workflow.Await(ctx, func() bool { return s.state == Running && !s.isExpressing() })
		if err == nil {
			err = workflow.NewTimerWithOptions(ctx, at.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: deadlineSummary}).Get(ctx, nil)
		}
		if err != nil {
			return // extended, or not needed any more
		}
		if s.plan.since(2) && !s.deadline.at.Equal(at) {
			return // extended in the task that brought the timer
		}
		s.passDeadline(ctx)
	})
}

// passDeadline turns the saga back because its deadline has passed, or parks it where that is too late.
func (s *saga) passDeadline(ctx workflow.Context) {
	s.deadline.passed = true
	s.askToTurnBack(reversal{err: temporal.NewApplicationErrorWithOptions(
		"not done by the saga's deadline, "+s.deadline.at.UTC().Format(time.RFC3339), ErrTypeDeadline,
		temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})})
	if s.committed || s.forward {
		s.overdue(ctx)
	}
}

// hearDeadline turns back a saga before its pivot whose deadline has passed while no timer ran: in the first tasks of a
// saga, and while express steps run, there is none.
func (s *saga) hearDeadline(ctx workflow.Context) {
	d := s.deadline
	if !s.plan.since(2) || d.at.IsZero() || d.passed || s.committed || s.forward || workflow.Now(ctx).Before(d.at) {
		return
	}
	d.stop()
	s.passDeadline(ctx)
}

// isExpressing tells whether a step is about to run express, or does.
func (s *saga) isExpressing() bool {
	return slices.ContainsFunc(s.executions, func(e *execution) bool { return e.expressing })
}

// overdue parks a saga that is past both its deadline and its pivot. What it does goes on meanwhile.
func (s *saga) overdue(ctx workflow.Context) {
	if s.state == Running {
		s.park(ctx, &parked{part: PartSaga, trying: true, late: true}, "not done by its deadline, "+s.deadline.at.UTC().Format(time.RFC3339))
	}
}
