package client

import (
	"encoding/json"
	"time"
)

// State is where a saga stands.
type State string

// The states of a saga.
const (
	Running                   State = "running"                     // goes forward
	Compensating              State = "compensating"                // turned back, and undoes what was done
	Parked                    State = "parked"                      // something of it waits for an operator
	Completed                 State = "completed"                   // everything is done
	Compensated               State = "compensated"                 // everything is undone
	CompensatedWithExceptions State = "compensated_with_exceptions" // everything is undone but what an operator let stand
	Terminated                State = "terminated"                  // Temporal ended it from outside, and effects may stand
)

// Ended tells whether nothing more will happen to a saga in that state.
func (s State) Ended() bool {
	switch s {
	case Completed, Compensated, CompensatedWithExceptions, Terminated:
		return true
	case Running, Compensating, Parked:
	}
	return false
}

// Kind says what can be done about a step.
type Kind string

// The kinds of steps.
const (
	Compensatable Kind = "compensatable" // can be undone
	Pivot         Kind = "pivot"         // the point of no return
	Retriable     Kind = "retriable"     // after the pivot, tried until done
)

// DoState is where doing a step stands.
type DoState string

// The states of doing a step.
const (
	DoWaiting    DoState = "waiting"
	DoRunning    DoState = "running"
	DoDone       DoState = "done"
	DoRefused    DoState = "refused"
	DoUnknown    DoState = "unknown"     // nobody can say whether it has its effect
	DoNotRun     DoState = "not_run"     // the saga went past it
	DoSkipped    DoState = "skipped"     // an operator let the saga go on without it
	DoMarkedDone DoState = "marked_done" // an operator answers for it
)

// UndoState is where undoing a step stands.
type UndoState string

// The states of undoing a step.
const (
	UndoNone       UndoState = "none"
	UndoWaiting    UndoState = "waiting"
	UndoRunning    UndoState = "running"
	UndoDone       UndoState = "done"
	UndoPrevented  UndoState = "prevented" // nothing was there to undo, and now there never will be
	UndoFailed     UndoState = "failed"
	UndoSkipped    UndoState = "skipped"     // an operator lets the effect stand
	UndoMarkedDone UndoState = "marked_done" // an operator answers for it
)

// Part is what of a saga is parked.
type Part string

// The parts of a saga.
const (
	PartDo   Part = "do"   // doing a step
	PartUndo Part = "undo" // undoing it
	PartSaga Part = "saga" // the saga itself
)

// ActName is something that an operator can do to a saga.
type ActName string

// The acts of operators.
const (
	ActRetry          ActName = "retry"
	ActRetryWithInput ActName = "retry-with-input"
	ActSkip           ActName = "skip"
	ActMarkDone       ActName = "mark-done"
	ActMarkHappened   ActName = "mark-happened"
	ActMarkPrevented  ActName = "mark-prevented"
	ActCompensate     ActName = "compensate"
	ActExtendDeadline ActName = "extend-deadline"
)

// View is a saga, step by step. R is what comes of it.
type View[R any] struct {
	ID    string `json:"id"`
	State State  `json:"state"`
	// Cause is why it turned back or was ended, in one sentence.
	Cause string `json:"cause,omitempty"`
	// Facts are what it comes to so far, in business words.
	Facts []Fact `json:"facts"`
	// Steps are the saga's steps, in order.
	Steps []Step `json:"steps"`
	// Waits are what the saga waits for besides its steps.
	Waits []Wait `json:"waits"`
	// Parked is what waits for an operator.
	Parked []ParkedPart `json:"parked"`
	// Acts are what operators did, in order.
	Acts      []Act     `json:"acts"`
	StartedAt time.Time `json:"started_at"`
	// Deadline is by when it should be done, or it turns back; past its pivot it is parked then. nil for none.
	Deadline *time.Time `json:"deadline,omitempty"`
	// EndedAt is nil while the saga has not ended.
	EndedAt *time.Time `json:"ended_at,omitempty"`
	// Result is there once the saga is completed.
	Result *R `json:"result,omitempty"`
	// TraceID is the trace of all that was done for it; empty if it has none.
	TraceID string `json:"trace_id,omitempty"`
	Links   Links  `json:"links"`

	// ETag stands for all of that. Acts and questions for news send it.
	ETag string `json:"-"`
}

