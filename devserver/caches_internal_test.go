package devserver

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/metrics/metricstest"
)

// measured starts a server in memory that is stopped when the test ends. It returns the server, and a function for the
// values that one of the server's metrics has had, by the kind of the cache.
func measured(t *testing.T, o Options) (*Server, func(metric string) map[string][]float64) {
	t.Helper()
	handler := metricstest.NewCaptureHandler()
	capture := handler.StartCapture()
	o.Ephemeral, o.metrics, o.Logger = true, handler, slog.New(slog.DiscardHandler)
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.WithoutCancel(t.Context()))) })
	return s, func(metric string) map[string][]float64 {
		values := map[string][]float64{}
		for _, recording := range capture.Snapshot()[metric] {
			value, ok := recording.Value.(float64)
			require.True(t, ok)
			kind := recording.Tags[metrics.CacheTypeTagName]
			values[kind] = append(values[kind], value)
		}
		return values
	}
}

// Temporal's memory is bounded, whatever the number of shards: in a server of ours, and in one with the configuration of
// docker-compose.yml.
func TestCachesAreBounded(t *testing.T) {
	t.Parallel()
	compose, err := os.ReadFile(filepath.Join("..", "deploy", "compose", "temporal-dynamicconfig.yaml"))
	require.NoError(t, err)
	for name, o := range map[string]Options{
		"ours":    {},
		"compose": {HistoryShards: 16, DynamicConfig: compose},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, values := measured(t, o)

			sizes := values(metrics.CacheSize.Name())
			require.Equal(t, []float64{8_000}, sizes[metrics.MutableStateCacheTypeTagValue], "workflows")
			require.Equal(t, []float64{32 << 20}, sizes[metrics.EventsCacheTypeTagValue], "bytes of events, in one cache")
		})
	}
}

// A full cache drops the workflow that was not used for the longest, and that one goes on all the same.
func TestWorkflowsThatAreNotCachedGoOn(t *testing.T) {
	t.Parallel()
	const cached, workflows = 50, 80
	o := Options{DynamicConfig: fmt.Appendf(nil, "history.hostLevelCacheMaxSize: [{value: %d}]", cached)}
	server, values := measured(t, o)
	c, err := client.Dial(client.Options{HostPort: server.HostPort(), Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(c.Close)

	var runs []client.WorkflowRun
	for i := range workflows {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: fmt.Sprint("w", i), TaskQueue: "nobody"}, "Waits")
		require.NoError(t, err)
		runs = append(runs, run)
	}
	for _, run := range runs {
		require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), run.GetRunID(), "ping", nil))
	}

	usage := values(metrics.CacheUsage.Name())[metrics.MutableStateCacheTypeTagValue]
	require.Equal(t, float64(cached), slices.Max(usage), "workflows in the cache, at most") //nolint:testifylint // both are whole
}
