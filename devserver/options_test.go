package devserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/devserver"
)

func TestOptionsThatContradictAreRefused(t *testing.T) {
	t.Parallel()

	for _, o := range []devserver.Options{{}, {Ephemeral: true, PostgresDSN: "postgres://localhost"}} {
		_, err := devserver.Start(t.Context(), o)
		require.ErrorContains(t, err, "devserver: ")
	}
}
