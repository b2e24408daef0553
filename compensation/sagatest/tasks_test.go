package sagatest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
)

// tour is a saga of five express steps and a pivot.
var (
	legs = []step{
		{Name: "A", Do: do, Undo: undo},
		{Name: "B", Do: do, Undo: undo},
		{Name: "C", Do: do, Undo: undo},
		{Name: "D", Do: do, Undo: undo},
		{Name: "E", Do: do, Undo: undo},
	}
	tour = compensation.MustPlan("Tour", legs[0], legs[1], legs[2], legs[3], legs[4], pay).AtRevision(1) // so that the engine ends no task by itself
)

// A look is a workflow's view of its task.
type look struct {
	at      time.Duration
	length  int
	run     string
	updates string
}

// runTour runs the legs one after the other, and looks around before each and at the end.
func runTour(looks *[]look) func(workflow.Context) (string, error) {
	return func(ctx workflow.Context) (string, error) {
		*looks = nil
		var updates []string
		err := workflow.SetUpdateHandler(ctx, "note", func(_ workflow.Context, text string) error {
			updates = append(updates, text)
			return nil
		})
		if err != nil {
			return "", err
		}
		see := func(ctx workflow.Context) {
			info := workflow.GetInfo(ctx)
			run := info.WorkflowExecution.RunID
			if run == info.OriginalRunID {
				run = "original"
			}
			*looks = append(*looks, look{
				workflow.Now(ctx).Sub(info.WorkflowStartTime), info.GetCurrentHistoryLength(), run, strings.Join(updates, " "),
			})
		}
		return compensation.Run(ctx, tour, func(ctx workflow.Context) (string, error) {
			for _, st := range append(legs[:5:5], pay) {
				see(ctx)
				if _, err := st.Run(ctx, st.Name); err != nil {
					return "", err
				}
			}
			see(ctx)
			return "done", nil
		})
	}
}

func takes(env *sagatest.Env, d time.Duration) {
	for _, st := range tour.Steps() {
		env.Takes(st.Name, d)
	}
}

// A task that lasts for four seconds is completed by a heartbeat. It brings what has arrived, and the history grows.
func TestHeartbeat(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, tour)
	takes(env, 900*time.Millisecond)
	reply := env.UpdateAfter(time.Second, "note", "hello")
	var looks []look
	require.NoError(t, env.Run(runTour(&looks)))
	require.True(t, reply.Answered)
	require.Equal(t, look{3600 * time.Millisecond, 3, "original", ""}, looks[4], "E begins")
	require.Equal(t, look{4500 * time.Millisecond, 11, "original", "hello"}, looks[5],
		"it ends in a second task, after one with four markers and an update")
	env.RequireSound(nil)

	env = sagatest.New(t, tour)
	env.HeartbeatAt("B")
	env.UpdateAfter(time.Second, "note", "late")
	require.NoError(t, env.Run(runTour(&looks)))
	require.Equal(t, 3, looks[1].length)
	require.Equal(t, 7, looks[2].length)
}

// Activities that a heartbeat has put on record are not called again.
func TestWorkerLostAfterAHeartbeat(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, tour)
	takes(env, 900*time.Millisecond)
	env.CrashInFlight("E", nil)
	var looks []look
	require.NoError(t, env.Run(runTour(&looks)))
	env.RequireCalls("A", "B", "C", "D", "E", "E", "Pay")
	require.Equal(t, look{3600 * time.Millisecond, 3, "original", ""}, looks[4], "as it was before")
	require.Equal(t, look{9900 * time.Millisecond, 13, "original", ""}, looks[5],
		"another worker gets the second task five seconds after it began")
	env.RequireEffects("A", "B", "C", "D", "E", "Pay")
}

// A call that takes longer than a try may take is out of time, but still arrives.
func TestCallOutOfTime(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, tour)
	env.Takes("B", 3*time.Second)
	var looks []look
	require.NoError(t, env.Run(runTour(&looks)))
	env.RequireCalls("A", "B", "B", "C", "D", "E", "Pay")
	require.Equal(t, sagatest.Unknown, env.Log()[1].Outcome)
	require.False(t, env.Log()[2].Effect, "the first call has arrived by then")
	require.Equal(t, 4*time.Second, looks[2].at)
}

// An update that a lost task has taken comes again, or not, or another one comes.
func TestUpdateOfALostTask(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		next func(*sagatest.Env, *sagatest.Reply)
		want string
	}{
		"comes again": {func(*sagatest.Env, *sagatest.Reply) {}, "first"},
		"is gone":     {func(e *sagatest.Env, r *sagatest.Reply) { e.GiveUp(r) }, ""},
		"another one": {func(e *sagatest.Env, r *sagatest.Reply) { e.GiveUp(r); e.Update("note", "second") }, "second"},
		"both":        {func(e *sagatest.Env, _ *sagatest.Reply) { e.Update("note", "second") }, "first second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, tour)
			env.HeartbeatAt("B")
			takes(env, 300*time.Millisecond)
			reply := env.UpdateAfter(100*time.Millisecond, "note", "first")
			env.CrashAt("C", func() { tt.next(env, reply) })
			var looks []look
			require.NoError(t, env.Run(runTour(&looks)))
			require.Equal(t, tt.want, looks[6].updates)
			env.RequireSound(nil)
		})
	}
}

