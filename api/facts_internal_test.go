package api

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

// What is told of the payment never says more than what its two steps say.
func TestFacts(t *testing.T) {
	t.Parallel()
	type outcome struct {
		do   compensation.DoState
		undo compensation.UndoState
	}
	none := outcome{compensation.DoWaiting, compensation.UndoNone}
	done := outcome{compensation.DoDone, compensation.UndoNone}
	for name, tt := range map[string]struct {
		state              compensation.State
		authorize, capture outcome
		want               factual
	}{
		"not begun":                    {compensation.Running, none, none, "open"},
		"being authorized":             {compensation.Running, outcome{compensation.DoRunning, compensation.UndoNone}, none, "unsettled"},
		"authorized":                   {compensation.Running, done, none, "held"},
		"being captured":               {compensation.Running, done, outcome{compensation.DoRunning, compensation.UndoNone}, "unsettled"},
		"captured, or not":             {compensation.Parked, done, outcome{compensation.DoUnknown, compensation.UndoNone}, "unsettled"},
		"captured":                     {compensation.Running, done, done, "charged"},
		"captured by hand":             {compensation.Completed, done, outcome{compensation.DoMarkedDone, compensation.UndoNone}, "charged"},
		"turned back":                  {compensation.Compensating, outcome{compensation.DoDone, compensation.UndoWaiting}, outcome{compensation.DoRefused, compensation.UndoNone}, "being_released"},
		"being undone":                 {compensation.Compensating, outcome{compensation.DoDone, compensation.UndoRunning}, none, "being_released"},
		"undo parked":                  {compensation.Parked, outcome{compensation.DoDone, compensation.UndoFailed}, none, "being_released"},
		"undone":                       {compensation.Compensated, outcome{compensation.DoDone, compensation.UndoDone}, outcome{compensation.DoNotRun, compensation.UndoPrevented}, "released"},
		"undone by hand":               {compensation.Compensated, outcome{compensation.DoDone, compensation.UndoMarkedDone}, none, "released"},
		"left standing":                {compensation.CompensatedWithExceptions, outcome{compensation.DoDone, compensation.UndoSkipped}, none, "held"},
		"left standing, unknown":       {compensation.CompensatedWithExceptions, outcome{compensation.DoUnknown, compensation.UndoSkipped}, none, "unsettled"},
		"unknown, being undone":        {compensation.Compensating, outcome{compensation.DoUnknown, compensation.UndoRunning}, none, "unsettled"},
		"unknown, undone":              {compensation.Compensated, outcome{compensation.DoUnknown, compensation.UndoDone}, none, "none"},
		"refused":                      {compensation.Compensated, outcome{compensation.DoRefused, compensation.UndoNone}, none, "none"},
		"refused on the second try":    {compensation.Compensated, outcome{compensation.DoRefused, compensation.UndoDone}, none, "none"},
		"prevented":                    {compensation.Compensated, outcome{compensation.DoNotRun, compensation.UndoPrevented}, none, "none"},
		"skipped":                      {compensation.Completed, done, outcome{compensation.DoSkipped, compensation.UndoNone}, "held"},
		"terminated":                   {compensation.Terminated, none, none, "unknown"},
		"terminated after it was done": {compensation.Terminated, done, done, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := factsOf(orderMatters, compensation.Status{State: tt.state, Steps: []compensation.StepStatus{
				{Name: "AuthorizePayment", Do: tt.authorize.do, Undo: tt.authorize.undo},
				{Name: "CapturePayment", Do: tt.capture.do, Undo: tt.capture.undo},
			}})
			require.Equal(t, fact{"payment", tt.want}, facts[0])
			require.Contains(t, factual("").Schema(nil).Enum, string(tt.want))
		})
	}
}

// Every step that facts are made of is one of the plan, in its order, and has an undo if its word says so.
func TestMattersFitThePlans(t *testing.T) {
	t.Parallel()
	for _, c := range collections {
		steps := c.plan.Steps()
		for _, m := range c.matters {
			last := -1
			for _, st := range m.stages {
				at := slices.IndexFunc(steps, func(info compensation.StepInfo) bool { return info.Name == st.step })
				require.Greater(t, at, last, st.step)
				require.Equal(t, steps[at].Kind == compensation.Compensatable, st.undone != "", st.step)
				last = at
			}
		}
	}
}
