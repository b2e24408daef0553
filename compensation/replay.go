package compensation

import (
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/worker"
)

// ReplayOptions returns the options with which a replayer replays a saga's history as that of the run that wrote it. With
// the SDK's own options, a run that was reset counts as the run that it was reset from, and a saga distinguishes the two.
// The replayer needs the plugin (see [NewPlugin]).
func ReplayOptions(h *historypb.History) worker.ReplayWorkflowHistoryOptions {
	var options worker.ReplayWorkflowHistoryOptions
	for _, event := range h.GetEvents() {
		if run := event.GetWorkflowTaskFailedEventAttributes().GetNewRunId(); run != "" {
			options.OriginalExecution.RunID = run // the last reset counts
		}
	}
	return options
}
