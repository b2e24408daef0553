package api

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.temporal.io/sdk/converter"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// links are where to go from a saga. Those of acts are there while the act makes sense.
type links struct {
	Self     string `json:"self" format:"uri-reference" doc:"The saga itself."`
	Saga     string `json:"saga,omitempty" format:"uri-reference" doc:"The saga of an order or return among all sagas, where operators act on it."`
	Resource string `json:"resource,omitempty" format:"uri-reference" doc:"The order or return that a saga is about."`
	Events   string `json:"events" format:"uri-reference" doc:"Where to follow the saga as it goes."`
	WebUI    string `json:"web_ui,omitempty" format:"uri" doc:"The saga's page in the Temporal Web UI."`
	Trace    string `json:"trace,omitempty" format:"uri" doc:"Where the saga's trace is shown."`
	Recovery string `json:"recovery,omitempty" format:"uri" doc:"The page in the Temporal Web UI of what undoes a saga that was terminated. A sweep starts it within a minute or two."`
	Cancel   string `json:"cancel,omitempty" format:"uri-reference" doc:"Where to cancel it, while it can be."`
	Approval string `json:"approval,omitempty" format:"uri-reference" doc:"Where to approve or reject it, while it waits for that."`
	Arrival  string `json:"arrival,omitempty" format:"uri-reference" doc:"Where to report the goods of a return, while it waits for them."`
}

func (s *server) links(c collection, id, runID string) links {
	saga := sagasPath + "/" + c.workflowID(id)
	l := links{Self: c.resource(id), Saga: saga, Events: saga + "/events"}
	l.WebUI = s.webUI(c.workflowID(id))
	if l.WebUI != "" && runID != "" {
		l.WebUI += "/" + url.PathEscape(runID) + "/timeline"
	}
	return l
}

// amongSagas are the links of an order or return from its place among all sagas.
func (l links) amongSagas() links {
	if l.Cancel != "" {
		l.Cancel = l.Saga + cancelPath
	}
	if l.Approval != "" {
		l.Approval = l.Saga + approvalPath
	}
	l.Resource, l.Self, l.Saga = l.Self, l.Saga, ""
	return l
}

// Where a saga is steered, below itself.
const (
	cancelPath   = "/cancel"
	approvalPath = "/approval"
	arrivalPath  = "/arrival"
)

// webUI is a workflow's page in the Temporal Web UI; empty if it is not known where that is.
func (s *server) webUI(workflowID string) string {
	if s.options.WebUI == "" {
		return ""
	}
	return strings.TrimSuffix(s.options.WebUI, "/") + "/namespaces/" + url.PathEscape(s.options.Namespace) +
		"/workflows/" + url.PathEscape(workflowID)
}

// states are all states.
var states = []compensation.State{
	compensation.Running, compensation.Compensating, compensation.Parked,
	compensation.Completed, compensation.Compensated, compensation.CompensatedWithExceptions, compensation.Terminated,
}

// state is a [compensation.State] on the wire.
type state compensation.State

// Schema implements [huma.SchemaProvider].
func (state) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, state := range states {
		s.Enum = append(s.Enum, string(state))
	}
	s.PrecomputeMessages()
	return s
}

// accepted is the answer to a request that a saga took on.
type accepted struct {
	ID    string `json:"id"`
	State state  `json:"state" doc:"The saga's state when the request was taken; when it is repeated, for anything but a start, as it is now."`
	// Undecided is only set for a cancel.
	Undecided bool  `json:"undecided,omitempty" doc:"The saga lost a record in a crash, and has yet to find out whether it can still turn back: its page shows what comes of it."`
	Links     links `json:"links"`
}

func (s *server) accepted(c collection, id, runID string, at compensation.State) accepted {
	return accepted{ID: id, State: state(at), Links: s.links(c, id, runID)}
}

type acceptedOutput struct {
	Location           string `header:"Location" doc:"The saga."`
	IdempotentReplayed string `header:"Idempotent-Replayed" enum:"true" doc:"The request was taken before, and this is what came of it."`
	Body               accepted
}

func acceptedBy(a accepted, o outcome) *acceptedOutput {
	return &acceptedOutput{Location: a.Links.Self, IdempotentReplayed: replayed(o.before), Body: a}
}

