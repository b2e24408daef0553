// Command mutants plants small changes in packages, one at a time, and lists those that no test of the package detects.
// An undetected change is a missing test, or code that is not needed.
//
// It resumes where it was interrupted: its results are kept, and hold as long as the changed code is the same.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // main starts the first context
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// options are the command line's options.
type options struct {
	most      int
	limit     time.Duration
	one       time.Duration
	parallel  int
	kept      string
	explained string
	args      string
	list      bool
	packages  []string
}

func parse(args []string, out io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.most, "most", 300, "try so many mutants of each package; the same ones each time; 0 is all")
	flags.DurationVar(&o.limit, "for", 30*time.Minute, "stop after so long; the next run goes on")
	flags.DurationVar(&o.one, "timeout", 3*time.Minute, "the tests may take so long with one mutant; it counts as killed then")
	flags.IntVar(&o.parallel, "parallel", 2, "try so many mutants at once")
	flags.StringVar(&o.kept, "kept", ".bin/mutants.jsonl", "the file that keeps what was found out")
	flags.StringVar(&o.explained, "explained", "internal/mutants/explained.txt", "the file that says why survivors may survive")
	flags.StringVar(&o.args, "test", "-short", "arguments for go test, separated by spaces")
	flags.BoolVar(&o.list, "list", false, "list the mutants and try none")
	flags.Usage = func() {
		fmt.Fprintln(out, "usage: mutants [flags] folder ...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.packages = flags.Args()
	switch {
	case len(o.packages) == 0:
		return o, errors.New("name the folders of the packages, such as fence")
	case o.parallel < 1:
		return o, fmt.Errorf("-parallel is %d, and must be 1 at least", o.parallel)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	reasons, err := readExplained(o.explained)
	if err != nil {
		return err
	}
	kept, err := openNotes(o.kept)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.file.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	var missing []string
	left := 0
	for _, name := range o.packages {
		r := round{options: o, out: out, kept: kept, reasons: reasons}
		if err := r.try(ctx, name); err != nil {
			return err
		}
		missing, left = append(missing, r.missing...), left+r.left
	}
	if left > 0 {
		fmt.Fprintf(out, "%d mutants are left: run it again\n", left)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d mutants survive without an explanation in %s", len(missing), o.explained)
	}
	return nil
}

// A round is the run for one package.
type round struct {
	options
	out     io.Writer
	kept    *notes
	reasons map[string]string

	mu sync.Mutex
	// missing are the survivors without an explanation, and left counts the mutants that were not tried.
	missing []string
	left    int
	err     error
}

func (r *round) try(ctx context.Context, name string) error {
	dir, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	p := pkg{name: filepath.ToSlash(filepath.Clean(name)), dir: dir, args: strings.Fields(r.args)}
	all, err := mutantsOf(p.dir, p.name)
	if err != nil {
		return err
	}
	if err := r.stale(p, all); err != nil {
		return err
	}
	all = some(all, r.most)
	if r.list {
		for _, m := range all {
			fmt.Fprintf(r.out, "%d\t%s\n", m.Line, m.ID)
		}
		return nil
	}
	sources, tests, err := p.fingerprints()
	if err != nil {
		return err
	}
	turns := make(chan struct{}, r.parallel)
	var wg sync.WaitGroup
	for _, m := range all {
		if before, ok := r.kept.lookUp(&r.mu, m.ID); ok && before.holds(sources[m.file], tests) {
			continue
		}
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			r.note(ctx, p, m, sources[m.file], tests)
		})
	}
	wg.Wait()
	if r.err != nil {
		return r.err
	}
	r.report(p, all, sources, tests)
	return nil
}

// note tries a mutant and keeps its outcome.
func (r *round) note(ctx context.Context, p pkg, m mutant, source, tests string) {
	if ctx.Err() != nil {
		return
	}
	became, err := p.test(ctx, m, source, r.one)
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = r.kept.add(result{ID: m.ID, Outcome: became, Source: source, Tests: tests})
	}
	r.err = errors.Join(r.err, err)
	if became == survived {
		fmt.Fprintf(r.out, "survives: %s (line %d)\n", m.ID, m.Line)
	}
}

// report counts the outcomes of the package's mutants.
func (r *round) report(p pkg, all []mutant, sources map[string]string, tests string) {
	counts := map[outcome]int{}
	explained := 0
	for _, m := range all {
		found, ok := r.kept.known[m.ID]
		switch {
		case !ok || !found.holds(sources[m.file], tests):
			r.left++
			continue
		case found.Outcome == survived && r.reasons[m.ID] != "":
			explained++
		case found.Outcome == survived:
			r.missing = append(r.missing, m.ID)
		}
		counts[found.Outcome]++
	}
	fmt.Fprintf(r.out, "%s: %d killed, %d survive (%d explained), %d are no program, %d left\n",
		p.name, counts[killed], counts[survived], explained, counts[notBuilt], r.left)
	for _, id := range r.missing {
		fmt.Fprintf(r.out, "  %s\n", id)
	}
}

// stale reports explanations of mutants that the package no longer has.
func (r *round) stale(p pkg, all []mutant) error {
	has := map[string]bool{}
	for _, m := range all {
		has[m.ID] = true
	}
	var errs []error
	for id := range r.reasons {
		if strings.HasPrefix(id, p.name+"/") && !has[id] {
			errs = append(errs, fmt.Errorf("%s explains a mutant that is not there: %s", r.explained, id))
		}
	}
	return errors.Join(errs...)
}

// lookUp returns the known result of a mutant.
func (n *notes) lookUp(mu *sync.Mutex, id string) (result, bool) {
	mu.Lock()
	defer mu.Unlock()
	r, ok := n.known[id]
	return r, ok
}

// some returns up to most of the mutants, spread over all of them; 0 is all.
func some(all []mutant, most int) []mutant {
	if most == 0 || len(all) <= most {
		return all
	}
	picked := make([]mutant, most)
	for i := range picked {
		picked[i] = all[i*len(all)/most]
	}
	return picked
}

// readExplained reads a mutant's ID on a line, and below it, indented, the reason why it may survive.
func readExplained(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	reasons := map[string]string{}
	id := ""
	for i, line := range strings.Split(string(content), "\n") {
		number := i + 1
		switch text := strings.TrimSpace(line); {
		case text == "", strings.HasPrefix(text, "#"):
		case text == line:
			if _, twice := reasons[id]; id != "" && !twice {
				return nil, fmt.Errorf("%s, line %d: %s is not explained", path, number, id)
			}
			id = text
		case id == "":
			return nil, fmt.Errorf("%s, line %d: an explanation of what", path, number)
		default:
			reasons[id] = strings.TrimSpace(reasons[id] + " " + text)
		}
	}
	if _, has := reasons[id]; id != "" && !has {
		return nil, fmt.Errorf("%s: %s is not explained", path, id)
	}
	return reasons, nil
}
