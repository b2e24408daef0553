package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// report writes what failed, what was flaky and, as the last line, the counts, and reports whether all is well: a test
// that passed when it ran again counts as passed, once. code is the exit code of the test run.
func (r *record) report(out io.Writer, code int) bool {
	var failed, flaky []name
	passed := 0
	for _, n := range slices.SortedFunc(maps.Keys(r.outcomes), name.compare) {
		switch o := r.outcomes[n]; {
		case n.test == "":
		case o.passed && o.failed:
			flaky = append(flaky, n)
			passed++
		case o.passed:
			passed++
		case o.failed:
			failed = append(failed, n)
		}
	}
	faults := slices.Clone(r.faults)
	if code != 0 && len(failed) == 0 && len(faults) == 0 {
		faults = append(faults, fault{text: fmt.Sprintf("the test run ended with exit code %d, although no test failed", code)})
	}
	if passed == 0 && len(failed) == 0 && len(faults) == 0 {
		faults = append(faults, fault{text: "no test passed"})
	}

	if len(failed)+len(faults) > 0 {
		fmt.Fprintln(out, "--- what failed:")
		for _, line := range r.build {
			fmt.Fprint(out, short(line))
		}
		r.repeat(out, failed)
		for _, f := range faults {
			r.repeat(out, []name{{pkg: f.pkg}})
			fmt.Fprintln(out, strings.TrimSpace(f.pkg+" "+f.text))
		}
	}
	if flaky = leaves(flaky); len(flaky) > 0 {
		fmt.Fprintln(out, "--- flaky, failed once and passed when they ran again; to be fixed next:")
		r.repeat(out, flaky)
		for _, n := range flaky {
			fmt.Fprintln(out, n)
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", passed, len(failed)+len(faults))
	return len(failed)+len(faults) == 0
}

// repeat writes the lines that explain why the tests failed.
func (r *record) repeat(out io.Writer, tests []name) {
	for _, n := range tests {
		o, ok := r.outcomes[n]
		if !ok {
			continue
		}
		for _, line := range o.lines {
			fmt.Fprint(out, short(line))
		}
	}
}

// leaves leaves out the tests of which a subtest is listed: they failed only because the subtest did.
func leaves(tests []name) []name {
	return slices.DeleteFunc(slices.Clone(tests), func(n name) bool {
		return slices.ContainsFunc(tests, func(m name) bool {
			return m.pkg == n.pkg && strings.HasPrefix(m.test, n.test+"/")
		})
	})
}

// short cuts a line that is too long to read.
func short(line string) string {
	const most = 400
	if line = strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", " "); len(line) > most {
		line = line[:most]
	}
	return line + "\n"
}
