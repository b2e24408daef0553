package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/alecthomas/kong"

	"github.com/amends-dev/amends/client"
)

// What the program's exit code says; docs/cli.md lists them.
const (
	exitError       = 1 // something went wrong here
	exitUsage       = 2 // the command line or the configuration cannot be as it is
	exitNotDone     = 3 // the saga that was awaited ended otherwise than completed
	exitStillRuns   = 4 // it had not ended when the wait was over
	exitRefused     = 5 // the API refuses the request: 4xx
	exitUnavailable = 6 // the API is not reachable, or cannot answer now
	exitDiffers     = 7 // sagas that run would not go on with this code
)

// exitCode is the program's exit code for run's error.
func exitCode(err error) int {
	var (
		parse   *kong.ParseError
		usage   *usageError
		ended   *endError
		problem *client.Problem
		differs *differsError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &parse), errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &differs):
		return exitDiffers
	case errors.As(err, &ended) && ended.state.Ended():
		return exitNotDone
	case errors.As(err, &ended):
		return exitStillRuns
	case errors.As(err, &problem) && problem.Status < http.StatusInternalServerError:
		return exitRefused
	case errors.As(err, &problem), errors.Is(err, client.ErrUnreachable):
		return exitUnavailable
	}
	return exitError
}

// usageError is a command line or configuration that cannot be as it is.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func badUsage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// endError is the end of a wait with anything but a completed saga.
type endError struct {
	id    string
	state client.State
}

func (e *endError) Error() string {
	if e.state.Ended() {
		return fmt.Sprintf("%s ended as %s", e.id, e.state)
	}
	return fmt.Sprintf("%s has not ended: it is %s", e.id, e.state)
}

// completed is nil for a saga that is completed, and otherwise says how it stands.
func completed(id string, state client.State) error {
	if state == client.Completed {
		return nil
	}
	return &endError{id: id, state: state}
}
