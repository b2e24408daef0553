package compensation

import (
	"time"

	"go.temporal.io/sdk/temporal"
)

// Names that a saga shares with whoever watches it.
const (
	// UpdateCancel is the update that turns a saga back: its argument is a [CancelRequest], its result a [State].
	// After the pivot it is rejected with [ErrTypeTooLate].
	UpdateCancel = "cancel"
	// MemoCause is the memo field in which a saga that turned back says why, in one sentence.
	MemoCause = "SagaCause"

	doSuffix   = "/do"
	undoSuffix = "/undo"
)

// SearchAttributeState is the search attribute, of type Keyword, that tells a saga's state. Whoever starts a saga sets
// it to [Running]; a saga that turns back changes it. A saga in which all goes well writes nothing: its close is enough.
var SearchAttributeState = temporal.NewSearchAttributeKeyKeyword("SagaState")

// CancelRequest asks a saga to turn back.
type CancelRequest struct {
	// By is who asks.
	By string `json:"by"`
	// Reason is why, for people.
	Reason string `json:"reason"`
}

// State is where a saga stands.
type State string

const (
	// Running: it goes forward.
	Running State = "running"
	// Compensating: it turned back and undoes what was done.
	Compensating State = "compensating"
	// Completed: everything is done.
	Completed State = "completed"
	// Compensated: everything that was started is undone.
	Compensated State = "compensated"
	// Terminated: Temporal ended it from outside, without letting it undo anything. Effects may stand.
	Terminated State = "terminated"
)

// DoState is where a step's Do stands.
type DoState string

const (
	// DoWaiting: not started yet.
	DoWaiting DoState = "waiting"
	// DoRunning: started; its outcome is not known yet.
	DoRunning DoState = "running"
	// DoDone: it has its effect.
	DoDone DoState = "done"
	// DoRefused: it definitely has no effect.
	DoRefused DoState = "refused"
	// DoUnknown: nobody can say whether it has its effect.
	DoUnknown DoState = "unknown"
	// DoNotRun: the saga ended, or went past it, without starting it.
	DoNotRun DoState = "not_run"
)

// UndoState is where a step's Undo stands.
type UndoState string

const (
	// UndoNone: there is nothing to undo, or no reason to.
	UndoNone UndoState = "none"
	// UndoWaiting: its turn will come.
	UndoWaiting UndoState = "waiting"
	// UndoRunning: started, and tried until it succeeds.
	UndoRunning UndoState = "running"
	// UndoDone: the effect is taken back.
	UndoDone UndoState = "done"
	// UndoFailed: refused; it is tried again after a pause.
	UndoFailed UndoState = "failed"
)

// Status is a saga as its history tells it. [ReadStatus] makes it.
type Status struct {
	SagaID string
	RunID  string
	// Type is the workflow's type.
	Type  string
	State State
	// Cause says in one sentence why the saga turned back or was terminated; empty otherwise.
	Cause string
	// Steps are the plan's, in its order; a step that ran for several items has an entry for each.
	Steps []StepStatus
	// Waits are what the saga waits for besides its steps.
	Waits     []Wait
	StartedAt time.Time
	// EndedAt is zero while the saga runs.
	EndedAt time.Time
}

// StepStatus is one step of a [Status].
type StepStatus struct {
	Name string
	Item string
	Kind Kind
	Do   DoState
	Undo UndoState
	// Attempts counts the tries of Do, UndoAttempts those of Undo.
	Attempts     int
	UndoAttempts int
	// StartedAt is when Do was scheduled, EndedAt when it was settled; zero where that has not happened.
	StartedAt time.Time
	EndedAt   time.Time
	// UndoneAt is when Undo succeeded.
	UndoneAt time.Time
	// Error is what the last failing try of Do or of Undo said; empty after a success.
	Error string
}

// Wait is a timer of the workflow's that says what it is for.
type Wait struct {
	For   string
	Until time.Time
}
