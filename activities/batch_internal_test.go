package activities

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/amends-dev/amends/compensation"
)

// fakeTemporal is the worker's client: it answers updates of a saga as the test says.
type fakeTemporal struct {
	client.Client // panics on what a batch has no business calling

	accept func(client.UpdateWorkflowOptions) error
	answer map[string]error
	sent   []client.UpdateWorkflowOptions
}

func (f *fakeTemporal) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	f.sent = append(f.sent, o)
	if f.accept != nil {
		if err := f.accept(o); err != nil {
			return nil, err
		}
	}
	return fakeUpdate{err: f.answer[o.WorkflowID]}, nil
}

type fakeUpdate struct {
	client.WorkflowUpdateHandle
	err error
}

func (u fakeUpdate) Get(context.Context, any) error { return u.err }

// newActEnv runs ActOnSagas with that client.
func newActEnv(f *fakeTemporal) *testsuite.TestActivityEnvironment {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context, in ActOnSagas) (Acted, error) {
		return actOnSagas(ctx, f, in)
	}, activity.RegisterOptions{Name: "ActOnSagas"})
	return env
}

func act(env *testsuite.TestActivityEnvironment, in ActOnSagas) (Acted, error) {
	in.PerSecond = 1000
	value, err := env.ExecuteActivity("ActOnSagas", in)
	if err != nil {
		return Acted{}, err
	}
	var acted Acted
	err = value.Get(&acted)
	return acted, err
}

var skipIt = compensation.Act{By: "grace", Reason: "lost", Step: "ReserveStock"}

// A saga that does not take the act is reported with its reason, and the others are asked all the same.
func TestActOnSagas(t *testing.T) {
	t.Parallel()
	slow := client.NewWorkflowUpdateServiceTimeoutOrCanceledError(context.DeadlineExceeded)
	f := &fakeTemporal{
		accept: func(o client.UpdateWorkflowOptions) error {
			return map[string]error{"gone": serviceerror.NewNotFound("workflow not found in shard 7"), "stuck": slow}[o.WorkflowID]
		},
		answer: map[string]error{
			"refuses": temporal.NewNonRetryableApplicationError("skip: no step is parked", compensation.ErrTypeActRefused, nil), "busy": slow,
		},
	}

	acted, err := act(newActEnv(f), ActOnSagas{
		IDs: []string{"good", "refuses", "gone", "stuck", "busy"}, Name: compensation.UpdateSkip, Act: skipIt, UpdateID: "skip-batch-7",
	})

	require.NoError(t, err)
	require.Equal(t, Acted{Done: 2, Failures: []ActFailure{
		{Saga: "refuses", Reason: "skip: no step is parked"},
		{Saga: "gone", Reason: "it has ended"},
		{Saga: "stuck", Reason: "no worker answered within 5s; it may still take the act, or not"},
	}}, acted)
	require.Equal(t, client.UpdateWorkflowOptions{
		UpdateID: "skip-batch-7", WorkflowID: "good", UpdateName: "skip", Args: []any{skipIt}, WaitForStage: client.WorkflowUpdateStageAccepted,
	}, f.sent[0])
}

// A saga that receives nothing from Temporal is reported, and the batch goes on.
func TestActOnSagasThatTakeNothing(t *testing.T) {
	t.Parallel()
	f := &fakeTemporal{accept: func(o client.UpdateWorkflowOptions) error {
		return map[string]error{
			"full": serviceerror.NewFailedPrecondition("The limit on the total number of distinct updates in this workflow has been reached (2000). …"),
			"busy": &serviceerror.ResourceExhausted{
				Cause: enumspb.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT, Message: "limit on number of concurrent in-flight updates has been reached (10)",
			},
			"paused":  serviceerror.NewFailedPrecondition("Workflow is paused. Cannot update the workflow."),
			"failing": serviceerror.NewWorkflowNotReady("Unable to perform workflow execution update due to Workflow Task in failed state."),
			"large":   serviceerror.NewInvalidArgument("blob size exceeds limit"),
		}[o.WorkflowID]
	}}

	acted, err := act(newActEnv(f), ActOnSagas{
		IDs: []string{"full", "busy", "paused", "failing", "large", "good"}, Name: compensation.UpdateSkip, Act: skipIt, UpdateID: "skip-batch-7",
	})

	require.NoError(t, err)
	require.Equal(t, Acted{Done: 1, Failures: []ActFailure{
		{Saga: "full", Reason: "it has had as many messages as Temporal accepts for one workflow (history.maxTotalUpdates), and takes no more"},
		{Saga: "busy", Reason: "as many messages to it as Temporal takes at a time were unanswered for 5s"},
		{Saga: "paused", Reason: "its workflow is paused in Temporal"},
		{Saga: "failing", Reason: "its workflow task fails; the worker's log says why"},
		{Saga: "large", Reason: "Temporal refuses it: blob size exceeds limit"},
	}}, acted)
}

