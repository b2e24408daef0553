// Command bench measures sagas in Amends against the same sagas in plain Temporal and in DBOS Transact for Go, all on one
// PostgreSQL server whose commits are durable. docs/performance.md explains its output. Instead, bench sizing measures
// how Amends grows with its environment, and bench memory what the Temporal server keeps in memory, both for
// docs/sizing.md.
//
// Every part is a process of its own, so that the processor time of each can be measured: PostgreSQL, the Temporal
// server, the step server and the three engines. All but PostgreSQL are this binary again, in a role.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/amends-dev/amends/bench/internal/engine"
	"github.com/amends-dev/amends/bench/internal/process"
	"github.com/amends-dev/amends/internal/commandline"
)

func main() {
	ctx := commandline.UntilInterrupted(context.Background())
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// flags are the command line.
type flags struct {
	Quick   bool          `help:"One short round, in a few minutes: rough numbers."`
	JSON    bool          `name:"json" help:"Print one JSON object for each row instead of the table."`
	Rounds  int           `default:"5" help:"How often each row is measured; the medians count."`
	Window  time.Duration `default:"10s" help:"For how long each row's clients start sagas in one round."`
	Engines []engine.Name `default:"plain,amends,dbos" enum:"plain,amends,dbos" help:"Which engines take part."`
	Cases   []engine.Case `default:"success,failing" enum:"success,failing" help:"What happens to the sagas."`
	AtOnce  []int         `default:"1,20,50" help:"How many sagas at once."`
	REST    bool          `name:"rest" default:"true" negatable:"" help:"Also measure what an order costs over REST; needs Go, and the repository as the working folder."`
	Try     []string      `sep:"none" placeholder:"SETTINGS" help:"Measure Amends with these settings as well, on servers of its own: such as \"server:GOGC=400 dynamic:history.cacheMaxSize=1000\". See docs/performance.md."`
	Write   string        `type:"path" placeholder:"FILE" help:"Also replace the latest table in this document."`
	Dir     string        `type:"path" placeholder:"DIR" help:"Where PostgreSQL's files go meanwhile: on a disk, not in memory. Default: the folder for temporary files."`
	Profile string        `type:"path" placeholder:"DIR" help:"Also write CPU profiles of the Temporal server and of the engine for each row of the last round."`
}

const description = `Measures sagas of ten HTTP steps in plain Temporal, in Amends and in DBOS Transact for Go, on one PostgreSQL with fsync on: one, 20 and 50 at once, in success and failing at the last step.`

// run is the program: arguments in, error out. Whatever it starts has ended when it returns.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 2 && args[0] == process.RoleArg {
		return runRole(ctx, args[1], stdin, stdout, stderr)
	}
	if len(args) > 0 && args[0] == sizingArg {
		return orInterrupted(ctx, runSizing(ctx, args[1:], stdout, stderr))
	}
	if len(args) > 0 && args[0] == memoryArg {
		return orInterrupted(ctx, runMemory(ctx, args[1:], stdout, stderr))
	}
	var f flags
	parsed, err := commandline.Parse(&f, "bench", description, args, stdout, stderr)
	if err != nil || parsed == nil {
		return err
	}
	p, err := f.plan()
	if err != nil {
		return err
	}
	return orInterrupted(ctx, measure(ctx, p, stdout, &lockedWriter{w: stderr}))
}

// orInterrupted says no more than that if it is why there is an error.
func orInterrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// plan is what to measure, and what to do with it.
type plan struct {
	flags

	warmUp time.Duration
	// shared are the settings of the servers that contestants share.
	shared      settings
	contestants []contestant
}

func (f flags) plan() (plan, error) {
	if f.Quick {
		f.Rounds, f.Window = 1, 3*time.Second
	}
	if f.Dir == "" {
		f.Dir = os.TempDir()
	}
	contestants, err := f.contestants()
	return plan{flags: f, warmUp: time.Second, contestants: contestants}, err
}

// lockedWriter lets several processes and this one write to w.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
