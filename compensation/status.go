package compensation

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/temporal"
)

// Names that a saga shares with whoever watches it.
const (
	// UpdateCancel is the update that turns a saga back: its argument is a [CancelRequest], its result a [State].
	// After the pivot it is rejected with [ErrTypeTooLate].
	UpdateCancel = "cancel"
	// MemoCause is the memo field in which a saga that turned back says why, in one sentence.
	MemoCause = "SagaCause"

	// MemoParked is the memo field with what is parked, a list of [ParkedStep].
	MemoParked = "SagaParked"

	doSuffix    = "/do"
	undoSuffix  = "/undo"
	probeSuffix = "/probe"
)

// SearchAttributeState is the search attribute, of type Keyword, that tells a saga's state. Whoever starts a saga sets
// it to [Running]; a saga that turns back changes it. A saga in which all goes well writes nothing: its close is enough.
var SearchAttributeState = temporal.NewSearchAttributeKeyKeyword("SagaState")

// SearchAttributeParkedSince is the search attribute, of type Datetime, that tells since when a parked saga waits for an
// operator. No other saga has it.
var SearchAttributeParkedSince = temporal.NewSearchAttributeKeyTime("ParkedSince")

// SearchAttributeStep is the search attribute, of type Keyword, that names the step at which a parked saga waits, the one
// that waits longest if there are several; of another saga that turned back, the step because of which it did. A saga that
// was canceled, or whose own code turned it back, has none.
var SearchAttributeStep = temporal.NewSearchAttributeKeyKeyword("SagaStep")

// SearchAttributes are what sagas write. A namespace that lacks one of them fails the workflow tasks of sagas that turn
// back or park.
func SearchAttributes() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{SearchAttributeState, SearchAttributeParkedSince, SearchAttributeStep}
}

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
	// Parked: something of it waits for an operator (see [UpdateRetry] and those after it).
	Parked State = "parked"
	// Completed: everything is done.
	Completed State = "completed"
	// Compensated: everything that was started is undone.
	Compensated State = "compensated"
	// CompensatedWithExceptions: as compensated, but for what an operator said should stand.
	CompensatedWithExceptions State = "compensated_with_exceptions"
	// Terminated: Temporal ended it from outside, without letting it undo anything. Effects may stand.
	Terminated State = "terminated"
)

// Ended tells whether the saga is over.
func (s State) Ended() bool {
	switch s {
	case Completed, Compensated, CompensatedWithExceptions, Terminated:
		return true
	case Running, Compensating, Parked:
		return false
	}
	return false
}

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
	// DoSkipped: an operator let the saga go on without it.
	DoSkipped DoState = "skipped"
	// DoMarkedDone: an operator answers for it.
	DoMarkedDone DoState = "marked_done"
)

// stands tells whether the saga counts on the step.
func (d DoState) stands() bool { return d == DoDone || d == DoSkipped || d == DoMarkedDone }

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
	// UndoPrevented: there was nothing to take back as far as the saga knows, and now there never will be. So is a pivot
	// fenced, and a step that only a try without record may have run.
	UndoPrevented UndoState = "prevented"
	// UndoFailed: refused, or not done within its limit.
	UndoFailed UndoState = "failed"
	// UndoSkipped: an operator lets the effect stand.
	UndoSkipped UndoState = "skipped"
	// UndoMarkedDone: an operator answers for it.
	UndoMarkedDone UndoState = "marked_done"
)

// over tells whether nothing is left to undo.
func (u UndoState) over() bool {
	return u == UndoDone || u == UndoPrevented || u == UndoSkipped || u == UndoMarkedDone
}

// Part is the part of a saga that is parked.
type Part string

const (
	// PartDo is a step's Do.
	PartDo Part = "do"
	// PartUndo is a step's Undo.
	PartUndo Part = "undo"
	// PartSaga is the saga itself.
	PartSaga Part = "saga"
)

// ParkedStep is something that waits for an operator.
type ParkedStep struct {
	// Step and Item are empty for PartSaga.
	Step string `json:"step,omitempty"`
	Item string `json:"item,omitempty"`
	Part Part   `json:"part"`
	// Reason is why it waits, for people.
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Trying is set while it is still tried, and goes on by itself if it succeeds.
	Trying bool `json:"trying"`
}

// An AcceptedUpdate is an update that a saga accepted.
type AcceptedUpdate struct {
	ID, Name string
	// Args are the update's arguments.
	Args *commonpb.Payloads
}

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
	Waits []Wait
	// Deadline is when it should be done; zero if it has none, or has ended.
	Deadline time.Time
	// Parked is what waits for an operator, in the order in which it was parked.
	Parked []ParkedStep
	// Acts are what operators did, in order.
	Acts []ActRecord
	// Updates are the updates that the saga accepted, in order: acts, cancels, and the workflow's own.
	Updates   []AcceptedUpdate
	StartedAt time.Time
	// EndedAt is zero while the saga runs.
	EndedAt time.Time
	// Headers are what came with its start, for whoever looks at workflows from outside, such as tracing.
	Headers map[string]*commonpb.Payload
	// Result is what a completed saga returned; otherwise nil.
	Result *commonpb.Payloads
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
	// StartedAt is when the saga came to the step, EndedAt when Do was settled; zero where that has not happened.
	StartedAt time.Time
	EndedAt   time.Time
	// UndoneAt is when Undo succeeded.
	UndoneAt time.Time
	// Result is what Do returned, or what an operator gave in its place; nil if there is none. It says what was done, and
	// stays when that is undone.
	Result *commonpb.Payloads
	// Error is what the last failing try of Do or of Undo said; empty after a success.
	Error string
}

// Wait is a timer of the workflow's that says what it is for.
type Wait struct {
	For   string
	Until time.Time
}
