package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/log"

	"github.com/amends-dev/amends/internal/telemetry"
)

// newLog returns a log from that level on, whose lines have no time.
func newLog(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	var text bytes.Buffer
	return slog.New(telemetry.LogHandler(slog.NewTextHandler(&text, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "duration" {
				return slog.Attr{}
			}
			return a
		},
	}))), &text
}

// Each try of a step is a line, as loud as it concerns people, that tells nothing of what was said.
func TestTriesAreLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)

	b.run(t, "s-1", map[string][]error{"Reserve": {errUnknown}, "Weigh": {errRefused}, "Release": {errBroken}})

	tried := map[string]int{}
	for line := range strings.Lines(b.log.String()) {
		require.NotContains(t, line, "tea")
		require.NotContains(t, line, errUnknown.Error())
		line, traced, _ := strings.Cut(strings.TrimSpace(line), " trace_id=")
		require.Len(t, traced, 32)
		tried[line]++
	}
	require.Equal(t, map[string]int{
		`level=WARN msg="step tried" saga=s-1 step=Reserve part=do attempt=1 mode=express outcome=unknown`:       1,
		`level=DEBUG msg="step tried" saga=s-1 step=Reserve part=do attempt=2 mode=express outcome=done`:         1,
		`level=INFO msg="step tried" saga=s-1 step=Weigh part=do attempt=1 mode=durable outcome=refused code=no`: 1,
		`level=DEBUG msg="step tried" saga=s-1 step=Pay part=undo attempt=1 mode=express outcome=done`:           1,
		`level=DEBUG msg="step tried" saga=s-1 step=Weigh part=undo attempt=1 mode=durable outcome=done`:         1,
		`level=WARN msg="step tried" saga=s-1 step=Reserve part=undo attempt=1 mode=express outcome=failed`:      1,
	}, tried)
}

// The SDK's lines have the names of all others, and nothing of what steps say.
func TestSDKLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		level slog.Level
		write func(log.Logger)
		want  string
	}{
		{
			name: "what it is about", write: func(l log.Logger) {
				log.With(l, "Namespace", "default", "TaskQueue", "sagas", "WorkerID", "w-1").Error("Workflow panic",
					"WorkflowID", "order-1", "RunID", "r-1", "Attempt", 2, "Error", errors.New("differs"))
			},
			want: `level=ERROR msg="Workflow panic" namespace=default task_queue=sagas WorkerID=w-1 saga=order-1 RunID=r-1 attempt=2 error=differs`,
		},
		{
			name: "a line knows more than its logger", write: func(l log.Logger) {
				log.With(l, "WorkflowID", "recovery-1").Error("saga is parked", "saga", "order-1")
			},
			want: `level=ERROR msg="saga is parked" saga=order-1`,
		},
		{
			name: "a try of a step is the interceptor's to tell", level: slog.LevelDebug, write: func(l log.Logger) {
				l.Error("Activity error.", "WorkflowID", "order-1", "ActivityType", "Reserve", "Error", errUnknown)
				l.Debug("Activity error.", "WorkflowID", "order-1", "ActivityType", "Release", "Error", errRefused)
			},
		},
		{
			name: "another activity is tried again", write: func(l log.Logger) {
				l.Error("Activity error.", "WorkflowID", "audit-books", "ActivityType", "AuditBooks", "Attempt", 1, "Error", errUnknown)
			},
			want: `level=WARN msg="Activity error." saga=audit-books ActivityType=AuditBooks attempt=1 error="no answer"`,
		},
		{
			name: "which not everybody reads", level: slog.LevelError, write: func(l log.Logger) {
				l.Error("Activity error.", "ActivityType", "AuditBooks", "Error", errUnknown)
			},
		},
		{
			name: "nothing that a step answered", write: func(l log.Logger) {
				l.Info("Activity complete after timeout.", "WorkflowID", "order-1", "ActivityType", "Release", "Attempt", 1, "Result", "Ada", "Error", errors.New("Ada"))
			},
			want: `level=INFO msg="Activity complete after timeout." saga=order-1 step=Reserve attempt=1`,
		},
		{
			name: "nor another activity", write: func(l log.Logger) {
				l.Warn("Activity complete after timeout.", "ActivityType", "AuditBooks", "Result", "Ada", "Error", errUnknown)
			},
			want: `level=WARN msg="Activity complete after timeout." ActivityType=AuditBooks error="no answer"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			logger, text := newLog(tt.level)
			tt.write(telemetry.SDKLogger(logger, shopPlan))
			require.Equal(t, tt.want, strings.TrimSpace(text.String()))
		})
	}
}

// A line tells its trace once.
func TestLinesTellTheirTrace(t *testing.T) {
	t.Parallel()
	logger, text := newLog(slog.LevelInfo)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))

	logger.InfoContext(t.Context(), "none")
	logger.With("a", 1).InfoContext(ctx, "its context's")
	logger.InfoContext(ctx, "its own", "trace_id", "mine", "b", 2)

	require.Equal(t, "level=INFO msg=none\n"+
		"level=INFO msg=\"its context's\" a=1 trace_id=01000000000000000000000000000000\n"+
		"level=INFO msg=\"its own\" trace_id=mine b=2\n", text.String())
}
