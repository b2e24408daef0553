package worker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
)

func TestHandBack(t *testing.T) {
	t.Parallel()

	unanswered := temporal.NewApplicationError("no answer", "Unanswered")
	refused := temporal.NewNonRetryableApplicationError("declined", "Refused", nil)
	for _, tt := range []struct {
		name  string
		local bool
		// activity gets stop, which is what the worker does at its limit.
		activity func(ctx context.Context, stop func()) error
		want     string
		pause    time.Duration
	}{
		{"done in time", false, func(context.Context, func()) error { return nil }, "", 0},
		{"fails by itself", false, func(context.Context, func()) error { return unanswered }, "Unanswered", 0},
		{"is in the middle", false, untilStopped, ErrTypeHandedBack, time.Millisecond},
		{"is in the middle of an express try", true, untilStopped, ErrTypeHandedBack, 0},
		{"is done meanwhile", false, func(_ context.Context, stop func()) error { stop(); return nil }, "", 0},
		{"is refused meanwhile", false, func(_ context.Context, stop func()) error { stop(); return refused }, "Refused", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			over, stop := context.WithCancel(t.Context())
			defer stop()
			ran := 0
			run := func(ctx context.Context) error { ran++; return tt.activity(ctx, stop) }
			requireFailure(t, execute(t, over, tt.local, run), tt.want, tt.pause)
			require.Equal(t, 1, ran)
		})
	}
}

// What comes when it is over is handed back before it starts.
func TestHandBackBeforeTheStart(t *testing.T) {
	t.Parallel()

	over, stop := context.WithCancel(t.Context())
	stop()
	never := func(context.Context) error { panic("it starts") }
	requireFailure(t, execute(t, over, false, never), ErrTypeHandedBack, time.Millisecond)
	requireFailure(t, execute(t, over, true, never), ErrTypeHandedBack, 0)
}

func untilStopped(ctx context.Context, stop func()) error {
	stop()
	<-ctx.Done()
	return ctx.Err()
}

func execute(t *testing.T, over context.Context, local bool, run func(context.Context) error) error {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{&handBack{over: over}}})
	var err error
	if local {
		_, err = env.ExecuteLocalActivity(run)
	} else {
		env.RegisterActivity(run)
		_, err = env.ExecuteActivity(run)
	}
	return err
}

func requireFailure(t *testing.T, err error, failureType string, pause time.Duration) {
	t.Helper()
	if failureType == "" {
		require.NoError(t, err)
		return
	}
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, failureType, failure.Type())
	require.Equal(t, pause, failure.NextRetryDelay())
}
