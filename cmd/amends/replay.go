package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/internal/replay"
	"github.com/amends-dev/amends/internal/terminal"
)

type replayCommand struct {
	Files       []string `arg:"" optional:"" help:"Files of histories, or folders of them." type:"path"`
	FromCluster bool     `help:"Download the histories from Temporal: of sagas that run, and of those that ended last."`
	Query       string   `help:"Which of them, as a visibility query. Default: all of our workflows." placeholder:"QUERY"`
	Limit       int      `help:"How many of them at most." default:"1000"`
	Against     string   `help:"Replay with this binary's workflows instead: the amends of another version." placeholder:"BINARY" type:"existingfile"`
	Record      string   `help:"Also write the histories below this folder, one file each. They have what customers sent, not encrypted." placeholder:"DIR" type:"path"`
	Output      string   `help:"text or json." enum:"text,json" default:"text" placeholder:"FORMAT"`
}

// Validate implements kong's interface.
func (c *replayCommand) Validate() error {
	switch {
	case c.FromCluster == (len(c.Files) > 0):
		return errors.New("name files, or give --from-cluster")
	case !c.FromCluster && (c.Query != "" || c.Record != ""):
		return errors.New("--query and --record go with --from-cluster")
	case c.Limit < 1:
		return errors.New("--limit: 1 or more")
	}
	return nil
}

// differsError is the end of a replay that the code did not pass.
type differsError struct {
	// binary is the one that found it; empty for this one.
	binary              string
	different, replayed int
}

func (e *differsError) Error() string {
	if e.binary != "" {
		return "some histories do not replay with " + e.binary
	}
	return fmt.Sprintf("%d of %d histories do not replay: sagas like them would get stuck with this code", e.different, e.replayed)
}

func (c *replayCommand) Run(p *process) error {
	if !c.FromCluster {
		if c.Against != "" {
			return c.runOther(p, c.Files)
		}
		return c.replayFiles(p)
	}
	temporal, namespace, err := dial(p, nil)
	if err != nil {
		return err
	}
	defer temporal.Close()
	return c.replayCluster(p, temporal, namespace)
}

func (c *replayCommand) replayFiles(p *process) error {
	files, err := replay.Files(c.Files)
	if err != nil {
		return err
	}
	var r replayReport
	g, _ := errgroup.WithContext(p.ctx)
	g.SetLimit(replaysAtOnce)
	for _, file := range files {
		g.Go(func() error {
			h, err := replay.ReadFile(file)
			if err == nil {
				r.add(replay.Run(h))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return r.print(p, c.Output)
}

// replaysAtOnce is enough for the processors of the machine, of which a replay takes one.
const replaysAtOnce = 8

// replayCluster downloads histories and replays them, with the other binary if there is one.
func (c *replayCommand) replayCluster(p *process, temporal client.Client, namespace string) error {
	cluster := &replay.Cluster{Client: temporal, Namespace: namespace, Query: c.Query, Limit: c.Limit}
	var r replayReport
	folder := c.Record
	if c.Against != "" && folder == "" {
		// Only this user reads it: the histories have what customers sent.
		dir, err := os.MkdirTemp("", "amends-replay-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // the system clears it up then
		folder = dir
	}
	stop := c.showProgress(p, cluster)
	err := cluster.Download(p.ctx, func(h replay.History) error {
		if folder != "" {
			if err := h.Save(folder); err != nil {
				return err
			}
		}
		if c.Against == "" {
			r.add(replay.Run(h))
		}
		return nil
	})
	stop()
	if err != nil {
		return err
	}
	if c.Against != "" {
		return c.runOther(p, []string{folder})
	}
	return r.print(p, c.Output)
}

// showProgress tells how many histories have come, every now and then.
func (c *replayCommand) showProgress(p *process, cluster *replay.Cluster) (stop func()) {
	return terminal.Repeat(2*time.Second, func() {
		if downloaded, found := cluster.Progress(); found > 0 {
			fmt.Fprintf(p.stderr, "%d of %d histories downloaded\n", downloaded, found)
		}
	})
}

// runOther lets the other binary replay the files, and report. It needs no Temporal.
func (c *replayCommand) runOther(p *process, files []string) error {
	binary, err := filepath.Abs(c.Against)
	if err != nil {
		return err
	}
	other := exec.CommandContext(p.ctx, binary, append([]string{"replay", "--output", c.Output, "--"}, files...)...)
	other.Stdout, other.Stderr = p.stdout, p.stderr
	var exit *exec.ExitError
	switch err := other.Run(); {
	case errors.As(err, &exit) && exit.ExitCode() == exitDiffers:
		return &differsError{binary: c.Against} // which has said how many
	case err != nil:
		return fmt.Errorf("replay with %s: %w", c.Against, err)
	}
	return nil
}

// replayReport gathers outcomes, also of several at the same time.
type replayReport struct {
	mu       sync.Mutex
	outcomes []replay.Outcome
}

func (r *replayReport) add(o replay.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, o)
}

// print tells what came of the replays; its error is a [*differsError] if some differ.
func (r *replayReport) print(p *process, format string) error {
	slices.SortFunc(r.outcomes, func(a, b replay.Outcome) int { return strings.Compare(a.Name, b.Name) })
	events, fresh := 0, 0
	var different []replay.Outcome
	for _, o := range r.outcomes {
		events += o.Events
		if o.Events == 0 {
			fresh++
		}
		if o.Difference != nil {
			different = append(different, o)
		}
	}
	if format == "json" {
		if err := writeJSON(p.stdout, map[string]any{"replayed": len(r.outcomes), "different": len(different), "outcomes": r.outcomes}); err != nil {
			return err
		}
	} else {
		for _, o := range different {
			fmt.Fprintf(p.stdout, "%s %s: %s\n\n", terminal.Printable(o.Type), terminal.Printable(o.Name), terminal.PrintableLines(o.Difference.String()))
		}
		fmt.Fprintf(p.stdout, "%d histories with %d events; %d have not begun; %d differ.\n", len(r.outcomes), events, fresh, len(different))
	}
	if len(different) > 0 {
		return &differsError{different: len(different), replayed: len(r.outcomes)}
	}
	return nil
}
