package worker

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
)

// ErrTypeHandedBack is the failure type of an activity that its worker did not finish before it stopped. Its outcome is
// unknown, and another worker tries it at once.
const ErrTypeHandedBack = "HandedBack"

// handBackTime is how long the SDK has, after the worker's own limit, to tell Temporal what was handed back: an express
// step needs its three tries, and then its workflow task ends.
const handBackTime = 2 * time.Second

// handBack gives up what a stopping worker is in the middle of. The SDK does not: it leaves activities that run to their
// time limit, and a workflow task whose express steps run to the task's.
type handBack struct {
	interceptor.WorkerInterceptorBase
	// over ends when nothing more is finished here.
	over context.Context //nolint:containedctx // the worker's own life, not a request's
}

// InterceptActivity implements [interceptor.WorkerInterceptor]. The SDK takes local activities through it, too.
func (h *handBack) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &handBackActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, h.over}
}

type handBackActivity struct {
	interceptor.ActivityInboundInterceptorBase

	over context.Context //nolint:containedctx // see handBack
}

// ExecuteActivity runs the activity until it is over. A definite outcome stays what it is.
func (a *handBackActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if a.over.Err() != nil {
		return nil, handedBack(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.over, cancel)()
	out, err := a.Next.ExecuteActivity(ctx, in)
	var failure *temporal.ApplicationError
	if err == nil || a.over.Err() == nil || (errors.As(err, &failure) && failure.NonRetryable()) {
		return out, err
	}
	return nil, handedBack(ctx)
}

// handedBack is the failure of an activity that is for another worker. A local one goes on as an ordinary one, after tries
// that end at once; if it asked for a pause, its saga would wait for a timer.
func handedBack(ctx context.Context) error {
	var options temporal.ApplicationErrorOptions
	if !activity.GetInfo(ctx).IsLocalActivity {
		options.NextRetryDelay = time.Millisecond
	}
	return temporal.NewApplicationErrorWithOptions("the worker stopped before it was done", ErrTypeHandedBack, options)
}
