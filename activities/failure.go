package activities

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
)

// Failure types of what is not a refusal. Their outcome is unknown.
const (
	// ErrTypeUnanswered: no usable answer came, or one that asks to try again.
	ErrTypeUnanswered = "Unanswered"
	// ErrTypeKeyReused: the key has an effect already, with another input.
	ErrTypeKeyReused = "KeyReused"
	// ErrTypeUndoRefused: the participant does not undo.
	ErrTypeUndoRefused = "UndoRefused"
)

// The codes of the step contract that a client must tell apart.
const (
	codeInProgress   = "in_progress"
	codeKeyReused    = "key_reused"
	codeIrreversible = "irreversible"
	codeUndone       = "undone"
)

// maxRetryAfter bounds how far a participant can put off the next try.
const maxRetryAfter = 10 * time.Minute

// doFailure is the failure of a PUT that was answered, by the contract's table.
func doFailure(ctx context.Context, key compensation.Key, r reply) error {
	if tryAgain(r.status) {
		return later(key, r)
	}
	p, err := r.refusal()
	switch {
	case err != nil:
		return disbelieved(key, r, err)
	case r.status == http.StatusConflict && p.Code == codeInProgress:
		return later(key, r)
	case r.status == http.StatusConflict && p.Code == codeKeyReused:
		return temporal.NewApplicationErrorWithOptions(r.describe(), ErrTypeKeyReused, temporal.ApplicationErrorOptions{NonRetryable: true})
	case r.status == http.StatusGone && p.Code == codeUndone:
		return compensation.RefuseUndone(ctx, p.Code, r.describe(), readReason(p.UndoReason))
	default:
		return compensation.Refuse(ctx, p.Code, r.describe(), nil)
	}
}

// undoFailure is the failure of a DELETE that was answered.
func undoFailure(key compensation.Key, r reply) error {
	if tryAgain(r.status) {
		return later(key, r)
	}
	p, err := r.refusal()
	switch {
	case err != nil:
		return disbelieved(key, r, err)
	case r.status == http.StatusConflict && p.Code == codeInProgress:
		return later(key, r)
	case r.status == http.StatusConflict && p.Code == codeIrreversible:
		return compensation.Irreversible(r.describe(), nil)
	default:
		return temporal.NewApplicationErrorWithOptions(r.describe(), ErrTypeUndoRefused, temporal.ApplicationErrorOptions{NonRetryable: true})
	}
}

// tryAgain reports whether the status leaves open what happened. Redirects are not followed, so they are no answer, and
// neither is a success other than the contract's.
func tryAgain(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status < 400 || status >= 500
}

// later is the failure of a try that a later one may mend. Retry-After decides when that is.
func later(key compensation.Key, r reply) error {
	return temporal.NewApplicationErrorWithOptions(key.Step+": "+r.describe(), ErrTypeUnanswered, temporal.ApplicationErrorOptions{
		NextRetryDelay: retryAfter(r.header, time.Now()),
	})
}

// unanswered is the failure of a call without an answer. The participant's address stays out of it: it goes to people.
func unanswered(key compensation.Key, err error) error {
	return temporal.NewApplicationErrorWithOptions(fmt.Sprintf("%s: no answer: %v", key.Step, rootOf(err)), ErrTypeUnanswered, temporal.ApplicationErrorOptions{})
}

// unusable is the failure of an answer that says done but makes no sense.
func unusable(key compensation.Key, r reply, err error) error {
	return temporal.NewApplicationErrorWithOptions(fmt.Sprintf("%s: status %d with an answer that cannot be used: %v", key.Step, r.status, err),
		ErrTypeUnanswered, temporal.ApplicationErrorOptions{})
}

// disbelieved returns the failure of an answer that refuses but does not keep the contract, so that it may come from
// between the participant and us. The failure leaves out the answer's text.
func disbelieved(key compensation.Key, r reply, err error) error {
	return temporal.NewApplicationErrorWithOptions(
		fmt.Sprintf("%s: %s, which does not keep the step contract: %v", key.Step, r.statusText(), err),
		ErrTypeUnanswered, temporal.ApplicationErrorOptions{NextRetryDelay: retryAfter(r.header, time.Now())})
}

// rootOf is the innermost error: what went wrong, without the request around it.
func rootOf(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// retryAfter reads the header, in seconds or as a date (RFC 9110, 10.2.3); 0 if there is none or it makes no sense.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if value == "" {
		return 0
	}
	var delay time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		delay = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		delay = at.Sub(now)
	}
	return min(max(delay, 0), maxRetryAfter)
}
