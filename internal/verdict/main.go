// Command verdict judges a test run in which failed tests ran once more. It reads the run's events (gotestsum's
// --jsonfile, the format of go tool test2json), repeats the output of the failed tests, names the flaky ones, and counts.
// It does not run tests: .ci/run does.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	ok, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
	}
	if !ok {
		os.Exit(1)
	}
}

// run takes the exit code of the test run and the file with its events. It reports whether every test passed, at the
// latest when it ran again. The last line of out is always "N passed, M failed".
func run(args []string, out io.Writer) (ok bool, err error) {
	if len(args) != 2 {
		return false, fmt.Errorf("want two arguments, the exit code of the test run and the file with its events; got %d", len(args))
	}
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return false, fmt.Errorf("exit code of the test run: %w", err)
	}
	file, err := os.Open(args[1])
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }() // only read from
	var r record
	if err := r.read(bufio.NewReader(file)); err != nil {
		r.fault("", fmt.Sprintf("%s: %v; what comes after is not counted", args[1], err))
	}
	return r.report(out, code), nil
}
