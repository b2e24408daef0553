package worker

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
)

// spread retries failed activities after a random part of their pause. Temporal's retry policy has no such part:
// activities that an outage stopped at one moment, or in the rhythm of their arrival, would come back like that at each
// try. The workflow cannot draw the number, since its code is deterministic; an activity may, and puts it in its failure.
type spread struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements [interceptor.WorkerInterceptor]. The SDK passes local activities through it, too.
func (*spread) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &spreadActivity{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type spreadActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity runs the activity, and changes nothing of its outcome but the pause before the next try.
func (a *spreadActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	out, err := a.Next.ExecuteActivity(ctx, in)
	if err == nil {
		return out, nil
	}
	return out, spreadOut(err, activity.GetInfo(ctx), time.Now())
}

// spreadOut gives a failure that is tried again a pause of its own. A pause that a participant requested is kept in full,
// and extended by up to a quarter. Otherwise the pause is half to all of the retry policy's, so that MaximumInterval
// holds.
//
// A local activity without such a request is left alone: its tries are over within a second, and a requested pause would
// cost its saga a timer. So is a failure after which there is no time for another try, since the saga goes on from it.
func spreadOut(err error, info activity.Info, now time.Time) error {
	options, message, failureType, ok := remade(err)
	if !ok {
		return err
	}
	pause := options.NextRetryDelay
	switch {
	case pause > 0:
		pause += rand.N(pause/4 + 1) //nolint:gosec // a pause need not be unpredictable
	case info.IsLocalActivity:
		return err
	default:
		pause = backoff(info.RetryPolicy, info.Attempt)
		pause = pause/2 + rand.N(pause/2+1) //nolint:gosec // as above
	}
	if limit := info.ScheduleToCloseTimeout; limit > 0 && now.Add(pause).After(info.ScheduledTime.Add(limit)) {
		return err
	}
	options.NextRetryDelay = pause
	return temporal.NewApplicationErrorWithOptions(message, failureType, options)
}

// remade returns the parts from which to make an equal failure. ok is false for a failure that is not tried again or
// cannot be made again: only the outermost error counts, as for Temporal's server.
func remade(err error) (options temporal.ApplicationErrorOptions, message, failureType string, ok bool) {
	options.Cause = errors.Unwrap(err)
	if app, ok := err.(*temporal.ApplicationError); ok { //nolint:errorlint // just this one, not what it wraps
		options.NextRetryDelay, options.Category = app.NextRetryDelay(), app.Category()
		return options, app.Message(), app.Type(), !app.NonRetryable() && !app.HasDetails()
	}
	var (
		canceled *temporal.CanceledError
		timeout  *temporal.TimeoutError
		panicked *temporal.PanicError
	)
	if errors.As(err, &canceled) || errors.As(err, &timeout) || errors.As(err, &panicked) ||
		errors.Is(err, context.Canceled) || errors.Is(err, activity.ErrResultPending) {
		return options, "", "", false
	}
	return options, err.Error(), typeName(err), true
}

// typeName returns the failure type that the SDK gives to an error of another package.
func typeName(err error) string {
	t := reflect.TypeOf(err)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name := t.Name(); name != "errorString" { // the type of errors.New has no name in the SDK
		return name
	}
	return ""
}

// backoff returns the policy's pause after a try; attempt counts from 1. Without a policy it is that of Temporal's
// server.
func backoff(p *temporal.RetryPolicy, attempt int32) time.Duration {
	if p == nil {
		p = &temporal.RetryPolicy{}
	}
	first := cmp.Or(p.InitialInterval, time.Second)
	most := cmp.Or(p.MaximumInterval, 100*first)
	pause := float64(first) * math.Pow(cmp.Or(p.BackoffCoefficient, 2), float64(max(attempt, 1)-1))
	return time.Duration(min(pause, float64(most)))
}
