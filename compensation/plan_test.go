package compensation_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"github.com/amends-dev/amends/compensation"
)

type step = compensation.Step[string, string]

func someDo(context.Context, compensation.Key, string) (string, error) { return "", nil }
func someUndo(context.Context, compensation.Key) error                 { return nil }
func someProbe(context.Context, compensation.Key) (string, error)      { return "", nil }

func TestPlanRefusesWhatCouldNotHold(t *testing.T) {
	t.Parallel()

	fine := step{Name: "Fine", Do: someDo, Undo: someUndo}
	pivot := step{Name: "Pay", Kind: compensation.Pivot, Do: someDo, Undo: someUndo}
	mail := step{Name: "Mail", Kind: compensation.Retriable, Do: someDo}
	// changed is the step with one setting changed.
	changed := func(st step, change func(*step)) step {
		change(&st)
		return st
	}
	for want, steps := range map[string][]compensation.AnyStep{
		"no steps":                                                      {},
		"a Parallel has no steps":                                       {fine, compensation.Parallel()},
		"step fine: a name is a capital letter":                         {step{Name: "fine", Do: someDo, Undo: someUndo}},
		"step Fine: the name is used twice":                             {fine, fine},
		"step Pay: the name is used twice":                              {compensation.Parallel(fine, mail), pivot, compensation.Parallel(pivot)},
		"step Fine: has no Do":                                          {step{Name: "Fine", Undo: someUndo}},
		"step Fine: is compensatable but has no Un":                     {step{Name: "Fine", Do: someDo}},
		"step Pay: is the pivot but has no Undo":                        {step{Name: "Pay", Kind: compensation.Pivot, Do: someDo}},
		"step Buy: is a second pivot after Pay":                         {pivot, step{Name: "Buy", Kind: compensation.Pivot, Do: someDo, Undo: someUndo}},
		"step Fine: is compensatable but comes aft":                     {pivot, fine},
		"step Mail: is retriable but comes before ":                     {mail, pivot},
		"step Mail: is retriable, so its Undo woul":                     {pivot, changed(mail, func(st *step) { st.Undo = someUndo })},
		"so it has no Limit":                                            {pivot, changed(mail, func(st *step) { st.Limit = time.Hour })},
		"step Mail: is retriable, so it has no Und":                     {pivot, changed(mail, func(st *step) { st.UndoLimit = time.Hour })},
		"so it has no MaximumAttempts":                                  {pivot, changed(mail, func(st *step) { st.Retry.MaximumAttempts = 3 })},
		"step Fine: AttemptTimeout is negative":                         {changed(fine, func(st *step) { st.AttemptTimeout = -1 })},
		"step Fine: Retry.InitialInterval is negative":                  {changed(fine, func(st *step) { st.Retry.InitialInterval = -1 })},
		"step Fine: Retry.BackoffCoefficient is less than 1":            {changed(fine, func(st *step) { st.Retry.BackoffCoefficient = .5 })},
		"step Fine: Retry.MaximumInterval is negative":                  {changed(fine, func(st *step) { st.Retry.MaximumInterval = -1 })},
		"step Fine: Retry.MaximumAttempts is negative":                  {changed(fine, func(st *step) { st.Retry.MaximumAttempts = -1 })},
		"step Fine: Retry.MaximumInterval is less than InitialInterval": {changed(fine, func(st *step) { st.Retry.InitialInterval, st.Retry.MaximumInterval = time.Minute, time.Second })},
		"step Fine: Limit is negative":                                  {changed(fine, func(st *step) { st.Limit = -1 })},
		"step Fine: UndoLimit is negative":                              {changed(fine, func(st *step) { st.UndoLimit = -1 })},
		"step Fine: has unknown kind Kind(7)":                           {changed(fine, func(st *step) { st.Kind = 7 })},
		"step Fine: has unknown OnUnknown(7)":                           {changed(fine, func(st *step) { st.OnUnknown = 7 })},
		"step Fine: has OnUnknown probe but no Pro":                     {changed(fine, func(st *step) { st.OnUnknown = compensation.ProbeUnknown })},
		"step Fine: has a Probe that its OnUnknown":                     {changed(fine, func(st *step) { st.Probe = someProbe })},
		"step Pay: is not compensatable, so it has":                     {changed(pivot, func(st *step) { st.OnUnknown = compensation.ParkUnknown })},
		"step Mail: is not compensatable, so it ha":                     {pivot, changed(mail, func(st *step) { st.OnUnknown = compensation.ParkUnknown })},
		"step Fine: Settle is negative":                                 {changed(fine, func(st *step) { st.Settle = -1 })},
		"step Fine: has a Settle but is not Durabl":                     {changed(fine, func(st *step) { st.Settle = 1 })},
		"step Mail: is retriable, so there is no u":                     {pivot, changed(mail, func(st *step) { st.Settle, st.Durable = 1, true })},
		"step Pay: is a pivot beside other steps":                       {compensation.Parallel(fine, pivot), mail},
		"step Pay: is a pivot beside other":                             {compensation.Parallel(pivot, mail)},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()

			_, err := compensation.NewPlan("Trip", steps...)
			require.ErrorContains(t, err, "plan Trip: ")
			require.ErrorContains(t, err, want)
		})
	}
}

