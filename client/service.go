package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Caller is who a client is at the API.
type Caller struct {
	// ID tells callers apart. Idempotency-Keys count within it.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Tenant is whose sagas it is about; an admin sees all.
	Tenant string `json:"tenant"`
	Role   Role   `json:"role"`
}

// Role is what a caller may do.
type Role string

// The roles of callers.
const (
	Starter  Role = "starter"  // starts sagas, sees and cancels its own
	Viewer   Role = "viewer"   // sees its tenant's
	Operator Role = "operator" // also acts on them
	Admin    Role = "admin"    // everything, in all tenants
)

// Caller tells who the client is at the API.
func (c *Client) Caller(ctx context.Context) (*Caller, error) {
	return get[Caller](ctx, c, "/v1/caller", nil)
}

// SagaType is a kind of saga.
type SagaType struct {
	Type string `json:"type"`
	// Pivot is the step after which there is no way back.
	Pivot string    `json:"pivot"`
	Steps []string  `json:"steps"`
	Links TypeLinks `json:"links"`
}

// TypeLinks are where to go from a kind of saga.
type TypeLinks struct {
	Self string `json:"self"`
	Plan string `json:"plan"`
	// Start is where to POST to start one, and Schema describes what.
	Start  string `json:"start"`
	Schema string `json:"schema"`
}

type sagaTypes struct {
	Items []SagaType `json:"items"`
}

const typesPath = "/v1/saga-types"

// SagaTypes lists the kinds of sagas.
func (c *Client) SagaTypes(ctx context.Context) ([]SagaType, error) {
	out, err := get[sagaTypes](ctx, c, typesPath, nil)
	if err != nil {
		return nil, err
	}
	return out.Items, nil
}

// SagaType shows a kind of saga.
func (c *Client) SagaType(ctx context.Context, name string) (*SagaType, error) {
	return get[SagaType](ctx, c, typesPath+"/"+url.PathEscape(name), nil)
}

// Plan is what sagas of a type do. Its durations are Go's, such as 5m0s.
type Plan struct {
	Type  string     `json:"type"`
	Steps []PlanStep `json:"steps"`
	// Failure is what follows when a step is refused, if one was asked for.
	Failure *PlanFailure `json:"failure,omitempty"`
	// Diagram is all of this as a flowchart in Mermaid's language.
	Diagram string `json:"diagram"`
}

// PlanStep is a step of a plan.
type PlanStep struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Group is its place, from 1. Steps of one group start together.
	Group int `json:"group"`
	// Express: it is tried within the workflow task first.
	Express     bool   `json:"express"`
	Participant string `json:"participant"`
	// Undo is the activity that undoes it, or, for a pivot, makes sure that it never happens.
	Undo string `json:"undo,omitempty"`
	// OnUnknown is what follows when nobody can say whether it has its effect.
	OnUnknown string `json:"on_unknown,omitempty"`
	// AttemptTimeout bounds one try, Limit all of them; empty for steps that are tried until they are done.
	AttemptTimeout  string `json:"attempt_timeout"`
	Limit           string `json:"limit,omitempty"`
	MaximumAttempts int32  `json:"maximum_attempts,omitempty"`
	// UndoLimit is when an undo that does not succeed parks the saga.
	UndoLimit string `json:"undo_limit,omitempty"`
	// Settle is the time that its undo waits until no request can be on its way any more; empty for a step that needs no
	// wait.
	Settle string `json:"settle,omitempty"`
}

// PlanFailure is what a saga does when a step is refused.
type PlanFailure struct {
	Step string `json:"step"`
	// Started are the other steps that were started by then.
	Started []string `json:"started"`
	// Parks: it comes after the pivot, so nothing is undone, and the saga waits for an operator.
	Parks bool `json:"parks"`
	// Undo is what is undone, in this order, if the saga has seen everything that happened; AtMost, otherwise.
	Undo   []PlanUndo `json:"undo"`
	AtMost []PlanUndo `json:"at_most"`
	// Within is how long after the saga's start that is done at the latest, or parked.
	Within string `json:"within,omitempty"`
}

