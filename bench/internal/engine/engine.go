// Package engine has the three engines that are measured against each other: plain Temporal as its own sample writes a
// saga, Amends, and DBOS Transact. Each runs the same saga, the ten steps of package steps, in a process of its own that
// is told over HTTP what to run (see [NewHandler] and [Client]). It knows nothing of rounds, medians and tables.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/amends-dev/amends/bench/internal/steps"
)

// Name is an engine's name, as results say it.
type Name string

const (
	// Plain is plain Temporal: one ordinary activity for each step, undo by defer.
	Plain Name = "plain"
	// Amends is package compensation.
	Amends Name = "amends"
	// DBOS is DBOS Transact for Go.
	DBOS Name = "dbos"
)

// Names are all engines, in the order in which they take turns.
var Names = []Name{Plain, Amends, DBOS}

// Case is what happens to the saga.
type Case string

const (
	// Success: all ten steps are done.
	Success Case = "success"
	// Failing: the last step refuses, and the nine before it are undone.
	Failing Case = "failing"
)

// Cases are all of them.
var Cases = []Case{Success, Failing}

// Config says where an engine finds what it needs.
type Config struct {
	Name Name `json:"name"`
	// Steps is the URL of the step server.
	Steps string `json:"steps"`
	// Temporal is the address of the Temporal server, for the engines that use it.
	Temporal string `json:"temporal"`
	// Queue is the task queue of Amends' workers: those with the same one share its sagas.
	Queue string `json:"queue,omitempty"`
	// Queued makes Amends' sagas start through that queue, as where API and worker are processes of their own. Otherwise
	// they start eagerly, in the process that asks for them.
	Queued bool `json:"queued,omitempty"`
	// ResultBytes are added to the result of each of Amends' steps, of a kind that does not compress.
	ResultBytes int `json:"result_bytes,omitempty"`
	// Worker are fields of worker.Options that Amends' worker gets in addition, for trying them out.
	Worker map[string]any `json:"worker,omitempty"`
	// Gzip makes Amends' client compress what it sends, as the SDK's default is.
	Gzip bool `json:"gzip,omitempty"`
	// Postgres is the URL of the database, for the engine that uses it itself.
	Postgres string `json:"postgres,omitempty"`
	// Logger takes what the engine's libraries have to say at warn and above.
	Logger *slog.Logger `json:"-"`
}

// History is the size of what Temporal keeps of a saga.
type History struct {
	Events float64 `json:"events"`
	Bytes  float64 `json:"bytes"`
}

// Engine runs sagas. It is safe for concurrent use.
type Engine interface {
	// Run runs one saga, whose ID is new, from its start until its result is known here. It fails unless the saga ended
	// as c says.
	Run(ctx context.Context, id string, c Case) error
	// History is that of one saga; zero for an engine that keeps none.
	History(ctx context.Context, id string) (History, error)
	// Close stops the engine. Nothing runs any more.
	Close() error
}

// Open starts the engine that o names.
func Open(ctx context.Context, o Config) (Engine, error) {
	switch o.Name {
	case Plain:
		return openPlain(ctx, o)
	case Amends:
		return openAmends(ctx, o)
	case DBOS:
		return openDBOS(ctx, o)
	}
	return nil, fmt.Errorf("unknown engine %q", o.Name)
}

// typeRefused is the type of the failure with which sagas in Temporal end when a step refused, here as in package
// compensation.
const typeRefused = "Refused"

// inputOf is what every step of the saga is asked to do. In a failing saga only the last one refuses.
func inputOf(id, step string, c Case) steps.Input {
	return steps.Input{Order: id, Amount: 12_900, Refuse: c == Failing && step == steps.Pivot}
}

// keyOf names the effect of a step the way package compensation does.
func keyOf(id, step string) string { return id + ":" + step }

// checkEnd tells whether a saga ended as it should: with all references, or with a refusal.
func checkEnd(c Case, references []string, err error, refused func(error) bool) error {
	switch {
	case c == Success && err == nil && len(references) != steps.Count:
		return fmt.Errorf("the saga completed with %d references of %d", len(references), steps.Count)
	case c == Success:
		return err
	case err == nil:
		return errors.New("the saga completed although its last step refuses")
	case !refused(err):
		return fmt.Errorf("the saga failed, but not because its last step refused: %w", err)
	}
	return nil
}

func clientOptions(o Config) client.Options {
	return client.Options{HostPort: o.Temporal, Logger: sdklog.NewStructuredLogger(o.Logger)}
}

// historyOf asks the server how large a saga's history is.
func historyOf(ctx context.Context, c client.Client, id string) (History, error) {
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return History{}, fmt.Errorf("describe %s: %w", id, err)
	}
	info := d.GetWorkflowExecutionInfo()
	return History{Events: float64(info.GetHistoryLength()), Bytes: float64(info.GetHistorySizeBytes())}, nil
}
