package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Load is what an engine is asked to run: clients that each run one saga after the other.
type Load struct {
	// Prefix begins the sagas' IDs. It must be new for each load.
	Prefix  string        `json:"prefix"`
	Case    Case          `json:"case"`
	Clients int           `json:"clients"`
	For     time.Duration `json:"for"`
}

// Outcome is what became of a [Load].
type Outcome struct {
	// PerSecond is the throughput: the sum of what each client got done per second. So the time in which the last sagas
	// run alone, after the other clients have ended, counts against nobody.
	PerSecond float64 `json:"per_second"`
	// Latencies are those of all sagas, from the start until the result was known.
	Latencies []time.Duration `json:"latencies"`
	// Sample are the IDs of a few of the sagas.
	Sample []string `json:"sample"`
}

// run runs a load: each client starts sagas until the time is over, and at least one. It stops at the first saga that
// does not end as it should.
func run(ctx context.Context, e Engine, l Load) (Outcome, error) {
	var (
		mu  sync.Mutex
		out Outcome
	)
	clients, ctx := errgroup.WithContext(ctx)
	for n := range l.Clients {
		clients.Go(func() error {
			latencies, last, err := runClient(ctx, e, l, fmt.Sprintf("%s-%d", l.Prefix, n))
			if err != nil {
				return err
			}
			var busy time.Duration
			for _, latency := range latencies {
				busy += latency
			}
			mu.Lock()
			defer mu.Unlock()
			out.PerSecond += float64(len(latencies)) / busy.Seconds()
			out.Latencies = append(out.Latencies, latencies...)
			if len(out.Sample) < maxSample {
				out.Sample = append(out.Sample, last)
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		return Outcome{}, err
	}
	return out, nil
}

// maxSample bounds how many sagas' histories are looked at.
const maxSample = 10

// runClient returns the latencies of its sagas and the ID of the last one.
func runClient(ctx context.Context, e Engine, l Load, prefix string) (latencies []time.Duration, last string, err error) {
	for end := time.Now().Add(l.For); len(latencies) == 0 || time.Now().Before(end); {
		last = fmt.Sprintf("%s-%d", prefix, len(latencies))
		began := time.Now()
		if err := e.Run(ctx, last, l.Case); err != nil {
			return nil, "", fmt.Errorf("saga %s: %w", last, err)
		}
		latencies = append(latencies, time.Since(began))
	}
	return latencies, last, nil
}

// meanHistory is the mean of the histories of these sagas.
func meanHistory(ctx context.Context, e Engine, ids []string) (History, error) {
	var mean History
	for _, id := range ids {
		h, err := e.History(ctx, id)
		if err != nil {
			return History{}, err
		}
		mean.Events += h.Events / float64(len(ids))
		mean.Bytes += h.Bytes / float64(len(ids))
	}
	return mean, nil
}
