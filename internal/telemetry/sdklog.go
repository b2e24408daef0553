package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"go.temporal.io/sdk/log"

	"github.com/amends-dev/amends/compensation"
)

// SDKLogger takes the lines of Temporal's SDK, and those of workflows, for workers of these plans. It gives what they are about
// the names that it has in all other lines, and leaves out what a step was given, answered or failed with.
//
// It drops the SDK's own line for a step that failed, which is an error to it whatever the step came to:
// [Telemetry.Instrument] writes one for each try.
func SDKLogger(logger *slog.Logger, plans ...*compensation.Plan) log.Logger {
	l := sdkLogger{handler: logger.Handler(), steps: map[string]string{}}
	for _, plan := range plans {
		for _, a := range plan.Activities() {
			l.steps[a.Name] = a.Step
		}
	}
	return l
}

type sdkLogger struct {
	handler slog.Handler
	// steps are those that the plans' activities belong to.
	steps map[string]string
	// about is what every line tells, as keys and values.
	about []any
}

// activityFailed is the SDK's line for an activity that failed.
const activityFailed = "Activity error."

// The SDK's names of what lines are about.
const (
	sdkActivity = "ActivityType"
	sdkError    = "Error"
	sdkResult   = "Result"
)

// sdkNames are the names of ours for what the SDK names.
var sdkNames = map[string]string{
	"WorkflowID": logSaga, "Attempt": logAttempt, sdkError: logError, "Namespace": "namespace", "TaskQueue": "task_queue",
}

func (l sdkLogger) log(level slog.Level, msg string, keyvals []any) {
	if msg == activityFailed {
		level = min(level, slog.LevelWarn) // it is tried again, or its workflow says what becomes of it
	}
	ctx := context.Background() //nolint:forbidigo // the SDK has none for us
	if !l.handler.Enabled(ctx, level) {
		return
	}
	said := slog.NewRecord(time.Now(), level, msg, 0)
	said.Add(l.about...)
	said.Add(keyvals...)
	step := l.step(said)
	if step != "" && msg == activityFailed {
		return
	}
	_ = l.handler.Handle(ctx, renamed(said, step)) // nobody is left to tell
}

// step is the step whose activity the line is about; empty for a line about something else.
func (l sdkLogger) step(r slog.Record) (step string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == sdkActivity {
			step = l.steps[a.Value.String()]
		}
		return step == ""
	})
	return step
}

// renamed is the line with names of ours. What is said twice counts as it was said last: a line knows more than its logger.
func renamed(said slog.Record, step string) slog.Record {
	var attrs []slog.Attr
	said.Attrs(func(a slog.Attr) bool {
		switch {
		case a.Key == sdkResult, a.Key == sdkError && step != "":
			return true
		case a.Key == sdkActivity && step != "":
			a = slog.String(logStep, step)
		case sdkNames[a.Key] != "":
			a.Key = sdkNames[a.Key]
		}
		attrs = slices.DeleteFunc(attrs, func(b slog.Attr) bool { return b.Key == a.Key })
		attrs = append(attrs, a)
		return true
	})
	line := slog.NewRecord(said.Time, said.Level, said.Message, 0)
	line.AddAttrs(attrs...)
	return line
}

func (l sdkLogger) Debug(msg string, keyvals ...any) { l.log(slog.LevelDebug, msg, keyvals) }
func (l sdkLogger) Info(msg string, keyvals ...any)  { l.log(slog.LevelInfo, msg, keyvals) }
func (l sdkLogger) Warn(msg string, keyvals ...any)  { l.log(slog.LevelWarn, msg, keyvals) }
func (l sdkLogger) Error(msg string, keyvals ...any) { l.log(slog.LevelError, msg, keyvals) }

// With implements [log.WithLogger].
func (l sdkLogger) With(keyvals ...any) log.Logger {
	l.about = slices.Concat(l.about, keyvals)
	return l
}
