package compensation_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// A busy participant asks for a pause when it is first asked to do, or to undo.
type busy struct {
	env   *testsuite.TestWorkflowEnvironment
	part  compensation.Part
	pause time.Duration

	mu sync.Mutex
	// dos and undos are the times at which it was asked to do and to undo.
	dos, undos []time.Time
}

func (b *busy) answer(part compensation.Part, asked *[]time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	*asked = append(*asked, b.env.Now())
	if len(*asked) > 1 || part != b.part {
		return nil
	}
	return temporal.NewApplicationErrorWithOptions("busy", "Busy", temporal.ApplicationErrorOptions{NextRetryDelay: b.pause})
}

func (b *busy) do(context.Context, compensation.Key, string) (string, error) {
	return "", b.answer(compensation.PartDo, &b.dos)
}

func (b *busy) undo(context.Context, compensation.Key) error {
	return b.answer(compensation.PartUndo, &b.undos)
}

func (b *busy) refuse(ctx context.Context, _ compensation.Key, _ string) (string, error) {
	return "", compensation.Refuse(ctx, "no", "no", nil)
}

// TestPauseOfAParticipant: a participant that names the time of the next try is not called before then, express or not,
// neither to do nor to undo.
func TestPauseOfAParticipant(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		durable bool
		part    compensation.Part
		pause   time.Duration
	}{
		"express do":             {false, compensation.PartDo, 7 * time.Minute},
		"express do, not long":   {false, compensation.PartDo, 20 * time.Second},
		"durable do":             {true, compensation.PartDo, 7 * time.Minute},
		"express undo":           {false, compensation.PartUndo, 7 * time.Minute},
		"express undo, not long": {false, compensation.PartUndo, 20 * time.Second},
		"durable undo":           {true, compensation.PartUndo, 7 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var suite testsuite.WorkflowTestSuite
			suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			env := suite.NewTestWorkflowEnvironment()
			env.SetWorkerOptions(sagaWorker)
			b := &busy{env: env, part: tt.part, pause: tt.pause}
			take := step{Name: "Take", Do: b.do, Undo: b.undo, Durable: tt.durable, Limit: time.Hour, UndoLimit: time.Hour}
			next := step{Name: "Next", Do: b.refuse, Undo: someUndo, Durable: true}
			pay := step{Name: "Pay", Kind: compensation.Pivot, Do: someDo, Undo: someUndo} // so that undos are express, too
			plan := compensation.MustPlan("Busy", take, next, pay)
			env.RegisterActivity(someUndo)
			env.RegisterActivity(b.do)
			env.RegisterActivity(b.undo)
			env.RegisterActivity(b.refuse)
			saga := func(ctx workflow.Context) (string, error) {
				return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
					if _, err := take.Run(ctx, ""); err != nil {
						return "", err
					}
					return next.Run(ctx, "")
				})
			}
			env.RegisterWorkflowWithOptions(saga, workflow.RegisterOptions{Name: "Busy"})
			env.ExecuteWorkflow("Busy")
			require.ErrorContains(t, env.GetWorkflowError(), "Next refused: no")
			asked, other := b.dos, b.undos
			if tt.part == compensation.PartUndo {
				asked, other = b.undos, b.dos
			}
			require.Len(t, other, 1)
			require.Len(t, asked, 2)
			require.GreaterOrEqual(t, asked[1].Sub(asked[0]), tt.pause)
		})
	}
}

// A participant asks for a longer pause than its step's limit: the step counts as unknown, and an undo parks the saga, as
// where the limit passes.
func TestPauseThatIsLongerThanTheLimit(t *testing.T) {
	t.Parallel()

	month := temporal.NewApplicationErrorWithOptions("busy", "Busy", temporal.ApplicationErrorOptions{NextRetryDelay: 30 * 24 * time.Hour})

	t.Run("do", func(t *testing.T) {
		t.Parallel()

		r := newRun(t, map[string][]error{key("BookHotel"): {month}})
		start := r.Now()
		require.ErrorContains(t, r.execute(r.trip.book), "BookHotel gave up, outcome unknown: busy")
		require.Less(t, r.Now().Sub(start), time.Hour)
		require.Contains(t, r.ran(), "undo "+key("BookHotel"))
	})
	t.Run("undo", func(t *testing.T) {
		t.Parallel()

		r := newRun(t, map[string][]error{key("BookCar"): {errRefused}, key("undo BookHotel"): {month}})
		require.ErrorContains(t, r.execute(r.trip.book), "BookCar refused")
		require.Contains(t, r.states, string(compensation.Parked))
	})
}
