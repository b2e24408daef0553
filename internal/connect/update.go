package connect

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"google.golang.org/grpc"
)

// Unsent is the reason why Temporal did not pass an update on to its workflow. The workflow does not know of the update.
type Unsent string

// The reasons.
const (
	// UnsentInFlight: as many updates of the workflow are under way as Temporal takes at a time (history.maxInFlightUpdates).
	UnsentInFlight Unsent = "too many in flight"
	// UnsentTotal: the workflow has accepted as many updates as it may in its life (history.maxTotalUpdates).
	UnsentTotal Unsent = "too many"
	// UnsentPaused: somebody has paused the workflow.
	UnsentPaused Unsent = "paused"
	// UnsentFailing: the workflow's task fails, so that no worker could answer.
	UnsentFailing Unsent = "failing"
)

// WhyUnsent reports why Temporal did not pass on the update that failed with err; "" if it did, or for any other reason.
// It detects too many in flight only through a client of [Dial]'s.
func WhyUnsent(err error) Unsent {
	var (
		exhausted *serviceerror.ResourceExhausted
		condition *serviceerror.FailedPrecondition
		notReady  *serviceerror.WorkflowNotReady
	)
	switch {
	case errors.As(err, &exhausted) && exhausted.Cause == enumspb.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT:
		return UnsentInFlight
	case errors.As(err, &notReady):
		return UnsentFailing
	// Only their texts distinguish these: service/history/api/updateworkflow and service/history/workflow/update of the
	// server.
	case errors.As(err, &condition) && strings.Contains(condition.Message, "total number of distinct updates"):
		return UnsentTotal
	case errors.As(err, &condition) && strings.Contains(condition.Message, "paused"):
		return UnsentPaused
	}
	return ""
}

// waitsForRoom makes updates wait while too many are in flight, and then fail with [UnsentInFlight]. The SDK retries them
// by itself, but when the caller's time is over, it reports only that.
func waitsForRoom(options client.Options) client.Options {
	options.ConnectionOptions.DialOptions = append(slices.Clone(options.ConnectionOptions.DialOptions),
		grpc.WithChainUnaryInterceptor(noteAnswer)) // the innermost, which sees each try
	options.Interceptors = append(slices.Clone(options.Interceptors), &roomInterceptor{})
	return options
}

// lastTry is the time before the caller's deadline within which no try begins. A try under way then may have been taken.
const lastTry = time.Second

type answerKey struct{}

// An answer is the error of an update's last try.
type answer struct {
	giveUp context.CancelFunc

	mu sync.Mutex
	// err is nil while a try is under way.
	err error
}

func (a *answer) set(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *answer) get() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// noteAnswer keeps Temporal's answer to each try of an update.
func noteAnswer(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	last, ok := ctx.Value(answerKey{}).(*answer)
	if !ok {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	last.set(nil)
	err := invoke(ctx, method, req, reply, cc, opts...)
	said := serviceerror.FromStatus(serviceerror.ToStatus(err))
	last.set(said)
	if until, ok := ctx.Deadline(); ok && WhyUnsent(said) == UnsentInFlight && time.Until(until) < lastTry {
		last.giveUp()
	}
	return err
}

type roomInterceptor struct {
	interceptor.ClientInterceptorBase
}

// InterceptClient implements [interceptor.ClientInterceptor].
func (*roomInterceptor) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	return &roomOutbound{interceptor.ClientOutboundInterceptorBase{Next: next}}
}

type roomOutbound struct {
	interceptor.ClientOutboundInterceptorBase
}

// UpdateWorkflow implements [interceptor.ClientOutboundInterceptor].
func (o *roomOutbound) UpdateWorkflow(ctx context.Context, in *interceptor.ClientUpdateWorkflowInput) (client.WorkflowUpdateHandle, error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	last := &answer{giveUp: giveUp}
	handle, err := o.Next.UpdateWorkflow(context.WithValue(ctx, answerKey{}, last), in)
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	if said := last.get(); errors.As(err, &timeout) && WhyUnsent(said) == UnsentInFlight {
		return nil, said
	}
	return handle, err
}
