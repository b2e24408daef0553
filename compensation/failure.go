package compensation

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
)

// Failure types, as they stand in histories. Branch on them, never on texts.
const (
	// ErrTypeRefused is the type of a failure that definitely left no effect.
	ErrTypeRefused = "Refused"
	// ErrTypeUnknown is the type of a saga's failure when a step's outcome stayed unknown.
	ErrTypeUnknown = "OutcomeUnknown"
	// ErrTypeIrreversible is the type of an undo's failure when what was done cannot be undone.
	ErrTypeIrreversible = "Irreversible"
	// ErrTypeTooLate is the type of the rejection of a cancel that comes after the pivot.
	ErrTypeTooLate = "TooLateToCancel"
	// ErrTypeTurnsBack is the type of the rejection of a cancel that changes nothing, because the saga is turning back or
	// has turned back. Its detail is the [State].
	ErrTypeTurnsBack = "TurnsBackAlready"
	// ErrTypeUndecided is the type of the rejection of a cancel while an earlier one waits to learn whether it came in
	// time. Its detail is the [State].
	ErrTypeUndecided = "CancelUndecided"
	// ErrTypeUnchanged is the type of the rejection of an operator's act that changes nothing, because the saga is
	// already as the act asks. Its detail is the [State].
	ErrTypeUnchanged = "Unchanged"
	// ErrTypeNotASaga is the type of the failure of a workflow that starts a saga where none is possible.
	ErrTypeNotASaga = "NotASaga"
	// ErrTypeDeadline is the type of a saga's failure when it was not done by its deadline.
	ErrTypeDeadline = "DeadlineExceeded"
	// ErrTypeActRefused is the type of the rejection of an operator's act that does not fit.
	ErrTypeActRefused = "ActRefused"
	// ErrTypeActInvalid is the type of the rejection of an operator's act that lacks something, or says what cannot be.
	ErrTypeActInvalid = "ActInvalid"
	// ErrTypeActStale is the type of the rejection of an operator's act that was decided on before another one was taken.
	ErrTypeActStale = "ActStale"
)

// Refusal is the detail of a failure made by [Refuse].
type Refusal struct {
	// Code is for programs: short, snake case, such as "card_declined".
	Code string `json:"code"`
	// Attempt is the try that was refused, counted from 1. Behind a refusal of a later one, an earlier try may still
	// have its effect, so the step is undone all the same.
	Attempt int32 `json:"attempt"`
	// Because is the reason for which the step had been undone, if it is refused for that; nil if unknown.
	Because *Reason `json:"because,omitempty"`
}

// Refuse makes the error with which an activity says that this try definitely had no effect and that another would not
// help. It must be the outermost error: the server reads only that one. code is for programs (see [RefusalCode]),
// message for people. ctx is the activity's.
func Refuse(ctx context.Context, code, message string, cause error) error {
	return refuse(message, cause, Refusal{Code: code, Attempt: activity.GetInfo(ctx).Attempt})
}

// RefuseUndone is [Refuse] for a step that was undone before, for that reason, as its participant remembers it. A saga
// that has no record of the undo turns back, and its failure names the reason instead of the refusal.
func RefuseUndone(ctx context.Context, code, message string, because Reason) error {
	r := Refusal{Code: code, Attempt: activity.GetInfo(ctx).Attempt}
	if because.Text != "" {
		because = because.bounded()
		r.Because = &because
	}
	return refuse(message, nil, r)
}

func refuse(message string, cause error, r Refusal) error {
	return temporal.NewApplicationErrorWithOptions(message, ErrTypeRefused, temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Cause:        cause,
		// An answer, not a fault: it should raise no alert on failing activities.
		Category: temporal.ApplicationErrorCategoryBenign,
		Details:  []any{r},
	})
}

// Irreversible makes the error with which an undo says that what was done cannot be undone any more. It must be the
// outermost error.
func Irreversible(message string, cause error) error {
	return temporal.NewApplicationErrorWithOptions(message, ErrTypeIrreversible, temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Cause:        cause,
		Category:     temporal.ApplicationErrorCategoryBenign,
	})
}

// RefusalCode is the code that [Refuse] was given, if err is a refusal, a step's error because of one, or the failure of
// a saga that ended because of one; "" otherwise.
func RefusalCode(err error) string {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return ""
	}
	r, _ := refusalOf(app)
	return r.Code
}

// refusalOf is the detail of a failure made by [Refuse].
func refusalOf(app *temporal.ApplicationError) (r Refusal, ok bool) {
	ok = app.Type() == ErrTypeRefused && app.Details(&r) == nil
	return r, ok
}

// StepError says which step was not done, and how.
type StepError struct {
	Key Key
	// Outcome is DoRefused or DoUnknown.
	Outcome DoState
	cause   error
}

func (e *StepError) Error() string {
	if because := lostReason(e.cause); because != nil && e.Outcome == DoRefused {
		return because.Text
	}
	if e.Outcome == DoRefused {
		return fmt.Sprintf("%s refused: %s", e.Key.label(), plain(e.cause))
	}
	return fmt.Sprintf("%s gave up, outcome unknown: %s", e.Key.label(), plain(e.cause))
}

// Unwrap is the activity's failure.
func (e *StepError) Unwrap() error { return e.cause }

// turnedBackBy returns the step that turned back a saga which fails with err; empty if no step did.
func turnedBackBy(err error) string {
	failed := stepErrorOf(err)
	switch {
	case failed == nil:
		return ""
	case failed.Outcome == DoRefused:
		return failed.because().Step
	}
	return failed.Key.Step
}

func stepErrorOf(err error) *StepError {
	var failed *StepError
	errors.As(err, &failed)
	return failed
}

// typeOf is the type of the outermost application error in err, "" if there is none.
func typeOf(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Type()
	}
	return ""
}

// plain is err in words for people: the innermost message that the participant gave, without the SDK's framing.
func plain(err error) string {
	var (
		stepErr  *StepError
		app      *temporal.ApplicationError
		timeout  *temporal.TimeoutError
		canceled *temporal.CanceledError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &stepErr):
		return stepErr.Error()
	case errors.As(err, &timeout):
		if last := errors.Unwrap(timeout); last != nil {
			return "out of time; the last try said: " + plain(last)
		}
		return "out of time, and no try was answered"
	case errors.As(err, &app):
		return app.Message()
	case errors.As(err, &canceled):
		return "canceled"
	}
	return err.Error()
}

// failureOf is the failure with which a saga that was undone ends. Its type tells refusals, unknown outcomes and the
// workflow's own errors apart.
func failureOf(cause error) error {
	failureType := typeOf(cause)
	var stepErr *StepError
	if errors.As(cause, &stepErr) && stepErr.Outcome == DoUnknown {
		failureType = ErrTypeUnknown
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign}
	var app *temporal.ApplicationError
	if errors.As(cause, &app) {
		if refusal, ok := refusalOf(app); ok {
			if refusal.Because != nil && refusal.Because.Code != "" {
				refusal.Code = refusal.Because.Code
			}
			options.Details = []any{refusal}
		}
	}
	// A canceled error anywhere in the chain would close the workflow as canceled, though nobody asked for it.
	if !temporal.IsCanceledError(cause) {
		options.Cause = cause
		if stepErr != nil {
			options.Cause = stepErr.cause
		}
	}
	return temporal.NewApplicationErrorWithOptions(plain(cause), failureType, options)
}