// An act that a saga rejects because it would change nothing counts as done.
func TestActOnSagasThatStandSo(t *testing.T) {
	t.Parallel()
	f := &fakeTemporal{answer: map[string]error{
		"undecided":  temporal.NewNonRetryableApplicationError("the saga finds out", compensation.ErrTypeUndecided, nil, compensation.Running),
		"turns back": temporal.NewNonRetryableApplicationError("the saga turns back already", compensation.ErrTypeTurnsBack, nil, compensation.Parked),
		"extended":   temporal.NewNonRetryableApplicationError("the saga has this deadline already", compensation.ErrTypeUnchanged, nil, compensation.Running),
	}}

	acted, err := act(newActEnv(f), ActOnSagas{IDs: []string{"turns back", "extended"}, Name: compensation.UpdateCancel, Act: skipIt})

	require.NoError(t, err)
	require.Equal(t, Acted{Done: 2}, acted)
}

func TestCancelSagas(t *testing.T) {
	t.Parallel()
	f := &fakeTemporal{}

	_, err := act(newActEnv(f), ActOnSagas{IDs: []string{"good"}, Name: compensation.UpdateCancel, Act: skipIt})

	require.NoError(t, err)
	require.Equal(t, []any{compensation.CancelRequest{By: "grace", Reason: "lost"}}, f.sent[0].Args)
}

// The next try goes on where the last heartbeat was.
func TestActOnSagasGoesOn(t *testing.T) {
	t.Parallel()
	f := &fakeTemporal{accept: func(o client.UpdateWorkflowOptions) error {
		if o.WorkflowID == "3" {
			return errors.New("connection reset")
		}
		return nil
	}}
	in := ActOnSagas{IDs: []string{"1", "2", "3"}, Name: compensation.UpdateSkip, Act: skipIt}
	env := newActEnv(f)
	env.SetHeartbeatDetails(Acted{Failures: []ActFailure{{Saga: "1", Reason: "why not"}}})

	_, err := act(env, in)
	require.ErrorContains(t, err, "skip 3: connection reset", "that is no answer of the saga's")
	require.Len(t, f.sent, 2)

	f.accept = nil
	env.SetHeartbeatDetails(Acted{Done: 1, Failures: []ActFailure{{Saga: "1", Reason: "why not"}}})
	acted, err := act(env, in)
	require.NoError(t, err)
	require.Equal(t, Acted{Done: 2, Failures: []ActFailure{{Saga: "1", Reason: "why not"}}}, acted)
	require.Len(t, f.sent, 3)
}

// A heartbeat that cannot be read is no reason to start over: the count would be lost.
func TestActOnSagasReadsHeartbeats(t *testing.T) {
	t.Parallel()
	env := newActEnv(&fakeTemporal{})
	env.SetHeartbeatDetails("nonsense")

	_, err := act(env, ActOnSagas{IDs: []string{"1"}, Name: compensation.UpdateSkip, Act: skipIt})
	require.ErrorContains(t, err, "read how far the try before came: ")
}

// A worker that stops leaves the rest to another one.
func TestActOnSagasStopsWithItsWorker(t *testing.T) {
	t.Parallel()
	f := &fakeTemporal{}
	stop := make(chan struct{})
	env := newActEnv(f)
	env.SetWorkerStopChannel(stop)
	f.accept = func(client.UpdateWorkflowOptions) error { close(stop); return nil }

	acted, err := act(env, ActOnSagas{IDs: make([]string, 1000), Name: compensation.UpdateSkip, Act: skipIt})

	require.NoError(t, err)
	require.Equal(t, 1, acted.Done)
}

// An activity that is canceled while a saga has its act does not know the saga's answer, so it does not report a failure.
func TestActOnSagasIsCanceled(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		accept error
		answer error
		done   int
	}{
		"no answer":  {context.Canceled, nil, 1},
		"a refusal":  {nil, temporal.NewNonRetryableApplicationError("no", compensation.ErrTypeActRefused, nil), 1},
		"an answer":  {nil, nil, 2},
		"was unsure": {client.NewWorkflowUpdateServiceTimeoutOrCanceledError(context.Canceled), nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var cancel context.CancelFunc
			f := &fakeTemporal{answer: map[string]error{"2": tt.answer}}
			f.accept = func(o client.UpdateWorkflowOptions) error {
				if o.WorkflowID != "2" {
					return nil
				}
				cancel()
				return tt.accept
			}
			var acted Acted
			env := newActEnv(f)
			env.RegisterActivityWithOptions(func(ctx context.Context, in ActOnSagas) error {
				canceled, end := context.WithCancel(ctx)
				defer end()
				cancel = end
				var err error
				acted, err = actOnSagas(canceled, f, in)
				return err
			}, activity.RegisterOptions{Name: "Canceled"})
			_, err := env.ExecuteActivity("Canceled", ActOnSagas{
				IDs: []string{"1", "2", "3"}, Name: compensation.UpdateSkip, Act: skipIt, PerSecond: 1000,
			})
			require.NoError(t, err)
			require.Equal(t, Acted{Done: tt.done}, acted)
		})
	}
}
