package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/amends-dev/amends/compensation"
)

// typesPath is where the kinds of sagas are described.
const typesPath = "/v1/saga-types"

func (s *server) routePlans(api huma.API) {
	tags := []string{"saga-types"}
	register(s, api, huma.Operation{
		OperationID: "list-saga-types", Method: http.MethodGet, Path: typesPath, Tags: tags,
		Summary: "List the types of sagas",
	}, nil, func(context.Context, *struct{}) (*typesOutput, error) {
		out := &typesOutput{}
		for _, c := range collections {
			out.Body.Items = append(out.Body.Items, c.sagaType())
		}
		return out, nil
	})
	register(s, api, huma.Operation{
		OperationID: "get-saga-type", Method: http.MethodGet, Path: typesPath + "/{type}", Tags: tags,
		Summary: "Show a type of saga",
	}, []Code{codeNotFound}, func(_ context.Context, in *typeInput) (*typeOutput, error) {
		c, err := findType(in.Type)
		if err != nil {
			return nil, err
		}
		return &typeOutput{Body: c.sagaType()}, nil
	})
	register(s, api, huma.Operation{
		OperationID: "get-plan", Method: http.MethodGet, Path: typesPath + "/{type}/plan", Tags: tags,
		Summary: "Show what sagas of a type do, also when a step is refused",
		Description: "The steps with their limits and undos. With `fail_at`, also what is undone when that step is refused, in which order, " +
			"and how long it takes at most. The same as `amends plan`. Durations are Go's, such as 5m0s.",
	}, []Code{codeNotFound}, getPlan)
}

// collections are all that a saga may belong to.
var collections = []collection{orders, returns}

// findType is the collection of the sagas of that type.
func findType(name string) (collection, error) {
	for _, c := range collections {
		if c.workflowType == name {
			return c, nil
		}
	}
	return collection{}, &failure{code: codeNotFound, detail: "There is no saga type of this name: " + typesPath + " lists them."}
}

// sagaType is a kind of saga.
type sagaType struct {
	Type  string    `json:"type" example:"PlaceOrder"`
	Pivot string    `json:"pivot" doc:"The step after which there is no way back." example:"CapturePayment"`
	Steps []string  `json:"steps" nullable:"false" doc:"The steps, in order."`
	Links typeLinks `json:"links"`
}

type typeLinks struct {
	Self   string `json:"self" format:"uri-reference"`
	Plan   string `json:"plan" format:"uri-reference" doc:"What its sagas do, step by step."`
	Start  string `json:"start" format:"uri-reference" doc:"Where to POST to start one."`
	Schema string `json:"schema" format:"uri-reference" doc:"What to POST there, in the API's description."`
}

func (c collection) sagaType() sagaType {
	t := sagaType{Type: c.workflowType, Pivot: c.plan.Pivot(), Links: typeLinks{
		Self: typesPath + "/" + c.workflowType, Plan: typesPath + "/" + c.workflowType + "/plan",
		Start: c.path, Schema: "/openapi.json#/components/schemas/" + c.schema,
	}}
	for _, st := range c.plan.Steps() {
		t.Steps = append(t.Steps, st.Name)
	}
	return t
}

type typesOutput struct {
	Body struct {
		Items []sagaType `json:"items" nullable:"false"`
	} `nameHint:"SagaTypes"`
}

type typeInput struct {
	Type string `path:"type" doc:"The type." example:"PlaceOrder"`
}

type typeOutput struct{ Body sagaType }

type planInput struct {
	Type   string `path:"type" doc:"The type." example:"PlaceOrder"`
	FailAt string `query:"fail_at" maxLength:"200" doc:"The step that is refused." example:"BookShipment"`
}

type planOutput struct{ Body plan }

// plan is what sagas of a type do.
type plan struct {
	Type    string       `json:"type" example:"PlaceOrder"`
	Steps   []planStep   `json:"steps" nullable:"false" doc:"The steps, in order."`
	Failure *planFailure `json:"failure,omitempty" doc:"What follows when the step is refused, if one was asked for."`
	Diagram string       `json:"diagram" doc:"All of this as a flowchart in Mermaid's language."`
}

