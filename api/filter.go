package api

import (
	"slices"
	"strings"
	"time"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// Filter chooses sagas; the zero value chooses all. It is exported for huma, which looks into embedded structs only then.
type Filter struct {
	Type          string `query:"type" json:"type,omitempty" enum:"PlaceOrder,ReturnOrder" doc:"Only sagas of this type."`
	State         state  `query:"state" json:"state,omitempty" doc:"Only sagas in this state."`
	Customer      string `query:"customer" json:"customer,omitempty" maxLength:"120" doc:"Only sagas about the customer with this ID. Those of guests have none." example:"c-1001"`
	Step          string `query:"step" json:"step,omitempty" maxLength:"200" doc:"Only sagas that are parked at this step, or turned back because of it." example:"ReserveStock"`
	StartedAfter  string `query:"started_after" json:"started_after,omitempty" format:"date-time" doc:"Only sagas that started then or later."`
	StartedBefore string `query:"started_before" json:"started_before,omitempty" format:"date-time" doc:"Only sagas that started before then."`
	EndedAfter    string `query:"ended_after" json:"ended_after,omitempty" format:"date-time" doc:"Only sagas that ended then or later."`
	EndedBefore   string `query:"ended_before" json:"ended_before,omitempty" format:"date-time" doc:"Only sagas that ended before then."`
	ParkedAfter   string `query:"parked_after" json:"parked_after,omitempty" format:"date-time" doc:"Only sagas that are parked since then or later."`
	ParkedBefore  string `query:"parked_before" json:"parked_before,omitempty" format:"date-time" doc:"Only sagas that are parked since before then."`
}

// visibility returns the filter, within what the caller sees, as a query of Temporal's visibility store. The faults are
// those of its fields, by parameter.
//
// Caller input gets into the query only if it needs no quoting: types, states and steps are of closed sets, customers'
// IDs are escaped, times are formatted again.
func (f Filter) visibility(c access.Caller) (string, []Fault) {
	var faults []Fault
	types := []string{f.Type}
	if f.Type == "" {
		types = workflowTypes()
	}
	conditions := []string{attributeIn("WorkflowType", types)}
	if c := inState(compensation.State(f.State)); c != "" {
		conditions = append(conditions, c)
	}
	if f.Customer != "" {
		if !order.CustomerIDForm.Fits(f.Customer) {
			faults = append(faults, Fault{Parameter: "customer", Detail: "must be a customer's ID: " + order.CustomerIDForm.Must})
		}
		conditions = append(conditions, attributeIn(workflows.SearchAttributeCustomer.GetName(), []string{order.CustomerKey(f.Customer)}))
	}
	if f.Step != "" {
		if !hasStep(types, f.Step) {
			faults = append(faults, Fault{Parameter: "step", Detail: "is no step of these sagas"})
		}
		conditions = append(conditions, attributeIn(compensation.SearchAttributeStep.GetName(), []string{f.Step}))
	}
	parkedSince := compensation.SearchAttributeParkedSince.GetName()
	if f.State == "" && (f.ParkedAfter != "" || f.ParkedBefore != "") {
		conditions = append(conditions, inState(compensation.Parked)) // one that was terminated still has the attribute
	}
	for _, bound := range []struct{ parameter, at, comparison string }{
		{"started_after", f.StartedAfter, "StartTime >= "},
		{"started_before", f.StartedBefore, "StartTime < "},
		{"ended_after", f.EndedAfter, "CloseTime >= "},
		{"ended_before", f.EndedBefore, "CloseTime < "},
		{"parked_after", f.ParkedAfter, parkedSince + " >= "},
		{"parked_before", f.ParkedBefore, parkedSince + " < "},
	} {
		if bound.at == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, bound.at)
		if err != nil || at.Before(firstTime) || !at.Before(lastTime) {
			faults = append(faults, Fault{Parameter: bound.parameter, Detail: "must be a time of RFC 3339 from 1970 to 2199"})
			continue
		}
		conditions = append(conditions, bound.comparison+timeLiteral(at))
	}
	return strings.Join(append(conditions, seenBy(c)...), " AND "), faults
}

// What Temporal's stores take for a time is narrower than RFC 3339.
var (
	firstTime = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// timeLiteral is t in a visibility query.
func timeLiteral(t time.Time) string { return "'" + t.UTC().Format(time.RFC3339Nano) + "'" }

// attributeIn is the condition that a keyword is one of these values, which have nothing that would need quoting.
func attributeIn(name string, values []string) string {
	if len(values) == 1 {
		return name + " = '" + values[0] + "'"
	}
	return name + " IN ('" + strings.Join(values, "', '") + "')"
}

// inState finds what [compensation.StateOf] says is in the state; "" is any.
func inState(state compensation.State) string {
	attribute := compensation.SearchAttributeState.GetName()
	switch state {
	case compensation.Running, compensation.Compensating, compensation.Parked:
		return "ExecutionStatus = 'Running' AND " + attributeIn(attribute, []string{string(state)})
	case compensation.Completed:
		return "ExecutionStatus = 'Completed'"
	case compensation.Compensated, compensation.CompensatedWithExceptions:
		return "ExecutionStatus IN ('Failed', 'Canceled') AND " + attributeIn(attribute, []string{string(state)})
	case compensation.Terminated:
		return "(ExecutionStatus IN ('Terminated', 'TimedOut') OR (ExecutionStatus IN ('Failed', 'Canceled') AND " +
			attribute + " NOT IN ('" + string(compensation.Compensated) + "', '" + string(compensation.CompensatedWithExceptions) + "')))"
	}
	return ""
}

// workflowTypes are the types of all sagas.
func workflowTypes() []string {
	var types []string
	for _, c := range collections {
		types = append(types, c.workflowType)
	}
	return types
}

// hasStep tells whether sagas of these types have the step.
func hasStep(types []string, step string) bool {
	return slices.ContainsFunc(collections, func(c collection) bool {
		return slices.Contains(types, c.workflowType) &&
			slices.ContainsFunc(c.plan.Steps(), func(st compensation.StepInfo) bool { return st.Name == step })
	})
}