func TestPlanAcceptsWhatHolds(t *testing.T) {
	t.Parallel()

	probing := step{Name: "Ask", Do: someDo, Undo: someUndo, OnUnknown: compensation.ProbeUnknown, Probe: someProbe}
	parking := step{Name: "Wait", Do: someDo, Undo: someUndo, OnUnknown: compensation.ParkUnknown, UndoLimit: time.Hour}
	pivot := step{
		Name: "Pay", Kind: compensation.Pivot, Do: someDo, Undo: someUndo, Durable: true, Settle: time.Minute, UndoLimit: time.Hour,
	}
	mail := step{Name: "Mail", Kind: compensation.Retriable, Do: someDo}
	_, err := compensation.NewPlan("Trip", compensation.Parallel(probing, parking), compensation.Parallel(pivot), mail)
	require.NoError(t, err)
}

func TestPlanNamesEveryFault(t *testing.T) {
	t.Parallel()

	_, err := compensation.NewPlan("Trip", step{Name: "A"}, step{Name: "B"})
	require.ErrorContains(t, err, "step A: has no Do")
	require.ErrorContains(t, err, "step B: has no Do")
	require.PanicsWithValue(t, "compensation: "+err.Error(), func() {
		compensation.MustPlan("Trip", step{Name: "A"}, step{Name: "B"})
	})
}

// Defects of the workflow's code fail the workflow task, with a text that says what to mend.
func TestDefectsOfTheWorkflow(t *testing.T) {
	t.Parallel()

	for want, body := range map[string]func(*run, workflow.Context) error{
		"step Other is not in plan Trip": func(_ *run, ctx workflow.Context) error {
			_, err := step{Name: "Other"}.Run(ctx, "")
			return err
		},
		"step BookFlight was started twice": func(r *run, ctx workflow.Context) error {
			r.trip.flight.Start(ctx, "")
			r.trip.flight.Start(ctx, "")
			return nil
		},
		"pivot Pay was started while BookFlight was running": func(r *run, ctx workflow.Context) error {
			r.trip.flight.Start(ctx, "")
			r.trip.pay.Start(ctx, "")
			return nil
		},
		"step SendMail is retriable but was started before the pivot": func(r *run, ctx workflow.Context) error {
			r.trip.mail.Start(ctx, "")
			return nil
		},
		"step BookCar is compensatable but was started after the pivot Pay": func(r *run, ctx workflow.Context) error {
			if _, err := r.trip.pay.Run(ctx, ""); err != nil {
				return err
			}
			r.trip.car.Start(ctx, "")
			return nil
		},
		"the body of Trip failed after its pivot Pay": func(r *run, ctx workflow.Context) error {
			if _, err := r.trip.pay.Run(ctx, ""); err != nil {
				return err
			}
			return errDown
		},
		"the body of Trip failed after its pivot Pay, when": func(r *run, ctx workflow.Context) error {
			r.trip.pay.Start(ctx, "")
			return errDown
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()

			r := newRun(t, nil)
			err := r.execute(func(ctx workflow.Context) (string, error) { return "", body(r, ctx) })
			require.ErrorContains(t, err, want)
		})
	}
}

func TestStepOutsideASagaPanics(t *testing.T) {
	t.Parallel()

	r := newRun(t, nil)
	r.ExecuteWorkflow(func(ctx workflow.Context) error {
		_, err := r.trip.flight.Run(ctx, "")
		return err
	})
	require.ErrorContains(t, r.GetWorkflowError(), "its context is not that of a saga's body")
}

func TestKeyText(t *testing.T) {
	t.Parallel()

	for text, k := range map[string]compensation.Key{
		"order-42:ReserveStock":        {Saga: "order-42", Step: "ReserveStock"},
		"order-42:ReserveStock.berlin": {Saga: "order-42", Step: "ReserveStock", Item: "berlin"},
		"a:b.c/d e:Step.1":             {Saga: "a:b.c/d e", Step: "Step", Item: "1"},
	} {
		require.Equal(t, text, k.String())
		parsed, err := compensation.ParseKey(text)
		require.NoError(t, err)
		require.Equal(t, k, parsed)
		encoded, err := json.Marshal(k)
		require.NoError(t, err)
		require.JSONEq(t, `"`+text+`"`, string(encoded))
	}
	for _, text := range []string{"", "order-42", ":Step", "order-42:", "order-42:step", "order-42:Step.", "order-42:Step.a b", "order-42:Step.a.b"} {
		_, err := compensation.ParseKey(text)
		require.Error(t, err, text)
	}
}

func TestKeyTextIsUnambiguous(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		k := compensation.Key{
			Saga: rapid.StringN(1, 40, -1).Draw(t, "saga"),
			Step: rapid.StringMatching(`[A-Z][A-Za-z0-9]{0,9}`).Draw(t, "step"),
			Item: rapid.StringMatching(`([A-Za-z0-9_-]{1,9})?`).Draw(t, "item"),
		}
		parsed, err := compensation.ParseKey(k.String())
		require.NoError(t, err)
		require.Equal(t, k, parsed)
	})
}
