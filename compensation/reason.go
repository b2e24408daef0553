package compensation

import (
	"context"
	"errors"
	"strings"
	"unicode"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// A Reason explains why a step was undone. The participant keeps it and gives it to a later do. That way a try of the
// saga learns the reason even if its predecessor was lost after it had turned back (see [RefuseUndone]).
//
// It holds what a participant said in its refusal, and nothing that people wrote: for a cancel it holds only the fact.
type Reason struct {
	// Text is the text for people in the saga's failure, at most [MaxReasonLength] bytes. Empty if there is no reason.
	Text string `json:"text"`
	// Step is the step that turned the saga back; empty if no step did.
	Step string `json:"step,omitempty"`
	// Code is the code of that step's refusal; empty if it was not refused.
	Code string `json:"code,omitempty"`
}

// MaxReasonLength limits the text of a [Reason], in bytes of UTF-8.
const MaxReasonLength = 256

// reasonOf returns the reason that a saga turned back by that cause gives to its participants.
func reasonOf(cause error, r *reversal) Reason {
	switch {
	case r != nil && r.cancel != nil:
		return Reason{Text: "the saga was canceled"}
	case r != nil:
		return Reason{Text: "the saga was not done by its deadline"}
	}
	failed := stepErrorOf(cause)
	switch {
	case failed == nil:
		return Reason{Text: "the workflow gave up"}
	case failed.Outcome != DoRefused:
		return Reason{Text: failed.Key.label() + " gave up, outcome unknown", Step: failed.Key.Step}
	}
	return failed.because().bounded()
}

// because returns the reason that the participant gave for its refusal. If it refused because the step was undone before,
// that is the reason it was given for the undo.
func (e *StepError) because() Reason {
	if r := lostReason(e.cause); r != nil {
		return *r
	}
	return Reason{Text: e.Error(), Step: e.Key.Step, Code: RefusalCode(e.cause)}
}

// lostReason returns the reason of a try whose record was lost, from a refusal made by [RefuseUndone]; nil for other
// errors.
func lostReason(err error) *Reason {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return nil
	}
	r, _ := refusalOf(app)
	return r.Because
}

// bounded returns the reason with a text that is not too long and has no control characters.
func (r Reason) bounded() Reason {
	r.Text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(r.Text, "\uFFFD"))
	r.Text = shortened(r.Text, MaxReasonLength)
	return r
}

// reasonHeader is the name of the reason in an undo's headers.
const reasonHeader = "amends-undo-reason"

type reasonKey struct{}

// withReason returns the context of an undo.
func (s *saga) withReason(ctx workflow.Context) workflow.Context {
	if s.reason.Text == "" {
		return ctx
	}
	return workflow.WithValue(ctx, reasonKey{}, s.reason)
}

// UndoReason returns the reason for which the activity was called to undo a step. ctx is the activity's. It is empty if
// the saga gives no reason, or if the worker lacks the interceptor of [CarryReasons].
func UndoReason(ctx context.Context) Reason {
	r, _ := ctx.Value(reasonKey{}).(Reason)
	return r
}

// CarryReasons returns the interceptor that passes a saga's reason to the activities that undo its steps, as a header
// (see [UndoReason]). It is for [go.temporal.io/sdk/worker.Options]; without it only the reason is lost. dc is the
// worker's data converter; nil is the SDK's own.
func CarryReasons(dc converter.DataConverter) interceptor.WorkerInterceptor {
	if dc == nil {
		dc = converter.GetDefaultDataConverter()
	}
	return &carrier{dc: dc}
}

type carrier struct {
	interceptor.WorkerInterceptorBase
	dc converter.DataConverter
}

// InterceptWorkflow implements [interceptor.WorkerInterceptor].
func (c *carrier) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &carrierInbound{interceptor.WorkflowInboundInterceptorBase{Next: next}, c}
}

// InterceptActivity implements [interceptor.WorkerInterceptor].
func (c *carrier) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &carrierActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, c}
}

type carrierInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	*carrier
}

// Init implements [interceptor.WorkflowInboundInterceptor].
func (i *carrierInbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&carrierOutbound{interceptor.WorkflowOutboundInterceptorBase{Next: next}, i.carrier})
}

type carrierOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	*carrier
}

// ExecuteActivity implements [interceptor.WorkflowOutboundInterceptor].
func (o *carrierOutbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.write(ctx)
	return o.Next.ExecuteActivity(ctx, name, args...)
}

// ExecuteLocalActivity implements [interceptor.WorkflowOutboundInterceptor].
func (o *carrierOutbound) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.write(ctx)
	return o.Next.ExecuteLocalActivity(ctx, name, args...)
}

func (c *carrier) write(ctx workflow.Context) {
	reason, ok := ctx.Value(reasonKey{}).(Reason)
	if !ok {
		return
	}
	if header := interceptor.WorkflowHeader(ctx); header != nil {
		if p, err := c.dc.ToPayload(reason); err == nil { // nothing depends on it
			header[reasonHeader] = p
		}
	}
}

type carrierActivity struct {
	interceptor.ActivityInboundInterceptorBase
	*carrier
}

// ExecuteActivity implements [interceptor.ActivityInboundInterceptor].
func (a *carrierActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if reason, ok := a.read(interceptor.Header(ctx)); ok {
		ctx = context.WithValue(ctx, reasonKey{}, reason)
	}
	return a.Next.ExecuteActivity(ctx, in)
}

func (c *carrier) read(header map[string]*commonpb.Payload) (r Reason, ok bool) {
	p := header[reasonHeader]
	return r, p != nil && c.dc.FromPayload(p, &r) == nil
}
