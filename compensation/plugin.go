package compensation

import (
	"context"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
)

// ActivityEndTask is the name of the engine's own activity. It does nothing: a saga that waits for it ends its workflow
// task, so that what it did so far is on record, and hears what was asked of it meanwhile.
const ActivityEndTask = "amends.EndTask"

// NewPlugin returns the plugin that every worker, replayer and test environment of sagas needs; [Run] panics without it. It
//
//   - notes which updates a workflow accepts, so that no step or undo runs express because of one that is not in the
//     history yet;
//   - refuses a second saga in one workflow, whose steps would have the keys of the first, and an update handler of the
//     workflow's own under the name of one of the engine's;
//   - measures the results of steps, so that one that Temporal could not record is an outcome like any other;
//   - registers [ActivityEndTask].
func NewPlugin() worker.Plugin {
	p, err := temporal.NewSimplePlugin(temporal.SimplePluginOptions{
		Name:               "amends.compensation",
		WorkerInterceptors: []interceptor.WorkerInterceptor{&workerInterceptor{}},
		RunContextBefore: func(_ context.Context, o temporal.SimplePluginRunContextBeforeOptions) error {
			o.Registry.RegisterActivityWithOptions(func(context.Context) error { return nil }, activity.RegisterOptions{
				Name: ActivityEndTask, DisableAlreadyRegisteredCheck: true, // a client's plugins are its workers', too
			})
			return nil
		},
	})
	if err != nil {
		panic("compensation: " + err.Error()) // it has a name
	}
	return p
}
