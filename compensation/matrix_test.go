package compensation_test

import (
	"testing"

	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// leg is a step of a saga, or its repeat for an item.
type leg struct {
	step
	item string
}

func (l leg) start(ctx workflow.Context) *compensation.Future[string] {
	if l.item == "" {
		return l.Start(ctx, l.Name)
	}
	return l.For(l.item).Start(ctx, l.Name)
}

func (l leg) label() string {
	if l.item == "" {
		return l.Name
	}
	return l.Name + "." + l.item
}

// inOrder is a saga that runs the steps of a plan, those of a group beside each other.
type inOrder [][]leg

func (s inOrder) plan() *compensation.Plan {
	groups := make([]compensation.AnyStep, len(s))
	for i, group := range s {
		var steps []compensation.AnyStep
		for j, l := range group {
			if j == 0 || group[j-1].Name != l.Name {
				steps = append(steps, l.step)
			}
		}
		groups[i] = compensation.Parallel(steps...)
	}
	return compensation.MustPlan("InOrder", groups...)
}

func (s inOrder) run(ctx workflow.Context, plan *compensation.Plan) (string, error) {
	return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
		for _, group := range s {
			var started []*compensation.Future[string]
			for _, l := range group {
				started = append(started, l.start(ctx))
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

// beside are steps that start together.
func beside(steps ...step) []leg {
	group := make([]leg, len(steps))
	for i, st := range steps {
		group[i] = leg{step: st}
	}
	return group
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
		"express":       {beside(compensatable("A")), beside(compensatable("B"), compensatable("C")), beside(pivot()), beside(retriable("X"), retriable("Y"))},
		"without pivot": {beside(compensatable("A")), beside(compensatable("B"), compensatable("C")), beside(durably(compensatable("D")))},
		"mixed":         {beside(compensatable("A"), durably(compensatable("B"))), beside(compensatable("C")), beside(pivot()), beside(durably(retriable("X")), retriable("Y"))},
		"durable pivot": {beside(compensatable("A")), beside(durably(pivot())), beside(retriable("X"))},
		"on unknown": {
			beside(onUnknown(compensatable("A"), compensation.ProbeUnknown)),
			beside(onUnknown(compensatable("B"), compensation.ParkUnknown), durably(onUnknown(compensatable("C"), compensation.ProbeUnknown))),
			beside(pivot()), beside(retriable("X")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			matrix(t, saga, saga.plan())
		})
	}
	t.Run("durable", func(t *testing.T) {
		t.Parallel()

		saga := inOrder{beside(compensatable("A"), compensatable("B")), beside(pivot()), beside(retriable("X"))}
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
