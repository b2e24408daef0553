package telemetry

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// sendWithin is how long a span waits for others to be sent with, unless OTEL_BSP_SCHEDULE_DELAY says so. OpenTelemetry's
	// 5 s are what a process that is killed takes with it.
	sendWithin = 200 * time.Millisecond
	// handOverWithin is how long what a worker has done may wait for its spans. A collector nearby takes a millisecond or two.
	handOverWithin = 100 * time.Millisecond
	// sendTimeout ends the sending of spans, repeats included.
	sendTimeout = 30 * time.Second
)

// tracers makes spans and hands them over.
type tracers struct {
	*sdktrace.TracerProvider

	// late tells that whoever takes the spans takes too long to wait for it.
	late atomic.Bool
}

// handOver returns when all spans that have ended were taken. Traces are not worth a saga's time, so it does not wait for somebody
// who takes long or does not answer, until he has taken spans in time again; they are sent all the same.
func (t *tracers) handOver(ctx context.Context) {
	if t.late.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverWithin)
	defer cancel()
	if t.ForceFlush(ctx) != nil {
		t.late.Store(true)
	}
}

// sender sends spans to somebody, and notes whether he takes long.
type sender struct {
	sdktrace.SpanExporter

	late *atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter]. It goes on when those who wait for it do not, and tells its failure itself: they
// may be gone.
func (s sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	began := time.Now()
	err := s.SpanExporter.ExportSpans(ctx, spans)
	s.late.Store(err != nil || time.Since(began) > handOverWithin)
	if err != nil {
		otel.Handle(err)
	}
	return nil
}

// batches sends spans together.
func batches(s sender) sdktrace.SpanProcessor {
	var options []sdktrace.BatchSpanProcessorOption
	if os.Getenv("OTEL_BSP_SCHEDULE_DELAY") == "" {
		options = append(options, sdktrace.WithBatchTimeout(sendWithin))
	}
	return sdktrace.NewBatchSpanProcessor(s, options...)
}