// planStep is a step of a plan.
type planStep struct {
	Name            string `json:"name" example:"ReserveStock"`
	Kind            string `json:"kind" enum:"compensatable,pivot,retriable" doc:"compensatable: can be undone. pivot: the point of no return. retriable: after it, tried until done."`
	Group           int    `json:"group" doc:"Its place, from 1. Steps of one group start together."`
	Express         bool   `json:"express" doc:"Whether it is tried within the workflow task first, which is fast, and becomes an ordinary activity only if that brings no answer."`
	Participant     string `json:"participant" doc:"Who does it." example:"Inventory"`
	Undo            string `json:"undo,omitempty" doc:"The activity that undoes it, or, for a pivot, makes sure that it never happens." example:"ReleaseStock"`
	OnUnknown       string `json:"on_unknown,omitempty" doc:"What follows when nobody can say whether it has its effect: undo it, probe first, or park."`
	AttemptTimeout  string `json:"attempt_timeout" doc:"Bounds one try." example:"10s"`
	Limit           string `json:"limit,omitempty" doc:"Bounds all tries; absent for steps that are tried until they are done." example:"5m0s"`
	MaximumAttempts int32  `json:"maximum_attempts,omitempty" doc:"Bounds their number."`
	UndoLimit       string `json:"undo_limit,omitempty" doc:"When an undo that does not succeed parks the saga." example:"10m0s"`
	Settle          string `json:"settle,omitempty" doc:"How long its undo waits until no request can be on its way any more; absent for a step whose service keeps what was undone from being done." example:"1h0m0s"`
}

// planFailure is what a saga does when a step is refused.
type planFailure struct {
	Step    string     `json:"step" example:"BookShipment"`
	Started []string   `json:"started" nullable:"false" doc:"The other steps that were started by then."`
	Parks   bool       `json:"parks" doc:"Whether it comes after the pivot: then nothing is undone, and the saga waits for an operator."`
	Undo    []planUndo `json:"undo" nullable:"false" doc:"What is undone, in this order, if the saga has seen everything that happened."`
	AtMost  []planUndo `json:"at_most" nullable:"false" doc:"What is undone otherwise: also what only a lost try may have started."`
	Within  string     `json:"within,omitempty" doc:"How long after the saga's start that is done at the latest, or parked; absent where the saga parks for the step itself." example:"1h30m0s"`
}

// planUndo is the undo of a step.
type planUndo struct {
	Step     string `json:"step" example:"ReserveStock"`
	Activity string `json:"activity" example:"ReleaseStock"`
	Fence    bool   `json:"fence" doc:"Whether the step is the pivot, which is kept from ever happening before anything is undone."`
	Express  bool   `json:"express" doc:"Whether it is tried within the workflow task first."`
	Within   string `json:"within" doc:"When it is done, or parks the saga." example:"10m1s"`
}

func getPlan(_ context.Context, in *planInput) (*planOutput, error) {
	c, err := findType(in.Type)
	if err != nil {
		return nil, err
	}
	body := plan{Type: c.workflowType, Diagram: c.plan.Mermaid()}
	for _, st := range c.plan.Steps() {
		body.Steps = append(body.Steps, planStepOf(st))
	}
	if in.FailAt != "" {
		f, err := c.plan.FailAt(in.FailAt)
		if err != nil {
			return nil, badQuery(Fault{Parameter: "fail_at", Detail: err.Error()})
		}
		if body.Diagram, err = c.plan.MermaidFailAt(in.FailAt); err != nil {
			return nil, err
		}
		body.Failure = &planFailure{
			Step: f.Step, Started: f.Started, Parks: f.Parks, Undo: planUndosOf(f.Undo), AtMost: planUndosOf(f.AtMost), Within: duration(f.Within),
		}
	}
	return &planOutput{Body: body}, nil
}

func planStepOf(st compensation.StepInfo) planStep {
	out := planStep{
		Name: st.Name, Kind: st.Kind.String(), Group: st.Group, Express: st.Express, Participant: st.Participant, Undo: st.Undo,
		AttemptTimeout: st.AttemptTimeout.String(), Limit: duration(st.Limit), MaximumAttempts: st.MaximumAttempts, UndoLimit: duration(st.UndoLimit),
		Settle: duration(st.Settle),
	}
	if st.Kind == compensation.Compensatable {
		out.OnUnknown = st.OnUnknown.String()
	}
	return out
}

func planUndosOf(undos []compensation.UndoInfo) []planUndo {
	out := make([]planUndo, len(undos))
	for i, u := range undos {
		out[i] = planUndo{Step: u.Step, Activity: u.Activity, Fence: u.Fence, Express: u.Express, Within: u.Within.String()}
	}
	return out
}

// duration is d as text; empty for 0.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
