package api

import (
	"context"
	"strconv"
	"sync"
	"time"

	label "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/workflows"
)

// requestBounds are those of the requests' histogram, in seconds: a start takes milliseconds, a stream is open for hours.
var requestBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 3600}

// meters are what the API counts.
type meters struct {
	requests metric.Float64Histogram
	started  metric.Int64Counter
	acts     metric.Int64Counter
}

// newMeters makes them. A name that cannot be used is a defect here, and panics.
func newMeters(meter metric.Meter) meters {
	return meters{
		requests: must(meter.Float64Histogram("amends_api_request_duration", metric.WithUnit("s"),
			metric.WithDescription("Time from a request's headers to the end of its answer."),
			metric.WithExplicitBucketBoundaries(requestBounds...))),
		started: must(meter.Int64Counter("amends_saga_started",
			metric.WithDescription("Sagas that the API started. A request that was sent twice starts one."))),
		acts: must(meter.Int64Counter("amends_acts",
			metric.WithDescription("What people did to sagas, and what became of it."))),
	}
}

func must[T any](instrument T, err error) T {
	if err != nil {
		panic("api: its own metrics: " + err.Error())
	}
	return instrument
}

func (m meters) request(ctx context.Context, method, route string, status int, took time.Duration) {
	if route == "" {
		route = "none" // what is not found, under whatever path
	}
	m.requests.Record(ctx, took.Seconds(), metric.WithAttributeSet(label.NewSet(
		label.String("method", boundMethod(method)), label.String("route", route), label.String("status", strconv.Itoa(status)))))
}

// boundMethod is the method, if it is one that anything here takes.
func boundMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "OPTIONS":
		return method
	}
	return "other"
}

func (m meters) start(ctx context.Context, sagaType string) {
	m.started.Add(ctx, 1, metric.WithAttributeSet(label.NewSet(label.String("type", sagaType))))
}

func (m meters) act(ctx context.Context, act, outcome string) {
	m.acts.Add(ctx, 1, metric.WithAttributeSet(label.NewSet(label.String("act", act), label.String("outcome", outcome))))
}

const (
	// openFor is how long the counts of open sagas are told before Temporal is asked again. Lists are about so late anyway.
	openFor = 10 * time.Second
	// openTimeout bounds asking.
	openTimeout = 5 * time.Second
)

// openSagas are how many sagas have not ended.
type openSagas struct {
	mu     sync.Mutex
	at     time.Time
	counts []stateCount
	// parkedSince is since when the saga waits that is parked longest; zero if none is.
	parkedSince time.Time
}

// openStates are the states of sagas that have not ended.
var openStates = []compensation.State{compensation.Running, compensation.Compensating, compensation.Parked}

// watchOpen counts the sagas that have not ended whenever metrics are read. While Temporal does not answer, it tells
// nothing, so that nobody takes an old figure for a new one.
func (s *server) watchOpen(meter metric.Meter) {
	open := &openSagas{}
	count := must(meter.Int64ObservableGauge("amends_sagas_open",
		metric.WithDescription("Sagas and recoveries that have not ended, by type and state. Every process of the API tells the same.")))
	oldest := must(meter.Float64ObservableGauge("amends_parked_oldest_age", metric.WithUnit("s"),
		metric.WithDescription("How long the saga waits that is parked longest; 0 if none is.")))
	must(meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		open.mu.Lock()
		defer open.mu.Unlock()
		now := time.Now()
		if now.Sub(open.at) > openFor {
			if err := s.readOpen(ctx, open, now); err != nil {
				s.log.WarnContext(ctx, "open sagas cannot be counted now", "error", err)
				return nil
			}
		}
		for _, c := range open.counts {
			o.ObserveInt64(count, c.Count, metric.WithAttributeSet(label.NewSet(
				label.String("type", c.Type), label.String("state", string(c.State)))))
		}
		age := 0.0
		if !open.parkedSince.IsZero() {
			age = max(now.Sub(open.parkedSince), 0).Seconds()
		}
		o.ObserveFloat64(oldest, age)
		return nil
	}, count, oldest))
}

// readOpen asks Temporal, as a caller who sees all sagas. Recoveries count, too: they park like sagas.
func (s *server) readOpen(ctx context.Context, open *openSagas, now time.Time) error {
	ctx, cancel := context.WithTimeout(asEverybody(ctx), openTimeout)
	defer cancel()
	var counts []stateCount
	var since time.Time
	for _, workflowType := range append(workflowTypes(), workflows.TypeRecoverSaga) {
		for _, st := range openStates {
			n, err := s.count(ctx, Filter{Type: workflowType, State: state(st)})
			if err != nil {
				return err
			}
			counts = append(counts, stateCount{Type: workflowType, State: state(st), Count: n})
			if st != compensation.Parked || n == 0 {
				continue
			}
			oldest, err := s.oldestParked(ctx, now, workflowType)
			if err != nil {
				return err
			}
			if at := compensation.ParkedSinceOf(oldest); since.IsZero() || (!at.IsZero() && at.Before(since)) {
				since = at
			}
		}
	}
	open.at, open.counts, open.parkedSince = now, counts, since
	return nil
}

// asEverybody is for what no caller asks for.
func asEverybody(ctx context.Context) context.Context {
	return context.WithValue(ctx, callerKey{}, proved{Caller: access.Caller{Role: access.Admin}})
}
