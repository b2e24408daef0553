package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
)

var policy = &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second}

// pauses returns the shortest and the longest of a thousand pauses after the failure.
func pauses(t *testing.T, err error, info activity.Info) (shortest, longest time.Duration) {
	t.Helper()
	shortest = time.Hour
	for range 1_000 {
		var app *temporal.ApplicationError
		require.ErrorAs(t, spreadOut(err, info, time.Now()), &app)
		shortest, longest = min(shortest, app.NextRetryDelay()), max(longest, app.NextRetryDelay())
	}
	return shortest, longest
}

// A thousand sagas that failed at once come back at a thousand times.
func TestPausesAreSpread(t *testing.T) {
	t.Parallel()
	unanswered := temporal.NewApplicationError("no answer", "Unanswered")
	asked := temporal.NewApplicationErrorWithOptions("busy", "Unanswered", temporal.ApplicationErrorOptions{NextRetryDelay: 8 * time.Second})
	for name, tt := range map[string]struct {
		err      error
		info     activity.Info
		from, to time.Duration
	}{
		"the first try":       {unanswered, activity.Info{Attempt: 1, RetryPolicy: policy}, 250 * time.Millisecond, 500 * time.Millisecond},
		"the third":           {unanswered, activity.Info{Attempt: 3, RetryPolicy: policy}, time.Second, 2 * time.Second},
		"the longest pause":   {unanswered, activity.Info{Attempt: 1_000_000, RetryPolicy: policy}, 15 * time.Second, 30 * time.Second},
		"the server's policy": {unanswered, activity.Info{Attempt: 2}, time.Second, 2 * time.Second},
		"another error":       {errors.New("closed"), activity.Info{Attempt: 2}, time.Second, 2 * time.Second},
		"an asked pause":      {asked, activity.Info{Attempt: 1, RetryPolicy: policy}, 8 * time.Second, 10 * time.Second},
		"asked, express":      {asked, activity.Info{Attempt: 1, RetryPolicy: policy, IsLocalActivity: true}, 8 * time.Second, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shortest, longest := pauses(t, tt.err, tt.info)

			require.GreaterOrEqual(t, shortest, tt.from)
			require.LessOrEqual(t, longest, tt.to)
			require.Greater(t, longest-shortest, (tt.to-tt.from)*3/4, "they keep together")
		})
	}
}

func TestFailuresThatAreLeftAlone(t *testing.T) {
	t.Parallel()
	durable := activity.Info{Attempt: 1, RetryPolicy: policy}
	for name, tt := range map[string]struct {
		err  error
		info activity.Info
	}{
		"a refusal":         {temporal.NewNonRetryableApplicationError("declined", "Refused", nil), durable},
		"details":           {temporal.NewApplicationError("no answer", "Unanswered", "details"), durable},
		"a cancel":          {temporal.NewCanceledError(), durable},
		"a cancel, wrapped": {fmt.Errorf("call: %w", context.Canceled), durable},
		"no answer yet":     {activity.ErrResultPending, durable},
		"an express try":    {temporal.NewApplicationError("no answer", "Unanswered"), activity.Info{Attempt: 1, RetryPolicy: policy, IsLocalActivity: true}},
		"no time is left": {
			temporal.NewApplicationError("no answer", "Unanswered"),
			activity.Info{Attempt: 1, RetryPolicy: policy, ScheduledTime: time.Now().Add(-time.Minute), ScheduleToCloseTimeout: time.Minute},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Same(t, tt.err, spreadOut(tt.err, tt.info, time.Now()))
		})
	}
}

// Temporal gets the same failure, except for the pause.
func TestFailuresStayTheSame(t *testing.T) {
	t.Parallel()
	inner := errors.New("connection refused")
	toFailure := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: converter.GetDefaultDataConverter()}).ErrorToFailure
	for name, err := range map[string]error{
		"ours": temporal.NewApplicationErrorWithOptions("no answer", "Unanswered", temporal.ApplicationErrorOptions{
			Cause: inner, Category: temporal.ApplicationErrorCategoryBenign,
		}),
		"plain":   inner,
		"wrapped": fmt.Errorf("call: %w", inner),
		"a type":  &customError{},
		"a joint": errors.Join(inner, inner),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := toFailure(err)

			got := toFailure(spreadOut(err, activity.Info{Attempt: 1, RetryPolicy: policy}, time.Now()))

			require.NotNil(t, got.GetApplicationFailureInfo().GetNextRetryDelay())
			got.GetApplicationFailureInfo().NextRetryDelay = nil
			require.Equal(t, want.String(), got.String())
		})
	}
}

type customError struct{}

func (*customError) Error() string { return "custom" }

// The worker's activities pass through it.
func TestSpreadIsIntercepted(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{&spread{}}})
	fails := func(context.Context) error { return temporal.NewApplicationError("no answer", "Unanswered") }
	env.RegisterActivity(fails)

	_, err := env.ExecuteActivity(fails)

	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Positive(t, app.NextRetryDelay())
}
