package fence

import (
	"fmt"
	"net/http"
)

// problem is an error that is an answer: an RFC 9457 problem with a code for programs.
type problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail,omitempty"`
	Code    string `json:"code"`
	TraceID string `json:"trace_id,omitempty"`
	// UndoReason is the header [HeaderReason] of the undo, as it came.
	UndoReason string `json:"undo_reason,omitempty"`
}

func newProblem(status int, code, format string, args ...any) *problem {
	return &problem{
		Type:   "about:blank",
		Title:  http.StatusText(status),
		Status: status,
		Detail: fmt.Sprintf(format, args...),
		Code:   code,
	}
}

func (p *problem) Error() string { return p.Code + ": " + p.Detail }

func malformed(format string, args ...any) *problem {
	return newProblem(http.StatusBadRequest, "malformed", format, args...)
}

// The answers of the contract to a key that is not free.
var (
	errKeyReused    = newProblem(http.StatusConflict, "key_reused", "this key was used with another body")
	errInProgress   = newProblem(http.StatusConflict, "in_progress", "this key is being worked on; try again")
	errUndone       = newProblem(http.StatusGone, "undone", "this key was undone; it cannot be done any more")
	errIrreversible = newProblem(http.StatusConflict, "irreversible", "this was done and cannot be undone")
)
