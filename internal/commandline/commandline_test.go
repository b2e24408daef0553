package commandline_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/commandline"
)

type grammar struct {
	Port int `help:"Port to listen at."`
}

func TestParse(t *testing.T) {
	t.Parallel()

	var g grammar
	var out strings.Builder
	parsed, err := commandline.Parse(&g, "it", "What it does.", []string{"--port", "7"}, &out, &out)
	require.NoError(t, err)
	require.NotNil(t, parsed)
	require.Equal(t, 7, g.Port)
	require.Empty(t, out.String())
}

func TestHelpReturns(t *testing.T) {
	t.Parallel()

	var out strings.Builder
	parsed, err := commandline.Parse(&grammar{}, "it", "What it does.", []string{"--help"}, &out, &out)
	require.NoError(t, err)
	require.Nil(t, parsed)
	require.Contains(t, out.String(), "What it does.")
	require.Contains(t, out.String(), "Port to listen at.")
}

func TestUnknownFlag(t *testing.T) {
	t.Parallel()

	var out strings.Builder
	_, err := commandline.Parse(&grammar{}, "it", "", []string{"--prot", "7"}, &out, &out)
	require.ErrorContains(t, err, "unknown flag --prot")
}
