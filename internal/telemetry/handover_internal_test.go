package telemetry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// taker takes spans, once the test lets it.
type taker struct {
	hold chan struct{}
	err  error

	mu    sync.Mutex
	names []string
}

func (e *taker) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if e.hold != nil {
		select {
		case <-e.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range spans {
		e.names = append(e.names, s.Name())
	}
	return e.err
}

func (e *taker) Shutdown(context.Context) error { return nil }

// taken are the spans that it has.
func (e *taker) taken() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.names)
}

// handing is a process whose spans a taker gets.
type handing struct {
	*tracers
	sdktrace.SpanProcessor
	// waits counts how often somebody waited for them.
	waits atomic.Int64
}

func handsTo(taker *taker) *handing {
	h := &handing{tracers: &tracers{}}
	h.SpanProcessor = batches(sender{taker, &h.late})
	h.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(h))
	return h
}

// ForceFlush implements [sdktrace.SpanProcessor].
func (h *handing) ForceFlush(ctx context.Context) error {
	h.waits.Add(1)
	return h.SpanProcessor.ForceFlush(ctx)
}

// Shutdown implements [sdktrace.SpanProcessor].
func (h *handing) Shutdown(ctx context.Context) error { return h.SpanProcessor.Shutdown(ctx) }

// span makes a span that ends at once.
func (h *handing) span(t *testing.T, name string) {
	t.Helper()
	_, span := h.Tracer("test").Start(t.Context(), name)
	span.End()
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		taker := &taker{}
		h := handsTo(taker)
		defer func() { require.NoError(t, h.TracerProvider.Shutdown(t.Context())) }()
		began := time.Now()

		h.span(t, "one")
		h.span(t, "two")
		h.handOver(t.Context())
		require.Equal(t, []string{"one", "two"}, taker.taken())
		require.Equal(t, began, time.Now())

		h.span(t, "three")
		<-time.After(sendWithin)
		synctest.Wait()
		require.Equal(t, []string{"one", "two", "three"}, taker.taken(), "nobody asked for it")
	})
}

// What a worker has done waits once for somebody who does not answer, and again when he has answered; he gets all spans.
func TestHandOverToSomebodySlow(t *testing.T) {
	t.Parallel()
	taker := &taker{hold: make(chan struct{})}
	h := handsTo(taker)

	h.span(t, "one")
	h.handOver(t.Context())
	h.span(t, "two")
	h.handOver(t.Context())
	require.EqualValues(t, 1, h.waits.Load())
	require.Empty(t, taker.taken())

	close(taker.hold)
	require.Eventually(t, func() bool { return slices.Equal(taker.taken(), []string{"one", "two"}) }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool {
		h.span(t, "another") // which is taken at once
		h.handOver(t.Context())
		return h.waits.Load() == 2
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, h.TracerProvider.Shutdown(t.Context()))
}

func TestHandOverToSomebodyWhoRefuses(t *testing.T) {
	t.Parallel()
	h := handsTo(&taker{err: errors.New("full")})

	h.span(t, "one")
	h.handOver(t.Context())
	h.span(t, "two")
	h.handOver(t.Context())
	require.EqualValues(t, 1, h.waits.Load())
	require.NoError(t, h.TracerProvider.Shutdown(t.Context()))
}
