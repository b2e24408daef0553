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
	} {
		_, err := New(c, o)
		require.ErrorContains(t, err, want)
	}
}
