package demo

import (
	"fmt"
	"strings"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/services"
)

// astray says what is wrong with how the order ended; empty if nothing is.
func (e *entry) astray() string {
	v, want := e.view, e.end
	if e.voucherTaken() {
		want = end{state: client.Compensated, refusedBy: "RedeemVoucher"}
	}
	switch {
	case !e.placed:
		return "was not seen"
	case !v.State.Ended():
		return "did not end; " + stuck(v)
	case v.State != want.state:
		return fmt.Sprintf("is %s, not %s: %s", v.State, want.state, v.Cause)
	case !strings.Contains(v.Cause, want.cause):
		return fmt.Sprintf("has the cause %q, which is not %q", v.Cause, want.cause)
	}
	for _, s := range v.Steps {
		if text := stepAstray(s, v.State, want); text != "" {
			return text
		}
	}
	return ""
}

// stuck says where an order is that has not ended.
func stuck(v client.Order) string {
	text := "it is " + string(v.State)
	for _, s := range v.Steps {
		what := s.Name
		if s.Undo == client.UndoRunning || s.Undo == client.UndoFailed {
			what = "the undo of " + s.Name
		} else if s.Do != client.DoRunning {
			continue
		}
		text += ", at " + what
		if s.Error != "" {
			text += ": " + s.Error
		}
	}
	return text
}

// voucherTaken tells whether the voucher that was picked for the order had been used by another. Then refusing it is
// right.
func (e *entry) voucherTaken() bool {
	return e.voucher && e.view.State == client.Compensated &&
		strings.Contains(e.view.Cause, "voucher "+e.order.Voucher+" was used")
}

// stepAstray says what is wrong with the step in an order that ended in state; empty if nothing is.
func stepAstray(s client.Step, state client.State, want end) string {
	switch s.Do {
	case client.DoDone:
		if state == client.Compensated && s.Undo != client.UndoDone {
			return fmt.Sprintf("is %s, but %s is done and its undo is %s", state, s.Name, s.Undo)
		}
	case client.DoRefused:
		if s.Name != want.refusedBy {
			return fmt.Sprintf("was refused by %s, not by %q", s.Name, want.refusedBy)
		}
	case client.DoUnknown:
		// A cancel may leave a step that way; its undo settles it.
		if s.Undo != client.UndoDone {
			return fmt.Sprintf("is %s, but the outcome of %s is unknown", state, s.Name)
		}
	case client.DoNotRun:
	case client.DoWaiting, client.DoRunning, client.DoSkipped, client.DoMarkedDone:
		return fmt.Sprintf("is %s, but %s is %s", state, s.Name, s.Do)
	}
	return ""
}

// unharmed says that the order ended without meeting its fault; empty if it met it, has none or one that only makes
// a step slow. The end is none the worse for it.
func (e *entry) unharmed() string {
	f := e.fault
	if f == nil || (!f.Down && !f.LoseReply && f.ErrorRate == 0) || !e.view.State.Ended() || e.voucherTaken() {
		return ""
	}
	for _, s := range e.view.Steps {
		if s.Name != f.Step {
			continue
		}
		tries := s.Attempts
		if f.On == services.Undo {
			tries = s.UndoAttempts
		}
		if tries > 1 {
			return ""
		}
	}
	return fmt.Sprintf("met no fault at %s: a service that is started again forgets its faults", f.Step)
}

// counted is how many of the order's steps were done, and how many of those undone.
func (e *entry) counted() (done, undone int) {
	for _, s := range e.view.Steps {
		if s.Do == client.DoDone {
			done++
		}
		if s.Undo == client.UndoDone {
			undone++
		}
	}
	return done, undone
}
