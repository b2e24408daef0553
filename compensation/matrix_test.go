package compensation_test

import (
	"testing"

	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// inOrder is a saga that runs the steps of a plan, those of a group beside each other.
type inOrder [][]step

func (s inOrder) plan() *compensation.Plan {
	groups := make([]compensation.AnyStep, len(s))
	for i, group := range s {
		steps := make([]compensation.AnyStep, len(group))
		for j, st := range group {
			steps[j] = st
		}
		groups[i] = compensation.Parallel(steps...)
	}
	return compensation.MustPlan("InOrder", groups...)
}

func (s inOrder) run(ctx workflow.Context, plan *compensation.Plan) (string, error) {
	return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
		for _, group := range s {
			var started []*compensation.Future[string]
			for _, st := range group {
				started = append(started, st.Start(ctx, st.Name))
			}
			for _, f := range started {
				if _, err := f.Get(ctx); err != nil {
					return "", err
				}
			}
		}
		return "done", nil
	})
}

func compensatable(name string) step { return step{Name: name, Do: someDo, Undo: someUndo} }

func pivot() step {
	return step{Name: "Pay", Kind: compensation.Pivot, Do: someDo, Undo: someUndo}
}

func retriable(name string) step {
	return step{Name: name, Kind: compensation.Retriable, Do: someDo}
}

func durably(st step) step {
	st.Durable = true
	return st
}

func onUnknown(st step, policy compensation.OnUnknown) step {
	st.OnUnknown = policy
	if policy == compensation.ProbeUnknown {
		st.Probe = someProbe
	}
	return st
}

// What holds for every saga holds whatever fails, for plans of every sort.
func TestMatrix(t *testing.T) {
	t.Parallel()

	for name, saga := range map[string]inOrder{
		"express":       {{compensatable("A")}, {compensatable("B"), compensatable("C")}, {pivot()}, {retriable("X"), retriable("Y")}},
		"without pivot": {{compensatable("A")}, {compensatable("B"), compensatable("C")}, {durably(compensatable("D"))}},
		"mixed":         {{compensatable("A"), durably(compensatable("B"))}, {compensatable("C")}, {pivot()}, {durably(retriable("X")), retriable("Y")}},
		"durable pivot": {{compensatable("A")}, {durably(pivot())}, {retriable("X")}},
		"on unknown": {
			{onUnknown(compensatable("A"), compensation.ProbeUnknown)},
			{onUnknown(compensatable("B"), compensation.ParkUnknown), durably(onUnknown(compensatable("C"), compensation.ProbeUnknown))},
			{pivot()}, {retriable("X")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			matrix(t, saga, saga.plan())
		})
	}
	t.Run("durable", func(t *testing.T) {
		t.Parallel()

		saga := inOrder{{compensatable("A"), compensatable("B")}, {pivot()}, {retriable("X")}}
		matrix(t, saga, saga.plan().Durable())
	})
}

func matrix(t *testing.T, saga inOrder, plan *compensation.Plan) {
	t.Helper()
	sagatest.Matrix(t,
		func(t sagatest.TB) *sagatest.Env { return sagatest.New(t, plan) },
		func(env *sagatest.Env) error {
			return env.Run(func(ctx workflow.Context) (string, error) { return saga.run(ctx, plan) })
		})
}
