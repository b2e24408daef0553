package main

import (
	"context"
	"fmt"
	"time"

	"github.com/amends-dev/amends/bench/internal/engine"
	"github.com/amends-dev/amends/bench/internal/process"
	"github.com/amends-dev/amends/bench/internal/report"
)

// row is what is measured at one time.
type row struct {
	contestant

	c           engine.Case
	concurrency int
	round       int
}

func (r row) String() string { return fmt.Sprintf("%s, %s, %d at once", r.label, r.c, r.concurrency) }

// load is the row's load; phase tells repeats of it apart.
func (r row) load(phase string, window time.Duration) engine.Load {
	prefix := fmt.Sprintf("%s-%s-%d-%d-%s", r.engine, r.c, r.concurrency, r.round, phase)
	return engine.Load{Prefix: prefix, Case: r.c, Clients: r.concurrency, For: window}
}

// measureRow warms the row up, measures it and checks that nothing was left half done.
func (s *system) measureRow(ctx context.Context, r row, p plan) (report.Measurement, error) {
	e := s.engines[r.label]
	if _, err := e.Run(ctx, r.load("warm", p.warmUp)); err != nil {
		return report.Measurement{}, err
	}
	if err := s.books.Forget(ctx); err != nil {
		return report.Measurement{}, err
	}
	profiled := s.profile(ctx, r, p)
	before, err := s.count(ctx, e)
	if err != nil {
		return report.Measurement{}, err
	}
	out, err := e.Run(ctx, r.load("measured", p.Window))
	if err != nil {
		return report.Measurement{}, err
	}
	after, err := s.count(ctx, e)
	if err != nil {
		return report.Measurement{}, err
	}
	if err := profiled(); err != nil {
		return report.Measurement{}, err
	}
	books, err := s.books.Books(ctx)
	if err != nil {
		return report.Measurement{}, err
	}
	if err := books.Check(len(out.Latencies), r.c == engine.Failing); err != nil {
		return report.Measurement{}, err
	}
	history, err := e.History(ctx, out.Sample)
	if err != nil {
		return report.Measurement{}, err
	}
	return r.measurement(out, history, before, after), nil
}

func (r row) measurement(out engine.Outcome, history engine.History, before, after counters) report.Measurement {
	sagas := float64(len(out.Latencies))
	cpu := func(after, before time.Duration) float64 { return report.Milliseconds(after-before) / sagas }
	n := report.Numbers{
		SagasPerSecond: out.PerSecond,
		P50:            report.Percentile(out.Latencies, 50),
		P99:            report.Percentile(out.Latencies, 99),
		CPUEngine:      cpu(after.engine, before.engine),
		CPUPostgres:    cpu(after.postgres, before.postgres),
		CPUSteps:       cpu(after.steps, before.steps),
		HistoryEvents:  history.Events,
		HistoryBytes:   history.Bytes,
		Commits:        float64(after.commits-before.commits) / sagas,
		WALBytes:       float64(after.walBytes-before.walBytes) / sagas,
		DiskBytes:      float64(after.diskBytes-before.diskBytes) / sagas,
	}
	if r.engine != engine.DBOS {
		n.CPUTemporal = cpu(after.temporal, before.temporal)
	}
	n.CPUTotal = n.CPUEngine + n.CPUTemporal + n.CPUPostgres + n.CPUSteps
	return report.Measurement{
		Key:     report.Key{Engine: r.label, Case: string(r.c), Concurrency: r.concurrency},
		Numbers: n,
		Sagas:   len(out.Latencies),
	}
}

// counters only grow.
type counters struct {
	engine, temporal, postgres, steps time.Duration
	// commits are transactions that wrote, walBytes what they wrote into the log, diskBytes the size of all databases.
	commits, walBytes, diskBytes int64
}

func (s *system) count(ctx context.Context, e *runningEngine) (c counters, err error) {
	for _, part := range []struct {
		used      *time.Duration
		processes []*process.Process
	}{{&c.engine, e.processes}, {&c.temporal, one(e.temporal)}, {&c.postgres, one(e.postgres)}, {&c.steps, one(s.steps)}} {
		for _, p := range part.processes {
			used, err := p.CPU()
			if err != nil {
				return c, err
			}
			*part.used += used
		}
	}
	// Both are exact at once, unlike the statistics that backends send when they get round to it. Only transactions that
	// write get an ID; only they wait for the disk.
	err = e.db.QueryRow(ctx, `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
		pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
		(SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint`).Scan(&c.commits, &c.walBytes, &c.diskBytes)
	if err != nil {
		return c, fmt.Errorf("postgres: counters: %w", err)
	}
	return c, nil
}

func one(p *process.Process) []*process.Process { return []*process.Process{p} }
