package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/amends-dev/amends/bench/internal/engine"
)

// settings are what a contestant has that is not the default.
type settings struct {
	// serverEnv and engineEnv are environment variables of the Temporal server and of the engine's process.
	serverEnv, engineEnv []string
	// postgres are settings of the PostgreSQL server, as NAME=VALUE.
	postgres []string
	// dynamic is a file of the Temporal server's dynamic configuration.
	dynamic string
	// shards is the Temporal server's number of history shards; 0 is the default.
	shards int
	// stockIndexes leaves the visibility store's indexes as Temporal makes them.
	stockIndexes bool
	// gzip makes the client compress.
	gzip bool
	// worker are fields of the SDK's worker.Options.
	worker map[string]any
	// workers are how many processes of the engine share the load; 0 is one.
	workers int
	// queued starts sagas through the task queue, not eagerly.
	queued bool
	// resultBytes are added to the result of each step.
	resultBytes int
}

// parseTry reads settings separated by spaces, each as WHERE:NAME=VALUE.
func parseTry(text string) (settings, error) {
	s := settings{worker: make(map[string]any)}
	for field := range strings.FieldsSeq(text) {
		where, assignment, _ := strings.Cut(field, ":")
		name, value, ok := strings.Cut(assignment, "=")
		if !ok || name == "" {
			return settings{}, fmt.Errorf("%q is not of the form WHERE:NAME=VALUE", field)
		}
		switch where {
		case "server":
			s.serverEnv = append(s.serverEnv, assignment)
		case "engine":
			s.engineEnv = append(s.engineEnv, assignment)
		case "postgres":
			s.postgres = append(s.postgres, assignment)
		case "dynamic":
			s.dynamic += name + ": [{value: " + value + "}]\n"
		case "worker":
			s.worker[name] = valueOf(value)
		default:
			if err := s.set(where+":"+name, value); err != nil {
				return settings{}, fmt.Errorf("%q: %w", field, err)
			}
		}
	}
	return s, nil
}

// set sets what has a name of its own.
func (s *settings) set(what, value string) (err error) {
	switch what {
	case "store:shards":
		s.shards, err = strconv.Atoi(value)
	case "store:stock-indexes":
		s.stockIndexes, err = strconv.ParseBool(value)
	case "client:gzip":
		s.gzip, err = strconv.ParseBool(value)
	case "run:workers":
		s.workers, err = strconv.Atoi(value)
	case "run:queued":
		s.queued, err = strconv.ParseBool(value)
	case "run:result-bytes":
		s.resultBytes, err = strconv.Atoi(value)
	default:
		err = errors.New("there is no such setting")
	}
	return err
}

// valueOf is a JSON value, or else the text itself.
func valueOf(text string) any {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return text
	}
	return value
}

// contestant is who takes part: an engine, by its defaults or with settings that are tried out.
type contestant struct {
	// label is what the results call it.
	label  string
	engine engine.Name
	// settings are all defaults but for what is tried out.
	settings settings
	// own gives it a Temporal and a PostgreSQL server of its own, with its settings. The others share theirs.
	own bool
}

// contestants are the engines that f asks for, each as it is, and Amends once more for everything to try.
func (f flags) contestants() ([]contestant, error) {
	var all []contestant
	for _, name := range f.Engines {
		all = append(all, contestant{label: string(name), engine: name})
	}
	for _, text := range f.Try {
		s, err := parseTry(text)
		if err != nil {
			return nil, fmt.Errorf("--try: %w", err)
		}
		all = append(all, contestant{label: string(engine.Amends) + " " + strings.Join(strings.Fields(text), " "), engine: engine.Amends, settings: s, own: true})
	}
	return all, nil
}
