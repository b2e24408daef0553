package workflows_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// The histories were recorded from a real server (make histories), one for each way in which a saga ends. Sagas that
// run now have such histories: code that cannot replay them would break those sagas.
func TestRecordedHistoriesReplay(t *testing.T) {
	t.Parallel()

	files := recorded(t, "revision-*/"+workflows.TypePlaceOrder, "revision-*/"+workflows.TypeReturnOrder,
		"revision-*/"+workflows.TypeActOnSagas, "revision-*/"+workflows.TypeRecoverSaga, "revision-*/"+workflows.TypeSweepSagas)
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()

			require.NoError(t, replay(t, file))
		})
	}
}

// A history of other code must fail, or the tests above could not.
func TestHistoryOfChangedSagaFails(t *testing.T) {
	t.Parallel()

	for _, file := range recorded(t, "revision-*/must-fail") {
		require.ErrorContains(t, replay(t, file), "TMPRL1100", "replays without a non-determinism error: %s", file)
	}
}

// recorded are the histories in these folders of testdata.
func recorded(t *testing.T, folders ...string) []string {
	t.Helper()
	var all []string
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
		require.NoError(t, err)
		require.NotEmpty(t, files, "no history in %s: make histories", folder)
		all = append(all, files...)
	}
	return all
}

func replay(t *testing.T, file string) error {
	t.Helper()
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		Plugins: []worker.Plugin{compensation.NewPlugin()},
	})
	require.NoError(t, err)
	workflows.Register(replayer)
	content, err := os.Open(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, content.Close()) }()
	h, err := client.HistoryFromJSON(content, client.HistoryJSONOptions{})
	require.NoError(t, err)
	return replayer.ReplayWorkflowHistoryWithOptions(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), h, compensation.ReplayOptions(h))
}
