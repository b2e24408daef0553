package compensation_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// Undos of the tours' steps, express or not.
func express(st step) compensation.UndoInfo {
	u := durable(st)
	u.Express, u.Within = true, u.Within+compensation.ExpressLimit
	return u
}

func durable(st step) compensation.UndoInfo {
	u := compensation.UndoInfo{Step: st.Name, Activity: "Cancel", Within: st.UndoLimit}
	if st.Kind == compensation.Pivot {
		u.Activity, u.Fence = "PreventCharge", true
	}
	return u
}

func TestFailAt(t *testing.T) {
	t.Parallel()

	type undos = []compensation.UndoInfo
	allBack := undos{express(tourPay), express(tourGuide), durable(tourFerry), express(tourHotel), express(tourTrain)}
	durablePay := tourPay
	durablePay.Durable = true
	slowestFirst := compensation.MustPlan("Tour", compensation.Parallel(tourHotel, tourTrain))

	for name, tt := range map[string]struct {
		plan *compensation.Plan
		want compensation.Failure
	}{
		"the first step": {tour, compensation.Failure{
			Step: "BookTrain", Started: []string{},
			Undo:   undos{},
			AtMost: undos{express(tourPay), express(tourGuide), express(tourHotel), express(tourTrain)},
			Within: 27*time.Hour + time.Minute + 5*time.Second,
		}},
		"the first of a group": {tour, compensation.Failure{
			Step: "BookHotel", Started: []string{"BookTrain", "BookFerry"},
			Undo:   undos{express(tourPay), durable(tourFerry), express(tourTrain)},
			AtMost: allBack,
			Within: 29*time.Hour + 5*time.Minute + 5*time.Second,
		}},
		"the last of a group": {tour, compensation.Failure{
			Step: "BookFerry", Started: []string{"BookTrain", "BookHotel"},
			Undo:   undos{express(tourPay), durable(tourFerry), express(tourHotel), express(tourTrain)},
			AtMost: allBack,
			Within: 29*time.Hour + 5*time.Minute + 5*time.Second,
		}},
		"after a group, with a probe": {tour, compensation.Failure{
			Step: "BookGuide", Started: []string{"BookTrain", "BookHotel", "BookFerry"},
			Undo:   undos{express(tourPay), durable(tourFerry), express(tourHotel), express(tourTrain)},
			AtMost: allBack,
			// The probe takes two minutes at most, as one try of it may.
			Within: 29*time.Hour + 15*time.Minute + 6*time.Second,
		}},
		"the pivot": {tour, compensation.Failure{
			Step: "Pay", Started: []string{"BookTrain", "BookHotel", "BookFerry", "BookGuide"},
			Undo:   allBack,
			AtMost: allBack,
			Within: 29*time.Hour + 31*time.Minute + 7*time.Second,
		}},
		"after the pivot": {tour, compensation.Failure{
			Step: "SendTicket", Started: []string{"BookTrain", "BookHotel", "BookFerry", "BookGuide", "Pay", "SendMail"}, Parks: true,
			Undo: undos{}, AtMost: undos{},
		}},
		"every step durable": {tour.Durable(), compensation.Failure{
			Step: "BookGuide", Started: []string{"BookTrain", "BookHotel", "BookFerry"},
			Undo:   undos{durable(tourGuide), durable(tourFerry), durable(tourHotel), durable(tourTrain)},
			AtMost: undos{durable(tourGuide), durable(tourFerry), durable(tourHotel), durable(tourTrain)},
			Within: 13*time.Hour + 15*time.Minute,
		}},
		"no pivot": {compensation.MustPlan("Tour", tourTrain, tourHotel, tourGuide), compensation.Failure{
			Step: "BookGuide", Started: []string{"BookTrain", "BookHotel"},
			Undo:   undos{express(tourHotel), express(tourTrain)},
			AtMost: undos{express(tourGuide), express(tourHotel), express(tourTrain)},
			Within: 11*time.Hour + 13*time.Minute + 6*time.Second,
		}},
		"no pivot, one group": {slowestFirst, compensation.Failure{
			Step: "BookTrain", Started: []string{"BookHotel"},
			Undo:   undos{express(tourHotel)},
			AtMost: undos{express(tourTrain), express(tourHotel)},
			Within: 2*time.Hour + 2*time.Minute + 3*time.Second,
		}},
		"a durable pivot, before it": {compensation.MustPlan("Tour", tourTrain, tourHotel, durablePay), compensation.Failure{
			Step: "BookHotel", Started: []string{"BookTrain"},
			Undo:   undos{express(tourTrain)},
			AtMost: undos{express(tourHotel), express(tourTrain)},
			Within: 3*time.Hour + 3*time.Minute + 4*time.Second,
		}},
		"a durable pivot": {compensation.MustPlan("Tour", tourTrain, durablePay), compensation.Failure{
			Step: "Pay", Started: []string{"BookTrain"},
			Undo:   undos{durable(durablePay), express(tourTrain)},
			AtMost: undos{durable(durablePay), express(tourTrain)},
			Within: 17*time.Hour + 17*time.Minute + 2*time.Second,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			tt.want.Saga = "Tour"
			f, err := tt.plan.FailAt(tt.want.Step)
			require.NoError(t, err)
			require.Equal(t, tt.want, f)
		})
	}
}

