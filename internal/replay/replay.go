package replay

import (
	"log/slog"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// Outcome is what came of a replay.
type Outcome struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Events is how many the workflow's own code has brought about, or was told, up to the last of the former. 0: its first
	// task is not over, so that any code can begin it.
	Events int `json:"events"`
	// Difference is where the code goes another way than the history; nil if it goes the same.
	Difference *Difference `json:"difference,omitempty"`
}

// Run replays the history with the workflows of this build.
func Run(h History) Outcome {
	events := recorded(h.Events)
	o := Outcome{Name: h.Name, Type: h.Type(), Events: len(events)}
	if len(events) == 0 {
		return o
	}
	if err := run(events); err != nil {
		o.Difference = explain(events, err)
	}
	return o
}

func run(events []*historypb.HistoryEvent) error {
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		Plugins: []worker.Plugin{compensation.NewPlugin()},
	})
	if err != nil {
		return err
	}
	workflows.Register(replayer)
	h := &historypb.History{Events: events}
	return replayer.ReplayWorkflowHistoryWithOptions(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), h, compensation.ReplayOptions(h))
}

// registry gathers the names of workflows.
type registry []string

func (r *registry) RegisterWorkflowWithOptions(_ any, options workflow.RegisterOptions) {
	*r = append(*r, options.Name)
}