// Saga is any saga under its workflow ID, such as order-42.
type Saga = View[json.RawMessage]

// Fact is how something of an order or a return stands, such as a payment that is held. The API's description lists the
// words; those that are no facts are open, unsettled, unknown and none.
type Fact struct {
	What string `json:"what"`
	Is   string `json:"is"`
	// Amount is the money that it is about. Here and below, what was undone tells what it was; what is not known, or not
	// what this is about, is zero.
	Amount *Money `json:"amount,omitempty"`
	Points int64  `json:"points,omitempty"`
	Lines  []Line `json:"lines,omitempty"`
	// Carrier and Tracking find a shipment.
	Carrier  string `json:"carrier,omitempty"`
	Tracking string `json:"tracking,omitempty"`
	// Reference is what the service calls it, such as an invoice's number.
	Reference string `json:"reference,omitempty"`
}

// Step is one step of a saga.
type Step struct {
	Name string `json:"name"`
	// Item tells repeats of one step apart.
	Item string    `json:"item,omitempty"`
	Kind Kind      `json:"kind"`
	Do   DoState   `json:"do"`
	Undo UndoState `json:"undo"`
	// Attempts and UndoAttempts are how often doing and undoing it was tried.
	Attempts     int        `json:"attempts"`
	UndoAttempts int        `json:"undo_attempts"`
	StartedAt    *time.Time `json:"started_at,omitempty"`
	// EndedAt is when the outcome of doing it was known.
	EndedAt *time.Time `json:"ended_at,omitempty"`
	// Error is what the last try that failed said.
	Error string `json:"error,omitempty"`
}

// Wait is something that a saga waits for besides its steps.
type Wait struct {
	// For says it in words.
	For   string    `json:"for"`
	Until time.Time `json:"until"`
}

// ParkedPart is something of a saga that waits for an operator.
type ParkedPart struct {
	// Step is empty where it is the saga itself.
	Step   string    `json:"step,omitempty"`
	Item   string    `json:"item,omitempty"`
	Part   Part      `json:"part"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Trying: it is still tried, and goes on by itself if it succeeds.
	Trying bool `json:"trying"`
}

// Act is something that an operator did to a saga.
type Act struct {
	Act ActName `json:"act"`
	// Step is empty where only one was parked.
	Step   string `json:"step,omitempty"`
	Item   string `json:"item,omitempty"`
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	// Reference is where what was done by hand is written down.
	Reference string     `json:"reference,omitempty"`
	Deadline  *time.Time `json:"deadline,omitempty"`
	At        time.Time  `json:"at"`
}

// Links are where to go from a saga. Those of acts are there while the act makes sense; [Client.URL] makes them whole.
type Links struct {
	Self string `json:"self"`
	// Saga is an order or return among all sagas, where operators act on it.
	Saga string `json:"saga,omitempty"`
	// Resource is the order or return that a saga is about.
	Resource string `json:"resource,omitempty"`
	Events   string `json:"events"`
	WebUI    string `json:"web_ui,omitempty"`
	// Trace is where the saga's trace is shown.
	Trace string `json:"trace,omitempty"`
	// Recovery is the Web UI's page of what undoes a saga that was terminated.
	Recovery string `json:"recovery,omitempty"`
	Cancel   string `json:"cancel,omitempty"`
	Approval string `json:"approval,omitempty"`
	Arrival  string `json:"arrival,omitempty"`
}

// Money is an amount in minor units, as ISO 4217 counts them: 1290 is EUR 12.90, JPY 1290 and KWD 1.290.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"` // ISO 4217
}
