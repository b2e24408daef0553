package devserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/devserver"
)

func TestDynamicConfigCounts(t *testing.T) {
	t.Parallel()

	s := start(t, devserver.Options{Ephemeral: true, DynamicConfig: []byte("limit.maxIDLength: [{value: 200}]")})
	c := dial(t, s)

	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: strings.Repeat("x", 201), TaskQueue: taskQueue}, waitForName)
	require.ErrorContains(t, err, "exceeds maximum allowed length (201/200)")
}

// What docker-compose.yml gives Temporal is known to it.
func TestDynamicConfigOfCompose(t *testing.T) {
	t.Parallel()

	file, err := os.ReadFile(filepath.Join("..", "deploy", "compose", "temporal-dynamicconfig.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(file), "frontend.namespaceRPS.visibility:")
	start(t, devserver.Options{Ephemeral: true, DynamicConfig: file})
}

func TestDynamicConfigThatTheServerDoesNotKnowIsRefused(t *testing.T) {
	t.Parallel()

	for file, want := range map[string]string{
		"limit.maxIDLenght: [{value: 3}]":   "limit.maxidlenght",
		"limit.maxIDLength: [{value: ten}]": "limit.maxidlength",
		"limit.maxIDLength: [":              "yaml",
	} {
		_, err := devserver.Start(t.Context(), devserver.Options{Ephemeral: true, DynamicConfig: []byte(file)})
		require.ErrorContains(t, err, "dynamic configuration: ", file)
		require.ErrorContains(t, err, want, file)
	}
}
