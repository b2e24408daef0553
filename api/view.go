package api

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/amends-dev/amends/compensation"
)

// links are where to go from a saga. Those of acts are there while the act makes sense.
type links struct {
	Self     string `json:"self" format:"uri-reference" doc:"The saga itself."`
	WebUI    string `json:"web_ui,omitempty" format:"uri" doc:"The saga's page in the Temporal Web UI."`
	Cancel   string `json:"cancel,omitempty" format:"uri-reference" doc:"Where to cancel it, while it can be."`
	Approval string `json:"approval,omitempty" format:"uri-reference" doc:"Where to decide an order, while it waits for that."`
	Arrival  string `json:"arrival,omitempty" format:"uri-reference" doc:"Where to report the goods of a return, while it waits for them."`
}

func (s *server) links(c collection, id, runID string) links {
	l := links{Self: c.resource(id)}
	if s.options.WebUI != "" {
		l.WebUI = strings.TrimSuffix(s.options.WebUI, "/") + "/namespaces/" + url.PathEscape(s.options.Namespace) +
			"/workflows/" + url.PathEscape(c.workflowID(id))
		if runID != "" {
			l.WebUI += "/" + url.PathEscape(runID) + "/timeline"
		}
	}
	return l
}

// state is a [compensation.State] on the wire.
type state compensation.State

// Schema implements [huma.SchemaProvider].
func (state) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Enum: []any{
		string(compensation.Running), string(compensation.Compensating),
		string(compensation.Completed), string(compensation.Compensated), string(compensation.Terminated),
	}}
	s.PrecomputeMessages()
	return s
}

// accepted is the answer to a request that a saga took on.
type accepted struct {
	ID    string `json:"id"`
	State state  `json:"state" doc:"The saga's state when the request was taken."`
	Links links  `json:"links"`
}

func (s *server) accepted(c collection, id, runID string, at compensation.State) accepted {
	return accepted{ID: id, State: state(at), Links: s.links(c, id, runID)}
}

type acceptedOutput struct {
	Location string `header:"Location" doc:"The saga."`
	Body     accepted
}

func acceptedAt(a accepted, err error) (*acceptedOutput, error) {
	if err != nil {
		return nil, err
	}
	return &acceptedOutput{Location: a.Links.Self, Body: a}, nil
}

// view is a saga, step by step. R is what comes of it.
type view[R any] struct {
	ID        string     `json:"id"`
	State     state      `json:"state" doc:"running: goes forward. compensating: turned back, and undoes what was done. completed: everything is done. compensated: everything is undone. terminated: Temporal ended it from outside, and effects may stand."`
	Cause     string     `json:"cause,omitempty" doc:"Why it turned back or was ended, in one sentence."`
	Steps     []step     `json:"steps" nullable:"false" doc:"The saga's steps, in order."`
	Waits     []wait     `json:"waits" nullable:"false" doc:"What the saga waits for besides its steps."`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Result    *R         `json:"result,omitempty" doc:"What came of it, once it is completed."`
	Links     links      `json:"links"`
}

// step is one step of a saga.
type step struct {
	Name         string     `json:"name" example:"ReserveStock"`
	Item         string     `json:"item,omitempty" doc:"Tells repeats of one step apart."`
	Kind         string     `json:"kind" enum:"compensatable,pivot,retriable" doc:"compensatable: can be undone. pivot: the point of no return. retriable: after it, tried until done."`
	Do           string     `json:"do" enum:"waiting,running,done,refused,unknown,not_run" doc:"Where doing it stands. unknown: nobody can say whether it has its effect. not_run: the saga went past it."`
	Undo         string     `json:"undo" enum:"none,waiting,running,done,failed" doc:"Where undoing it stands."`
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

// show reads the saga.
func show[R any](ctx context.Context, s *server, c collection, id string) (view[R], error) {
	workflowID, err := c.find(id)
	if err != nil {
		return view[R]{}, err
	}
	status, err := compensation.ReadStatus(ctx, s.temporal, c.plan, workflowID)
	if err != nil {
		return view[R]{}, err
	}
	v := view[R]{
		ID:        id,
		State:     state(status.State),
		Cause:     status.Cause,
		Steps:     stepsOf(status),
		Waits:     []wait{},
		StartedAt: status.StartedAt.UTC(),
		EndedAt:   optional(status.EndedAt),
		Links:     s.links(c, id, status.RunID),
	}
	for _, w := range status.Waits {
		v.Waits = append(v.Waits, wait{For: w.For, Until: w.Until.UTC()})
	}
	if cancelable(status) {
		v.Links.Cancel = v.Links.Self + "/cancel"
	}
	if status.State == compensation.Completed {
		v.Result = new(R)
		if err := s.temporal.GetWorkflow(ctx, status.SagaID, status.RunID).Get(ctx, v.Result); err != nil {
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

// cancelable says whether the saga would take a cancel: it goes forward, and its pivot was not started.
func cancelable(status compensation.Status) bool {
	return status.State == compensation.Running && !slices.ContainsFunc(status.Steps, func(e compensation.StepStatus) bool {
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
