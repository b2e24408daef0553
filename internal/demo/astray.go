package demo

import (
	"fmt"
	"strings"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/services"
)

// astray says what is wrong with how the order ended; empty if nothing is.
func (e *entry) astray() string {
	v, want := e.view, e.end
	if e.voucherTaken() {
		want = end{state: compensation.Compensated, refusedBy: "RedeemVoucher"}
	}
	switch {
	case !e.placed:
		return "was not seen"
	case !v.ended():
		return "did not end; " + v.stuck()
	case v.State != want.state:
		return fmt.Sprintf("is %s, not %s: %s", v.State, want.state, v.Cause)
	case !strings.Contains(v.Cause, want.cause):
		return fmt.Sprintf("has the cause %q, which is not %q", v.Cause, want.cause)
	}
	for _, s := range v.Steps {
		if text := s.astray(v.State, want); text != "" {
			return text
		}
	}
	return ""
}

// stuck says where an order is that has not ended.
func (v view) stuck() string {
	text := "it is " + string(v.State)
	for _, s := range v.Steps {
		what := s.Name
		if s.Undo == compensation.UndoRunning || s.Undo == compensation.UndoFailed {
			what = "the undo of " + s.Name
		} else if s.Do != compensation.DoRunning {
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
	return e.voucher && e.view.State == compensation.Compensated &&
		strings.Contains(e.view.Cause, "voucher "+e.order.Voucher+" was used")
}

// astray says what is wrong with the step in an order that ended in state; empty if nothing is.
func (s step) astray(state compensation.State, want end) string {
	switch s.Do {
	case compensation.DoDone:
		if state == compensation.Compensated && s.Undo != compensation.UndoDone {
			return fmt.Sprintf("is %s, but %s is done and its undo is %s", state, s.Name, s.Undo)
		}
	case compensation.DoRefused:
		if s.Name != want.refusedBy {
			return fmt.Sprintf("was refused by %s, not by %q", s.Name, want.refusedBy)
		}
	case compensation.DoUnknown:
		// A cancel may leave a step that way; its undo settles it.
		if s.Undo != compensation.UndoDone {
			return fmt.Sprintf("is %s, but the outcome of %s is unknown", state, s.Name)
		}
	case compensation.DoNotRun:
	case compensation.DoWaiting, compensation.DoRunning, compensation.DoSkipped, compensation.DoMarkedDone:
		return fmt.Sprintf("is %s, but %s is %s", state, s.Name, s.Do)
	}
	return ""
}

// unharmed says that the order ended without meeting its fault; empty if it met it, has none or one that only makes
// a step slow. The end is none the worse for it.
func (e *entry) unharmed() string {
	f := e.fault
	if f == nil || (!f.Down && !f.LoseReply && f.ErrorRate == 0) || !e.view.ended() || e.voucherTaken() {
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
		if s.Do == compensation.DoDone {
			done++
		}
		if s.Undo == compensation.UndoDone {
			undone++
		}
	}
	return done, undone
}
