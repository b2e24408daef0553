package compensation_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
)

// agency has the activities of the tour plans.
type agency struct{}

func (*agency) Book(context.Context, compensation.Key, string) (string, error) { return "booked", nil }
func (*agency) Cancel(context.Context, compensation.Key) error                 { return nil }
func (*agency) IsBooked(context.Context, compensation.Key) (string, error)     { return "is booked", nil }

func (*agency) Charge(context.Context, compensation.Key, string) (string, error) {
	return "charged", nil
}
func (*agency) PreventCharge(context.Context, compensation.Key) error { return nil }

var noAgency *agency

// The steps of the tours. In sums of their limits each is its own minutes (Limit) or hours (UndoLimit), and each second is
// for express tries.
var (
	tourTrain = step{Name: "BookTrain", Do: noAgency.Book, Undo: noAgency.Cancel, Limit: time.Minute, UndoLimit: time.Hour}
	tourHotel = step{Name: "BookHotel", Do: noAgency.Book, Undo: noAgency.Cancel, Limit: 2 * time.Minute, UndoLimit: 2 * time.Hour}
	tourFerry = step{
		Name: "BookFerry", Do: noAgency.Book, Undo: noAgency.Cancel, Durable: true, Limit: 4 * time.Minute, UndoLimit: 4 * time.Hour,
	}
	tourGuide = step{
		Name: "BookGuide", Do: noAgency.Book, Undo: noAgency.Cancel, Limit: 8 * time.Minute, UndoLimit: 8 * time.Hour,
		OnUnknown: compensation.ProbeUnknown, Probe: noAgency.IsBooked, AttemptTimeout: 2 * time.Minute,
	}
	tourPay = step{
		Name: "Pay", Kind: compensation.Pivot, Do: noAgency.Charge, Undo: noAgency.PreventCharge,
		Limit: 16 * time.Minute, UndoLimit: 16 * time.Hour, Retry: temporal.RetryPolicy{MaximumAttempts: 7},
	}
	tourTicket = step{Name: "SendTicket", Kind: compensation.Retriable, Do: noAgency.Book}
	tourMail   = step{Name: "SendMail", Kind: compensation.Retriable, Do: someDo}

	tour = compensation.MustPlan("Tour",
		tourTrain, compensation.Parallel(tourHotel, tourFerry), tourGuide, tourPay, compensation.Parallel(tourTicket, tourMail),
	).WithDeadline(time.Hour)
)

func TestSteps(t *testing.T) {
	t.Parallel()

	require.Equal(t, []compensation.StepInfo{
		{
			Name: "BookTrain", Kind: compensation.Compensatable, Group: 1, Express: true, Participant: "agency", Do: "Book", Undo: "Cancel",
			AttemptTimeout: compensation.DefaultAttemptTimeout, Limit: time.Minute, UndoLimit: time.Hour,
		},
		{
			Name: "BookHotel", Kind: compensation.Compensatable, Group: 2, Express: true, Participant: "agency", Do: "Book", Undo: "Cancel",
			AttemptTimeout: compensation.DefaultAttemptTimeout, Limit: 2 * time.Minute, UndoLimit: 2 * time.Hour,
		},
		{
			Name: "BookFerry", Kind: compensation.Compensatable, Group: 2, Express: false, Participant: "agency", Do: "Book", Undo: "Cancel",
			AttemptTimeout: compensation.DefaultAttemptTimeout, Limit: 4 * time.Minute, UndoLimit: 4 * time.Hour,
		},
		{
			Name: "BookGuide", Kind: compensation.Compensatable, Group: 3, Express: true, Participant: "agency", Do: "Book", Undo: "Cancel",
			Probe: "IsBooked", OnUnknown: compensation.ProbeUnknown,
			AttemptTimeout: 2 * time.Minute, Limit: 8 * time.Minute, UndoLimit: 8 * time.Hour,
		},
		{
			Name: "Pay", Kind: compensation.Pivot, Group: 4, Express: true, Participant: "agency", Do: "Charge", Undo: "PreventCharge",
			AttemptTimeout: compensation.DefaultAttemptTimeout, Limit: 16 * time.Minute, MaximumAttempts: 7, UndoLimit: 16 * time.Hour,
		},
		{
			Name: "SendTicket", Kind: compensation.Retriable, Group: 5, Express: true, Participant: "agency", Do: "Book",
			AttemptTimeout: compensation.DefaultAttemptTimeout,
		},
		{
			Name: "SendMail", Kind: compensation.Retriable, Group: 5, Express: true, Do: "someDo",
			AttemptTimeout: compensation.DefaultAttemptTimeout,
		},
	}, tour.Steps())
	require.Equal(t, "Pay", tour.Pivot())
	require.Equal(t, time.Hour, tour.Deadline())

	onlyTrain := compensation.MustPlan("Commute", tourTrain)
	require.Empty(t, onlyTrain.Pivot())
	require.Zero(t, onlyTrain.Deadline())
	for _, st := range tour.Durable().Steps() {
		require.False(t, st.Express, st.Name)
	}
	require.True(t, tour.Steps()[0].Express, "the plan itself is as it was")
}

func TestPlanJSON(t *testing.T) {
	t.Parallel()

	short := compensation.MustPlan("Tour", tourFerry, tourPay, tourMail).WithDeadline(90 * time.Minute)
	text, err := json.MarshalIndent(short, "", "  ")
	require.NoError(t, err)
	require.JSONEq(t, `{
  "saga": "Tour",
  "pivot": "Pay",
  "deadline": "1h30m0s",
  "steps": [
    {
      "name": "BookFerry",
      "kind": "compensatable",
      "group": 1,
      "express": false,
      "participant": "agency",
      "do": "Book",
      "undo": "Cancel",
      "on_unknown": "undo",
      "attempt_timeout": "10s",
      "limit": "4m0s",
      "undo_limit": "4h0m0s"
    },
    {
      "name": "Pay",
      "kind": "pivot",
      "group": 2,
      "express": true,
      "participant": "agency",
      "do": "Charge",
      "undo": "PreventCharge",
      "maximum_attempts": 7,
      "attempt_timeout": "10s",
      "limit": "16m0s",
      "undo_limit": "16h0m0s"
    },
    {
      "name": "SendMail",
      "kind": "retriable",
      "group": 3,
      "express": true,
      "do": "someDo",
      "attempt_timeout": "10s"
    }
  ]
}`, string(text))
}

func TestActivities(t *testing.T) {
	t.Parallel()

	activities := compensation.MustPlan("Tour", tourGuide, tourPay, tourMail).Activities()
	type named struct {
		step string
		part compensation.Part
		name string
	}
	var got []named
	for _, a := range activities {
		got = append(got, named{a.Step, a.Part, a.Name})
	}
	require.Equal(t, []named{
		{"BookGuide", compensation.PartDo, "Book"},
		{"BookGuide", compensation.PartUndo, "Cancel"},
		{"BookGuide", compensation.PartProbe, "IsBooked"},
		{"Pay", compensation.PartDo, "Charge"},
		{"Pay", compensation.PartUndo, "PreventCharge"},
		{"SendMail", compensation.PartDo, "someDo"},
	}, got)

	probe, ok := activities[2].Func.(func(context.Context, compensation.Key) (string, error))
	require.True(t, ok)
	answer, err := probe(t.Context(), compensation.Key{})
	require.NoError(t, err)
	require.Equal(t, "is booked", answer)
}
