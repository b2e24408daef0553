package compensation

import (
	"context"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
)

// ActivityEndTask is the name of the engine's own activity. It does nothing: a saga that waits for it ends its workflow
// task, which puts its actions so far on record and lets it hear the requests that came meanwhile.
const ActivityEndTask = "amends.EndTask"

// NewPlugin returns the plugin that every worker, replayer and test environment of sagas needs; [Run] panics without it. It
//
//   - notes which updates a workflow accepts, so that no step or undo runs express because of an update that is not in
//     the history yet;
//   - refuses a second saga in one workflow, whose steps would have the keys of the first, and a handler of the
//     workflow's own for one of the engine's updates;
//   - measures the results of steps, so that a result too large for Temporal to record is an outcome like any other;
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