// An update that arrives in a saga's last task never reaches it. Temporal's own cancel does: the task is tried again with it.
func TestWhatArrivesInTheLastTask(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, tour)
	reply := env.CancelAt("C")
	var looks []look
	require.NoError(t, env.Run(runTour(&looks)))
	require.ErrorContains(t, reply.Rejected, "already completed")

	env = sagatest.New(t, tour)
	env.RequestCancelAt("C")
	require.NoError(t, env.Run(runTour(&looks)))
	env.RequireCalls("A", "B", "C", "D", "E", "Pay", "undo Pay", "A", "B", "C", "D", "E", "Pay")
	env.RequireSound(nil)
}

// A reset forgets what came after the task that is tried again, in a run of its own. The services forget nothing.
func TestReset(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		reset func(*sagatest.Env)
		want  []string
	}{
		"to the first task":          {func(e *sagatest.Env) { e.ResetAt("C", 1, nil) }, []string{"A", "B", "C", "A", "B", "C", "D", "E", "Pay"}},
		"to the second task":         {func(e *sagatest.Env) { e.ResetAt("C", 2, nil) }, []string{"A", "B", "C", "B", "C", "D", "E", "Pay"}},
		"to the last task":           {func(e *sagatest.Env) { e.ResetAt("C", 9, nil) }, []string{"A", "B", "C", "B", "C", "D", "E", "Pay"}},
		"when the saga has ended":    {func(e *sagatest.Env) { e.ResetAtEnd(2, nil) }, []string{"A", "B", "C", "D", "E", "Pay", "B", "C", "D", "E", "Pay"}},
		"when it has run for a time": {func(e *sagatest.Env) { e.Takes("C", 100*time.Millisecond); e.ResetAfter(50*time.Millisecond, 2, nil) }, []string{"A", "B", "B", "C", "D", "E", "Pay"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, tour)
			env.HeartbeatAt("B")
			tt.reset(env)
			var looks []look
			require.NoError(t, env.Run(runTour(&looks)))
			env.RequireCalls(tt.want...)
			require.NotEqual(t, "original", looks[6].run)
			require.Greater(t, looks[6].length, 3)
			env.RequireSound(nil)
		})
	}
}

// A try after a reset of its activity counts as the first.
func TestResetActivity(t *testing.T) {
	t.Parallel()

	attempt := func(reset bool) int32 {
		env := sagatest.New(t, trip)
		env.Fail("BookCar", 2)
		env.Refuse("BookCar")
		if reset {
			env.ResetActivity("BookCar")
		}
		var refusal compensation.Refusal
		var app *temporal.ApplicationError
		require.ErrorAs(t, env.Run(Trip), &app)
		require.NoError(t, app.Details(&refusal))
		return refusal.Attempt
	}
	require.Equal(t, int32(3), attempt(false))
	require.Equal(t, int32(2), attempt(true))
}

// A slow worker goes on in a later task, too, and stops where its task would end.
func TestSlowWorkerInALaterTask(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, tour)
	env.HeartbeatAt("B")
	env.SlowAt("C", []int{0, 1}, nil)
	var looks []look
	require.NoError(t, env.Run(runTour(&looks)))
	env.RequireCalls("A", "B", "C", "B", "D", "C", "E", "D", "Pay", "E", "Pay")
	env.RequireSound(nil)

	env = sagatest.New(t, tour)
	env.Refuse("E")
	env.SlowAtUndo("Pay", []int{0}, nil)
	require.Error(t, env.Run(runTour(&looks)))
	log := env.Log()
	require.Equal(t, 1, log[len(log)-1].Worker, "the slow worker undoes when it wakes up")
	env.RequireEffects()
}

// The server does not take every result: an engine with its interceptor does not send it such results.
func TestResultsOfASize(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		size  int
		broke string
		state compensation.State
	}{
		"fit":                 {700 << 10, "", compensation.Completed},
		"too large by itself": {3 << 20, "of which Temporal records", compensation.Compensated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			env := sagatest.New(t, tour)
			for _, st := range legs {
				sagatest.Answer(env, st.Name, func(string) string { return strings.Repeat("x", tt.size) })
			}
			var looks []look
			err := env.Run(runTour(&looks))
			env.RequireState(tt.state)
			if tt.broke == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.broke)
			}
		})
	}
}

// Something between worker and service answers in its place.
func TestGarble(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, trip)
	env.Garble("BookCar", 1)
	require.Error(t, env.Run(Trip))
	require.Contains(t, env.Calls(), "undo BookCar")
	env.RequireEffects()
}

// A recorded side effect keeps its result, also in another worker and another run.
func TestSideEffectsAreReplayed(t *testing.T) {
	t.Parallel()

	env := sagatest.New(t, tour)
	env.HeartbeatAt("A")
	env.CrashAt("B", nil)
	env.ResetAt("C", 9, nil)
	var runs []string
	require.NoError(t, env.Run(func(ctx workflow.Context) (string, error) {
		runs = nil
		return compensation.Run(ctx, tour, func(ctx workflow.Context) (string, error) {
			for _, st := range append(legs[:5:5], pay) {
				var run string
				err := workflow.SideEffect(ctx, func(ctx workflow.Context) any { return workflow.GetInfo(ctx).WorkflowExecution.RunID }).Get(&run)
				if err != nil {
					return "", err
				}
				runs = append(runs, run)
				if _, err := st.Run(ctx, st.Name); err != nil {
					return "", err
				}
			}
			return "done", nil
		})
	}))
	require.Equal(t, []string{"run-1", "run-2", "run-2", "run-2", "run-2", "run-2"}, runs, "A was asked for in the first run")
}
