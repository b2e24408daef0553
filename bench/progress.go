package main

import (
	"fmt"
	"io"
	"time"

	"github.com/amends-dev/amends/bench/internal/report"
)

// progress tells whoever waits how far it is.
type progress struct {
	out         io.Writer
	began       time.Time
	done, total int
}

func newProgress(out io.Writer, p plan) *progress {
	return &progress{out: out, began: time.Now(), total: p.Rounds * len(p.Cases) * len(p.AtOnce) * len(p.contestants)}
}

func (p *progress) say(text string) { fmt.Fprintln(p.out, text) }

// row says what one row had in one round, and how long the rest takes.
func (p *progress) row(r row, m report.Measurement) {
	p.done++
	left := time.Since(p.began) / time.Duration(p.done) * time.Duration(p.total-p.done)
	fmt.Fprintf(p.out, "%3d/%d  round %d  %-28s %8.1f sagas/s  p50 %7.1f ms  p99 %7.1f ms  %d sagas; about %s left\n",
		p.done, p.total, r.round+1, r, m.SagasPerSecond, m.P50, m.P99, m.Sagas, left.Round(time.Second))
}
