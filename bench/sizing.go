package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/amends-dev/amends/bench/internal/engine"
	"github.com/amends-dev/amends/bench/internal/report"
	"github.com/amends-dev/amends/internal/commandline"
)

// sizingArg is the first argument of a run that measures how sagas grow with what they run on.
const sizingArg = "sizing"

// sizingFlags are its command line.
type sizingFlags struct {
	Rounds      int           `default:"3" help:"How often each row is measured; the medians count."`
	Window      time.Duration `default:"8s" help:"For how long each row's clients start sagas in one round."`
	Shards      []int         `default:"1,4,16,64,512" help:"How many history shards the Temporal server has."`
	Workers     []int         `default:"1,2,4" help:"How many workers there are."`
	AtOnce      int           `default:"50" help:"How many sagas at once."`
	SlowFlush   time.Duration `default:"5ms" help:"How long a commit waits before its flush, in the rows with a slow disk."`
	SlowAtOnce  int           `default:"200" help:"How many sagas at once in those rows, which have as many workers as the most of --workers."`
	ResultBytes []int         `default:"100,1000,10000" help:"By how much each step's result is made larger, in the rows of larger histories."`
	Write       string        `type:"path" placeholder:"FILE" help:"Also replace the tables in this document."`
	Dir         string        `type:"path" placeholder:"DIR" help:"Where PostgreSQL's files go meanwhile: on a disk, not in memory. Default: the folder for temporary files."`
}

const sizingDescription = `Measures how sagas of ten HTTP steps grow with Temporal's history shards, with workers, with a slow disk and with the size of their histories. API and worker count as processes of their own: no saga starts eagerly. docs/sizing.md says how to read it.`

func runSizing(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f sizingFlags
	parsed, err := commandline.Parse(&f, "bench "+sizingArg, sizingDescription, args, stdout, stderr)
	if err != nil || parsed == nil {
		return err
	}
	if f.Dir == "" {
		f.Dir = os.TempDir()
	}
	return measureSizing(ctx, f, stdout, &lockedWriter{w: stderr})
}

// sizingGroup are rows that are measured on the same servers.
type sizingGroup struct {
	table  report.SizingTable
	shards int
	// slow is how long a commit waits before its flush.
	slow   time.Duration
	atOnce int
	rows   []contestant
}

// groups are the rows of all tables.
func (f sizingFlags) groups() []sizingGroup {
	most := 0
	var byWorkers, bySize []contestant
	for _, n := range f.Workers {
		most = max(most, n)
		byWorkers = append(byWorkers, sized(n, 0))
	}
	for _, size := range f.ResultBytes {
		bySize = append(bySize, sized(1, size))
	}
	var all []sizingGroup
	for _, n := range f.Shards {
		all = append(all, sizingGroup{table: report.ByShardsAndWorkers, shards: n, atOnce: f.AtOnce, rows: byWorkers})
	}
	for _, n := range f.Shards {
		all = append(all, sizingGroup{table: report.WithSlowFlush, shards: n, slow: f.SlowFlush, atOnce: f.SlowAtOnce, rows: []contestant{sized(most, 0)}})
	}
	return append(all, sizingGroup{table: report.ByHistorySize, atOnce: f.AtOnce, rows: bySize})
}

// sized is Amends with so many workers and results of that many bytes more.
func sized(workers, resultBytes int) contestant {
	return contestant{
		label:    fmt.Sprintf("%d workers, %d bytes", workers, resultBytes),
		engine:   engine.Amends,
		settings: settings{workers: workers, queued: true, resultBytes: resultBytes},
	}
}

// plan is what to measure in one round of the group.
func (g sizingGroup) plan(f sizingFlags) plan {
	shared := settings{shards: g.shards}
	if g.slow > 0 {
		// commit_siblings: also when nobody else commits.
		shared.postgres = []string{fmt.Sprintf("commit_delay=%d", g.slow.Microseconds()), "commit_siblings=0"}
	}
	return plan{
		flags: flags{
			Rounds: f.Rounds, Window: f.Window, Dir: f.Dir, Cases: []engine.Case{engine.Success}, AtOnce: []int{g.atOnce},
		},
		warmUp: min(2*time.Second, f.Window), shared: shared, contestants: g.rows,
	}
}

// measureSizing measures all tables and prints them to stdout; progress goes to stderr. Each group of rows gets servers of
// its own in each round, so none works on what another has stored.
func measureSizing(ctx context.Context, f sizingFlags, stdout, stderr io.Writer) error {
	if err := checkDisk(f.Dir); err != nil {
		return err
	}
	groups := f.groups()
	progress := &progress{out: stderr, began: time.Now()}
	for _, g := range groups {
		progress.total += f.Rounds * len(g.rows)
	}
	var (
		env environment
		all []report.SizingMeasurement
	)
	for round := range f.Rounds {
		for _, g := range groups {
			measured, at, err := g.measure(ctx, f, round, progress, stderr)
			if err != nil {
				return fmt.Errorf("round %d, %d shards: %w", round+1, g.shards, err)
			}
			if env.when.IsZero() {
				env = at
			}
			all = append(all, measured...)
		}
	}
	text := env.markdown() + "\n" + report.Sizing(all)
	if f.Write != "" {
		if err := report.WriteDocument(f.Write, sizingArg, text); err != nil {
			return err
		}
	}
	_, err := io.WriteString(stdout, text)
	return err
}

// idle is for how long servers are watched that have nothing to do.
const idle = 5 * time.Second

// measure starts what the group needs, and measures its rows in one round.
func (g sizingGroup) measure(ctx context.Context, f sizingFlags, round int, progress *progress, stderr io.Writer) (_ []report.SizingMeasurement, _ environment, err error) {
	p := g.plan(f)
	ctx, s, err := startSystem(ctx, p, stderr)
	defer func() { err = errors.Join(err, s.stop(context.WithoutCancel(ctx))) }()
	if err != nil {
		return nil, environment{}, orCause(ctx, err)
	}
	env, err := readEnvironment(ctx, s.shared.db, p)
	if err != nil {
		return nil, environment{}, err
	}
	temporal, postgres, err := s.idle(ctx, min(idle, f.Window))
	if err != nil {
		return nil, environment{}, orCause(ctx, err)
	}
	var all []report.SizingMeasurement
	for _, who := range g.rows {
		r := row{contestant: who, c: engine.Success, concurrency: g.atOnce, round: round}
		m, err := s.measureRow(ctx, r, p)
		if err != nil {
			return nil, environment{}, orCause(ctx, fmt.Errorf("%s: %w", who.label, err))
		}
		progress.row(r, m)
		all = append(all, report.SizingMeasurement{
			SizingKey: report.SizingKey{
				Table: g.table, Shards: g.shards, Workers: who.settings.workers, AtOnce: g.atOnce, ResultBytes: who.settings.resultBytes,
			},
			Numbers: m.Numbers, IdleTemporal: temporal, IdlePostgres: postgres,
		})
	}
	return all, env, nil
}

// idle is which share of a processor the servers need that have nothing to do.
func (s *system) idle(ctx context.Context, window time.Duration) (temporal, postgres float64, err error) {
	idler := &runningEngine{servers: s.shared}
	before, err := s.count(ctx, idler)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(window):
	}
	after, err := s.count(ctx, idler)
	if err != nil {
		return 0, 0, err
	}
	lasted := time.Since(began)
	share := func(after, before time.Duration) float64 { return float64(after-before) / float64(lasted) }
	return share(after.temporal, before.temporal), share(after.postgres, before.postgres), nil
}