// amongSagas is the answer from the saga's place among all sagas.
func (o *acceptedOutput) amongSagas(workflowID string) *acceptedOutput {
	if o != nil {
		o.Body.ID, o.Body.Links = workflowID, o.Body.Links.amongSagas()
		o.Location = o.Body.Links.Self
	}
	return o
}

// view is a saga, step by step. R is what comes of it.
type view[R any] struct {
	ID        string     `json:"id"`
	State     state      `json:"state" doc:"running: goes forward. compensating: turned back, and undoes what was done. parked: something of it waits for an operator. completed: everything is done. compensated: everything is undone. compensated_with_exceptions: everything is undone but what an operator let stand. terminated: Temporal ended it from outside, and effects may stand."`
	Cause     string     `json:"cause,omitempty" doc:"Why it turned back or was ended, in one sentence."`
	Facts     []fact     `json:"facts" nullable:"false" doc:"What it comes to so far, in business words."`
	Steps     []step     `json:"steps" nullable:"false" doc:"The saga's steps, in order."`
	Waits     []wait     `json:"waits" nullable:"false" doc:"What the saga waits for besides its steps."`
	Parked    []parked   `json:"parked" nullable:"false" doc:"What waits for an operator."`
	Acts      []act      `json:"acts" nullable:"false" doc:"What operators did, in order."`
	StartedAt time.Time  `json:"started_at"`
	TraceID   string     `json:"trace_id,omitempty" doc:"The trace of all that was done for it, from the request that started it on."`
	Deadline  *time.Time `json:"deadline,omitempty" doc:"By when it should be done, or it turns back; past its pivot it is parked then, and goes on all the same."`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Result    *R         `json:"result,omitempty" doc:"What came of it, once it is completed."`
	Links     links      `json:"links"`
}

// step is one step of a saga.
type step struct {
	Name         string     `json:"name" example:"ReserveStock"`
	Item         string     `json:"item,omitempty" doc:"Tells repeats of one step apart."`
	Kind         string     `json:"kind" enum:"compensatable,pivot,retriable" doc:"compensatable: can be undone. pivot: the point of no return. retriable: after it, tried until done."`
	Do           string     `json:"do" enum:"waiting,running,done,refused,unknown,not_run,skipped,marked_done" doc:"Where doing it stands. unknown: nobody can say whether it has its effect. not_run: the saga went past it. skipped: an operator let the saga go on without it. marked_done: an operator answers for it."`
	Undo         string     `json:"undo" enum:"none,waiting,running,done,prevented,failed,skipped,marked_done" doc:"Where undoing it stands. prevented: nothing was there to undo, and now there never will be. skipped: an operator lets the effect stand. marked_done: an operator answers for it."`
	Attempts     int        `json:"attempts" doc:"How often doing it was tried."`
	UndoAttempts int        `json:"undo_attempts" doc:"How often undoing it was tried."`
	StartedAt    *time.Time `json:"started_at,omitempty"`
	EndedAt      *time.Time `json:"ended_at,omitempty" doc:"When the outcome of doing it was known."`
	Error        string     `json:"error,omitempty" doc:"What the last try that failed said."`
}

// wait is something that a saga waits for.
type wait struct {
	For   string    `json:"for" doc:"What it waits for, in words."`
	Until time.Time `json:"until" doc:"When it stops waiting."`
}

// parked is something of a saga that waits for an operator.
type parked struct {
	Step   string    `json:"step,omitempty" doc:"The step; absent where it is the saga itself." example:"ReserveStock"`
	Item   string    `json:"item,omitempty" doc:"Which of the step's repeats."`
	Part   string    `json:"part" enum:"do,undo,saga" doc:"do: doing the step. undo: undoing it. saga: the saga itself."`
	Reason string    `json:"reason" doc:"Why it waits."`
	Since  time.Time `json:"since"`
	Trying bool      `json:"trying" doc:"Whether it is still tried, and goes on by itself if it succeeds."`
}

