// Package commandline reads a command line with kong, for programs whose main is one function that tests can call: it
// returns where kong would end the process.
package commandline

import (
	"errors"
	"io"

	"github.com/alecthomas/kong"
)

// errExited is panicked with where kong wants to end the process: after it has printed help.
var errExited = errors.New("exited")

// Parse reads args into grammar, a pointer to kong's struct. It returns nil without an error where the arguments asked
// only for help, which it has printed to stdout.
func Parse(grammar any, name, description string, args []string, stdout, stderr io.Writer, options ...kong.Option) (parsed *kong.Context, err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case errExited:
			parsed, err = nil, nil
		default:
			panic(r)
		}
	}()
	parser, err := kong.New(grammar, append(options,
		kong.Name(name), kong.Description(description), kong.Writers(stdout, stderr), kong.Exit(func(int) { panic(errExited) }))...)
	if err != nil {
		return nil, err
	}
	return parser.Parse(args)
}

// Trace reads args into a trace of grammar's commands and flags, and sets nothing. Its error is about args themselves.
func Trace(grammar any, name string, args []string, options ...kong.Option) (*kong.Context, error) {
	parser, err := kong.New(grammar, append(options, kong.Name(name))...)
	if err != nil {
		return nil, err
	}
	trace, err := kong.Trace(parser, args)
	if err != nil {
		return nil, err
	}
	return trace, trace.Error
}
