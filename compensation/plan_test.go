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

func TestPlanRefusesWhatCouldNotHold(t *testing.T) {
	t.Parallel()

	fine := step{Name: "Fine", Do: someDo, Undo: someUndo}
	pivot := step{Name: "Pay", Kind: compensation.Pivot, Do: someDo, Undo: someUndo}
	for want, steps := range map[string][]compensation.AnyStep{
		"no steps":                                  {},
		"step fine: a name is a capital letter":     {step{Name: "fine", Do: someDo, Undo: someUndo}},
		"step Fine: the name is used twice":         {fine, fine},
		"step Fine: has no Do":                      {step{Name: "Fine", Undo: someUndo}},
		"step Fine: is compensatable but has no Un": {step{Name: "Fine", Do: someDo}},
		"step Pay: is the pivot but has no Undo":    {step{Name: "Pay", Kind: compensation.Pivot, Do: someDo}},
		"step Buy: is a second pivot after Pay":     {pivot, step{Name: "Buy", Kind: compensation.Pivot, Do: someDo, Undo: someUndo}},
		"step Fine: is compensatable but comes aft": {pivot, fine},
		"step Mail: is retriable but comes before ": {step{Name: "Mail", Kind: compensation.Retriable, Do: someDo}, pivot},
		"step Mail: is retriable, so its Undo woul": {pivot, step{Name: "Mail", Kind: compensation.Retriable, Do: someDo, Undo: someUndo}},
		"so it has no Limit":                        {pivot, step{Name: "Mail", Kind: compensation.Retriable, Do: someDo, Limit: time.Hour}},
		"step Fine: Limit is negative":              {step{Name: "Fine", Do: someDo, Undo: someUndo, Limit: -1}},
		"step Fine: has unknown kind Kind(7)":       {step{Name: "Fine", Kind: 7, Do: someDo, Undo: someUndo}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()

			_, err := compensation.NewPlan("Trip", steps...)
			require.ErrorContains(t, err, "plan Trip: ")
			require.ErrorContains(t, err, want)
		})
	}
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
