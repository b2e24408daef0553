package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
)

// steps are those of the plans.
type steps struct {
	types map[string]bool
	// parts are those of steps, by the activity that is called.
	parts map[activityOf]compensation.Part
	// express are the steps that are tried express first.
	express map[string]bool
}

type activityOf struct{ step, activity string }

func stepsOf(plans []*compensation.Plan) steps {
	s := steps{types: map[string]bool{}, parts: map[activityOf]compensation.Part{}, express: map[string]bool{}}
	for _, plan := range plans {
		s.types[plan.Name()] = true
		for _, a := range plan.Activities() {
			s.parts[activityOf{a.Step, a.Name}] = a.Part
		}
		for _, step := range plan.Steps() {
			s.express[step.Name] = step.Express
		}
	}
	return s
}

func (s steps) saga(workflowType string) bool { return s.types[workflowType] }

// How a try ran.
const (
	// modeExpress is a try within the workflow task.
	modeExpress = "express"
	// modeFallback is a try as an ordinary activity, of a step that express tries have not settled.
	modeFallback = "fallback"
	// modeDurable is a try of a step that is an ordinary activity from the first.
	modeDurable = "durable"
)

func (s steps) mode(key compensation.Key, info activity.Info) string {
	switch {
	case info.IsLocalActivity:
		return modeExpress
	case s.express[key.Step] && key.Item == "":
		return modeFallback
	}
	return modeDurable
}

type activityInbound struct {
	interceptor.ActivityInboundInterceptorBase
	sagas *sagas
}

// Attributes of spans, in every process.
const (
	attributeSaga    = "saga.id"
	attributeStep    = "saga.step"
	attributeAttempt = "saga.attempt"
)

// ExecuteActivity counts a try of a step, and makes its span. Other activities are the SDK's to count.
//
// Nothing hangs from the span: the activity, and with it the service that it calls, goes on in the span of the saga's start.
// If the worker dies, the try's own span is all that is lost, and whoever tries the step again makes another one.
func (i *activityInbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	key, part, ok := i.sagas.known.try(info, in.Args)
	if !ok {
		return i.Next.ExecuteActivity(ctx, in)
	}
	mode := i.sagas.known.mode(key, info)
	tried, span := i.sagas.tracer.Start(ctx, info.ActivityType.Name, trace.WithAttributes(
		attribute.String(attributeSaga, key.Saga), attribute.String(attributeStep, key.Step),
		attribute.Int(attributeAttempt, int(info.Attempt)), attribute.String("saga.mode", mode)))
	defer span.End()
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = tried // its starter made no trace
	}
	began := time.Now()
	out, err := i.Next.ExecuteActivity(ctx, in)
	took, l := time.Since(began), labels{info, key.Step, part, mode, outcomeOf(err)}
	i.sagas.tried(tried, l, took)
	i.sagas.logTry(tried, key, l, err, took)
	return out, err
}

// logTry writes the line of a try. What the step was given, answered and said of its failure stays out of it: nobody knows whom
// that names.
func (s *sagas) logTry(ctx context.Context, key compensation.Key, l labels, err error, took time.Duration) {
	level := levelOf(l.outcome)
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String(logSaga, key.Saga), slog.String(logStep, key.Step), slog.String("part", string(l.part)),
		slog.Int(logAttempt, int(l.info.Attempt)), slog.String("mode", l.mode), slog.String("outcome", l.outcome),
		slog.Duration("duration", took),
	}
	if key.Item != "" {
		attrs = append(attrs, slog.String("item", key.Item))
	}
	if code := compensation.RefusalCode(err); code != "" {
		attrs = append(attrs, slog.String("code", code))
	}
	s.log.LogAttrs(ctx, level, "step tried", attrs...)
}

// levelOf is how much a try's outcome concerns those who read logs. None is an error: an answer is none, an unknown outcome is
// tried again, and whatever waits for a person is a line of its own, by the saga.
func levelOf(outcome string) slog.Level {
	switch outcome {
	case outcomeDone:
		return slog.LevelDebug
	case outcomeRefused, outcomeIrreversible:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// labels are those of a try.
type labels struct {
	info    activity.Info
	step    string
	part    compensation.Part
	mode    string
	outcome string
}

func (s *sagas) tried(ctx context.Context, l labels, took time.Duration) {
	// The texts of failures stay out of it: nobody knows whom they name.
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attribute.String("saga.outcome", l.outcome))
	if l.outcome == outcomeFailed || l.outcome == outcomeUnknown {
		span.SetStatus(codes.Error, "")
	}
	step, mode, part := attribute.String("step", l.step), attribute.String("mode", l.mode), attribute.String("part", string(l.part))
	s.tries.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(
		step, mode, part, attribute.String("type", l.info.WorkflowType.Name),
		attribute.String("outcome", l.outcome), attribute.String("attempt", attemptOf(l.info.Attempt)),
	)))
	s.tryDuration.Record(ctx, took.Seconds(), metric.WithAttributeSet(attribute.NewSet(step, mode, part)))
}

// try tells which step's activity it is; ok is false for other activities.
func (s steps) try(info activity.Info, args []any) (key compensation.Key, part compensation.Part, ok bool) {
	if len(args) == 0 || info.WorkflowType == nil {
		return key, part, false
	}
	if key, ok = args[0].(compensation.Key); !ok {
		return key, part, false
	}
	part, ok = s.parts[activityOf{key.Step, info.ActivityType.Name}]
	return key, part, ok
}

// What a try came to.
const (
	outcomeDone = "done"
	// outcomeRefused had no effect, and another try would not have either.
	outcomeRefused = "refused"
	// outcomeIrreversible is an undo that comes too late.
	outcomeIrreversible = "irreversible"
	// outcomeFailed is an answer with which neither another try nor the saga can do anything.
	outcomeFailed = "failed"
	// outcomeUnknown is no answer, or one that asks to try again.
	outcomeUnknown = "unknown"
)

func outcomeOf(err error) string {
	var app *temporal.ApplicationError
	switch {
	case err == nil:
		return outcomeDone
	case !errors.As(err, &app):
		return outcomeUnknown
	case app.Type() == compensation.ErrTypeRefused:
		return outcomeRefused
	case app.Type() == compensation.ErrTypeIrreversible:
		return outcomeIrreversible
	case app.NonRetryable():
		return outcomeFailed
	}
	return outcomeUnknown
}

// attemptOf bounds how many values the label has.
func attemptOf(n int32) string {
	if n > 3 {
		return "4+"
	}
	return strconv.Itoa(int(n))
}
