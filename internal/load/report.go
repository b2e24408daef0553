package load

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/terminal"
)

// states are those in which an order ends, in the order in which they are shown.
var states = []client.State{client.Completed, client.Compensated, client.CompensatedWithExceptions, client.Terminated}

// lines say how far the run is.
func (r *run) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := fmt.Sprintf("%.1f s  %g/s asked  %.1f/s reached  %d in flight", time.Since(r.began).Seconds(), r.Rate, r.reached(), r.inFlight)
	for _, s := range states {
		if n := r.ended[s]; n > 0 {
			first += fmt.Sprintf("  %d %s", n, s)
		}
	}
	if r.failed > 0 {
		first += fmt.Sprintf("  %d failed", r.failed)
	}
	return []string{first, "accept " + quantiles(r.accept), "end " + quantiles(r.end)}
}

// reached is how many orders a second were answered while orders were started.
func (r *run) reached() float64 {
	until := r.stopped
	if until.IsZero() {
		until = time.Now()
	}
	if took := until.Sub(r.began).Seconds(); took > 0 {
		return float64(r.inTime) / took
	}
	return 0
}

var reportColumns = []terminal.Column{
	{Title: ""},
	{Title: "COUNT", Right: true},
	{Title: "P50", Right: true},
	{Title: "P95", Right: true},
	{Title: "P99", Right: true},
	{Title: "LONGEST", Right: true},
}

// report is the summary.
func (r *run) report() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "%d orders asked for, %.1f/s of %g/s accepted\n", r.placed, r.reached(), r.Rate)
	for _, s := range states {
		if n := r.ended[s]; n > 0 {
			fmt.Fprintf(&text, "  %d %s\n", n, s)
		}
	}
	if r.inFlight > 0 {
		fmt.Fprintf(&text, "  %d not ended\n", r.inFlight)
	}
	if r.failed > 0 {
		fmt.Fprintf(&text, "  %d failed\n", r.failed)
	}
	fmt.Fprintln(&text)
	terminal.WriteTable(&text, 0, reportColumns, [][]string{row("accept", r.accept), row("end", r.end)})
	return text.String()
}

func row(name string, sample []time.Duration) []string {
	return []string{
		name, fmt.Sprint(len(sample)), milliseconds(quantile(sample, 0.5)), milliseconds(quantile(sample, 0.95)),
		milliseconds(quantile(sample, 0.99)), milliseconds(quantile(sample, 1)),
	}
}

func quantiles(sample []time.Duration) string {
	return fmt.Sprintf("p50 %s  p95 %s  p99 %s", milliseconds(quantile(sample, 0.5)), milliseconds(quantile(sample, 0.95)), milliseconds(quantile(sample, 0.99)))
}

func milliseconds(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// quantile is the least value that no less than the share q of the sample is at or below (nearest rank); 0 for no sample.
func quantile(sample []time.Duration, q float64) time.Duration {
	if len(sample) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(sample))
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}
