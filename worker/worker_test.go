package worker

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
)

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()

	c, err := client.NewLazyClient(client.Options{})
	require.NoError(t, err)
	defer c.Close()
	for want, o := range map[string]Options{
		"worker: service pricing: ": {ServicesURL: "127.0.0.1:8090"},
		"worker: Tasks is 1, ":      {ServicesURL: "http://127.0.0.1:8090", Tasks: 1},
		"worker: the deployment has no build ID": {
			ServicesURL: "http://127.0.0.1:8090", Deployment: Deployment{Name: "amends"},
		},
		`worker: deployment "a.b": `: {ServicesURL: "http://127.0.0.1:8090", Deployment: Deployment{Name: "a.b", BuildID: "v1"}},
		`worker: deployment "": `:    {ServicesURL: "http://127.0.0.1:8090", Deployment: Deployment{BuildID: "v1"}},
	} {
		_, err := New(c, o)
		require.ErrorContains(t, err, want)
	}
}

// Pollers keep places, which a process that starts sagas itself has better uses for.
func TestTuningOfEagerStart(t *testing.T) {
	t.Parallel()

	require.Equal(t, 20, Tuning(DefaultTasks, false).MaxConcurrentWorkflowTaskPollers)
	require.Zero(t, Tuning(DefaultTasks, true).MaxConcurrentWorkflowTaskPollers, "the SDK's own number")
}

// The SDK takes no workflow on a worker of a version that does not say what becomes of it with the next one.
func TestWorkerOfAVersion(t *testing.T) {
	t.Parallel()

	c, err := client.NewLazyClient(client.Options{})
	require.NoError(t, err)
	defer c.Close()
	_, err = New(c, Options{ServicesURL: "http://127.0.0.1:8090", Deployment: Deployment{Name: "amends", BuildID: "v1"}})
	require.NoError(t, err)
}