// PlanUndo is the undo of a step.
type PlanUndo struct {
	Step     string `json:"step"`
	Activity string `json:"activity"`
	// Fence: the step is the pivot, which is kept from ever happening before anything is undone.
	Fence   bool   `json:"fence"`
	Express bool   `json:"express"`
	Within  string `json:"within"`
}

// Plan shows what sagas of a type do, and, unless failAt is empty, what follows when that step is refused.
func (c *Client) Plan(ctx context.Context, sagaType, failAt string) (*Plan, error) {
	query := url.Values{}
	if failAt != "" {
		query.Set("fail_at", failAt)
	}
	return get[Plan](ctx, c, typesPath+"/"+url.PathEscape(sagaType)+"/plan", query)
}

// Overview is how all sagas stand.
type Overview struct {
	At      time.Time    `json:"at"`
	Counts  []StateCount `json:"counts"`
	Started Window       `json:"started"`
	Ended   Window       `json:"ended"`
	// Durations are how long the last completed sagas of each type took.
	Durations []Duration `json:"durations"`
	// Steps are how long the steps of those took.
	Steps []Duration `json:"steps"`
	// Books are the step services'; nil for callers who don't see all sagas, and before the services were asked first.
	Books        *Books `json:"books,omitempty"`
	OldestParked *Item  `json:"oldest_parked,omitempty"`
}

// StateCount is how many sagas of a type are in a state. Link lists them.
type StateCount struct {
	Type  string `json:"type"`
	State State  `json:"state"`
	Count int64  `json:"count"`
	Link  string `json:"link"`
}

// Window is how many sagas there were lately.
type Window struct {
	LastMinute int64 `json:"last_minute"`
	LastHour   int64 `json:"last_hour"`
	LastDay    int64 `json:"last_day"`
}

// Duration is how long sagas of a type took, or, with Step, one of their steps with all tries and the pauses between them:
// half of a sample no longer than the first figure, 95 of 100 no longer than the second, in milliseconds.
type Duration struct {
	Type   string  `json:"type"`
	Step   string  `json:"step,omitempty"`
	Sample int64   `json:"sample"`
	P50    float64 `json:"p50_ms"`
	P95    float64 `json:"p95_ms"`
}

// Books are the step services' books, as they were asked last.
type Books struct {
	AuditedAt time.Time `json:"audited_at"`
	// Balanced is true when every service that keeps books answered, and none has findings.
	Balanced bool           `json:"balanced"`
	Services []ServiceBooks `json:"services"`
	WebUI    string         `json:"web_ui,omitempty"`
}

// ServiceBooks are one service's books. State is "balanced", "unbalanced" or "unknown".
type ServiceBooks struct {
	Service  string   `json:"service"`
	State    string   `json:"state"`
	Findings []string `json:"findings,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// Overview shows how all sagas stand.
func (c *Client) Overview(ctx context.Context) (*Overview, error) {
	return get[Overview](ctx, c, "/v1/overview", nil)
}

// Version is what runs at the API.
type Version struct {
	Version string `json:"version"`
	// Revision is that of the sagas that it starts.
	Revision int `json:"revision"`
}

// Version shows what runs at the API.
func (c *Client) Version(ctx context.Context) (*Version, error) {
	return get[Version](ctx, c, "/version", nil)
}

// Readiness is what the API needs to start sagas and have them worked on.
type Readiness struct {
	// Workers is how many poll for sagas.
	Workers int `json:"workers"`
}

// Ready asks, once, whether sagas can be started and worked on. If not, its error says why.
func (c *Client) Ready(ctx context.Context) (*Readiness, error) {
	out, _, err := ask[Readiness](ctx, c, request{method: http.MethodGet, path: "/readyz", once: true})
	return out, err
}