// act is something that an operator did to a saga.
type act struct {
	Act       string     `json:"act" enum:"retry,retry-with-input,skip,mark-done,mark-happened,mark-prevented,compensate,extend-deadline" doc:"What was done."`
	Step      string     `json:"step,omitempty" doc:"The step that it was about; absent where only one was parked." example:"ReserveStock"`
	Item      string     `json:"item,omitempty" doc:"Which of the step's repeats."`
	By        string     `json:"by" doc:"Who did it." example:"grace"`
	Reason    string     `json:"reason,omitempty" doc:"Why."`
	Reference string     `json:"reference,omitempty" doc:"Where what was done by hand is written down."`
	Deadline  *time.Time `json:"deadline,omitempty" doc:"The new deadline."`
	At        time.Time  `json:"at"`
}

// viewOf shows how the saga stands.
func viewOf[R any](ctx context.Context, s *server, c collection, id string, status compensation.Status) (view[R], error) {
	v := view[R]{
		ID:        id,
		State:     state(status.State),
		Cause:     status.Cause,
		Facts:     factsOf(c.matters, status),
		Steps:     stepsOf(status),
		Waits:     []wait{},
		Parked:    parkedOf(status),
		Acts:      actsOf(status),
		StartedAt: status.StartedAt.UTC(),
		Deadline:  optional(status.Deadline),
		EndedAt:   optional(status.EndedAt),
		Links:     s.links(c, id, status.RunID),
	}
	v.TraceID, v.Links.Trace = s.traceOf(ctx, status)
	for _, w := range status.Waits {
		v.Waits = append(v.Waits, wait{For: w.For, Until: w.Until.UTC()})
	}
	if cancelable(status) {
		v.Links.Cancel = v.Links.Self + cancelPath
	}
	if v.waits() {
		switch c.awaits {
		case workflows.UpdateApproval:
			v.Links.Approval = v.Links.Self + approvalPath
		case workflows.UpdateGoodsArrived:
			v.Links.Arrival = v.Links.Self + arrivalPath
		}
	}
	if status.State == compensation.Terminated {
		v.Links.Recovery = s.webUI(workflows.RecoveryWorkflowID(status.SagaID))
	}
	if status.State == compensation.Completed {
		v.Result = new(R)
		if err := converter.GetDefaultDataConverter().FromPayloads(status.Result, v.Result); err != nil {
			return view[R]{}, fmt.Errorf("read the result of %s %s: %w", c.noun, id, err)
		}
	}
	return v, nil
}

// waits says whether the saga goes forward and waits for something that is not a step.
func (v view[R]) waits() bool {
	return v.State == state(compensation.Running) && len(v.Waits) > 0
}

func stepsOf(status compensation.Status) []step {
	steps := make([]step, len(status.Steps))
	for i, e := range status.Steps {
		steps[i] = step{
			Name: e.Name, Item: e.Item, Kind: e.Kind.String(), Do: string(e.Do), Undo: string(e.Undo),
			Attempts: e.Attempts, UndoAttempts: e.UndoAttempts,
			StartedAt: optional(e.StartedAt), EndedAt: optional(e.EndedAt), Error: e.Error,
		}
	}
	return steps
}

func parkedOf(status compensation.Status) []parked {
	list := make([]parked, len(status.Parked))
	for i, p := range status.Parked {
		list[i] = parked{Step: p.Step, Item: p.Item, Part: string(p.Part), Reason: p.Reason, Since: p.Since.UTC(), Trying: p.Trying}
	}
	return list
}

func actsOf(status compensation.Status) []act {
	list := make([]act, len(status.Acts))
	for i, a := range status.Acts {
		list[i] = act{
			Act: a.Name, Step: a.Step, Item: a.Item, By: a.By, Reason: a.Reason, Reference: a.Reference,
			Deadline: optional(a.Deadline), At: a.At.UTC(),
		}
	}
	return list
}

// cancelable says whether the saga would take a cancel: it did not turn back, and its pivot was not started.
func cancelable(status compensation.Status) bool {
	return !status.State.Ended() && status.Cause == "" && !slices.ContainsFunc(status.Steps, func(e compensation.StepStatus) bool {
		return e.Kind == compensation.Pivot && e.Do != compensation.DoWaiting
	})
}

// optional is t in UTC, nil for the zero time.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
