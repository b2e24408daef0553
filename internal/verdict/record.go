package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// An event is the part that is read of one of go test's events.
type event struct {
	Action, Package, Test, Output string
}

// name identifies a test or subtest. Without a test it is the package.
type name struct{ pkg, test string }

func (n name) String() string { return strings.TrimSpace(n.pkg + " " + n.test) }

func (n name) compare(m name) int {
	return cmp.Or(strings.Compare(n.pkg, m.pkg), strings.Compare(n.test, m.test))
}

// An outcome is the end of a test, over all its runs.
type outcome struct {
	// failed and passed report that one run ended so. Only a run that passed after the last failure sets passed.
	failed, passed bool
	// lines are the lines of its output that explain why it failed.
	lines []string
}

// process is a run of a package's tests that has not ended yet.
type process struct {
	running map[string]bool
	failed  bool
	// judged is set once the process printed its own FAIL, so it ran every test that it was to run.
	judged bool
}

// record collects a test run. Its zero value is ready to use.
type record struct {
	outcomes  map[name]*outcome
	processes map[string]*process
	// build is the compiler's output.
	build  []string
	faults []fault
}

// A fault is a failure that no test can be blamed for, so that no repeated test can heal it. pkg is empty if it belongs
// to no package.
type fault struct{ pkg, text string }

func (r *record) read(events io.Reader) error {
	r.outcomes, r.processes = make(map[name]*outcome), make(map[string]*process)
	for d := json.NewDecoder(events); ; {
		var e event
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		switch {
		case e.Action == "build-output":
			r.build = append(r.build, e.Output)
		case e.Test != "":
			r.test(e)
		case e.Package != "":
			r.pkg(e)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(r.processes)) {
		r.abandon(pkg)
		r.fault(pkg, "did not end")
	}
	return nil
}

func (r *record) test(e event) {
	p, o := r.process(e.Package), r.outcome(name{e.Package, e.Test})
	switch e.Action {
	case "run":
		p.running[e.Test] = true
	case "output":
		o.say(e.Output)
	case "pass":
		delete(p.running, e.Test)
		o.passed = true
	case "fail":
		delete(p.running, e.Test)
		p.failed = true
		o.failed, o.passed = true, false
	case "skip":
		delete(p.running, e.Test)
	}
}

func (r *record) pkg(e event) {
	p := r.process(e.Package)
	switch e.Action {
	case "output":
		r.outcome(name{pkg: e.Package}).say(e.Output)
		p.judged = p.judged || strings.HasSuffix(e.Output, "FAIL\n")
	case "fail":
		// gotestsum runs nothing again, or only the test that was running, and forgets both the failure and the tests
		// that would have come after it.
		if !p.judged || !p.failed {
			r.fault(e.Package, "failed outside its tests: it did not build, exited or panicked, or its TestMain failed it")
		}
		r.abandon(e.Package)
		delete(r.processes, e.Package)
	case "pass", "skip":
		delete(r.processes, e.Package)
	}
}

// abandon fails the tests that were running when their process ended.
func (r *record) abandon(pkg string) {
	for test := range r.processes[pkg].running {
		o := r.outcome(name{pkg, test})
		o.failed, o.passed = true, false
	}
}

func (r *record) process(pkg string) *process {
	p, ok := r.processes[pkg]
	if !ok {
		p = &process{running: make(map[string]bool)}
		r.processes[pkg] = p
	}
	return p
}

func (r *record) outcome(n name) *outcome {
	o, ok := r.outcomes[n]
	if !ok {
		o = new(outcome)
		r.outcomes[n] = o
	}
	return o
}

// fault keeps a fault, once.
func (r *record) fault(pkg, text string) {
	if f := (fault{pkg, text}); !slices.Contains(r.faults, f) {
		r.faults = append(r.faults, f)
	}
}

// telling matches the lines that explain why a test failed. The whole output is much longer.
var telling = regexp.MustCompile(`^( +\t(Error Trace|Error|Test|Messages):|panic: |fatal error: |goleak: |WARNING: DATA RACE| *--- FAIL| +[^ ]+_test\.go:\d+: .)`)

// mostLines limits the lines that are kept of a test.
const mostLines = 30

func (o *outcome) say(line string) {
	if len(o.lines) < mostLines && telling.MatchString(line) {
		o.lines = append(o.lines, line)
	}
}