func TestFailAtUnknownStep(t *testing.T) {
	t.Parallel()

	_, err := compensation.MustPlan("Tour", tourTrain, tourHotel).FailAt("BookTrane")
	require.EqualError(t, err, `Tour has no step "BookTrane"; its steps are BookTrain, BookHotel`)
	_, err = compensation.MustPlan("Tour", tourTrain, tourHotel).MermaidFailAt("BookTrane")
	require.EqualError(t, err, `Tour has no step "BookTrane"; its steps are BookTrain, BookHotel`)
}

func TestFailureJSON(t *testing.T) {
	t.Parallel()

	f, err := compensation.MustPlan("Tour", tourFerry, tourPay, tourMail).FailAt("Pay")
	require.NoError(t, err)
	text, err := json.MarshalIndent(f, "", "  ")
	require.NoError(t, err)
	require.JSONEq(t, `{
  "saga": "Tour",
  "step": "Pay",
  "started": [
    "BookFerry"
  ],
  "parks": false,
  "undo": [
    {
      "step": "Pay",
      "fence": true,
      "activity": "PreventCharge",
      "express": true,
      "within": "16h0m1s"
    },
    {
      "step": "BookFerry",
      "activity": "Cancel",
      "express": false,
      "within": "4h0m0s"
    }
  ],
  "at_most": [
    {
      "step": "Pay",
      "fence": true,
      "activity": "PreventCharge",
      "express": true,
      "within": "16h0m1s"
    },
    {
      "step": "BookFerry",
      "activity": "Cancel",
      "express": false,
      "within": "4h0m0s"
    }
  ],
  "within": "20h20m2s"
}`, string(text))

	f, err = compensation.MustPlan("Tour", tourPay, tourMail).FailAt("SendMail")
	require.NoError(t, err)
	text, err = json.Marshal(f)
	require.NoError(t, err)
	require.JSONEq(t, `{"saga":"Tour","step":"SendMail","started":["Pay"],"parks":true,"undo":[],"at_most":[]}`, string(text))
}

// What FailAt says is what the engine does.
func TestFailAtIsWhatHappens(t *testing.T) {
	t.Parallel()

	for _, st := range newTrip(nil).plan.Steps() {
		if st.Kind == compensation.Retriable {
			continue // parks for ever
		}
		for name, certain := range map[string]bool{st.Name + " seen by one try": true, st.Name + " after a lost try": false} {
			for shape, reshape := range map[string]func(*trip){
				" as it is":                func(*trip) {},
				" with a durable step":     func(tr *trip) { tr.hotel.Durable = true },
				" with the pivot durable":  func(tr *trip) { tr.pay.Durable = true },
				" with every step durable": nil,
			} {
				t.Run(name+shape, func(t *testing.T) {
					t.Parallel()

					r := newRun(t, map[string][]error{key(st.Name): {errRefused}})
					if reshape != nil {
						reshape(&r.trip)
					}
					r.trip.plan = compensation.MustPlan("Trip",
						r.trip.flight, compensation.Parallel(r.trip.hotel, r.trip.car), r.trip.pay, r.trip.ticket, r.trip.mail)
					if reshape == nil {
						r.trip.plan = r.trip.plan.Durable()
					}
					if !certain {
						r.SetCurrentHistoryLength(6)
					}
					require.Error(t, r.execute(r.trip.bookInGroups))

					f, err := r.trip.plan.FailAt(st.Name)
					require.NoError(t, err)
					undos := f.Undo
					if !certain {
						undos = f.AtMost
					}
					want := []string{}
					for _, u := range undos {
						want = append(want, key("undo "+u.Step))
					}
					undone := slices.DeleteFunc(r.ran(), func(call string) bool { return !strings.HasPrefix(call, "undo ") })
					require.Equal(t, besideEachOther(want), besideEachOther(undone))
				})
			}
		}
	}
}

// besideEachOther sorts what started together: ordinary activities are run in any order.
func besideEachOther(undone []string) []string {
	i := slices.Index(undone, key("undo BookHotel"))
	if j := slices.Index(undone, key("undo BookCar")); i >= 0 && j == i+1 {
		undone[i], undone[j] = undone[j], undone[i]
	}
	return undone
}

// bookInGroups runs every step, the hotel and the car beside each other.
func (t trip) bookInGroups(ctx workflow.Context) (string, error) {
	if _, err := t.flight.Run(ctx, ""); err != nil {
		return "", err
	}
	hotel, car := t.hotel.Start(ctx, ""), t.car.Start(ctx, "")
	for _, f := range []*compensation.Future[string]{hotel, car} {
		if _, err := f.Get(ctx); err != nil {
			return "", err
		}
	}
	_, err := t.pay.Run(ctx, "")
	return "", err
}
