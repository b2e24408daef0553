package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
)

// make demo goes to what make up has started, with the version that runs there, and otherwise to make run's addresses.
func TestMakeDemo(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	for name, tt := range map[string]struct {
		docker string
		fails  bool
		want   string
	}{
		"make up runs": {
			`case "$*" in "compose exec -T api-1 amends version") echo amends v7 ;; *) echo "version $VERSION: $*" ;; esac`,
			false,
			"version v7: compose run --rm --no-deps demo demo --api http://127.0.0.1:1\n",
		},
		"it does not": {
			`echo "service api-1 is not running" >&2; exit 1`,
			true,
			`amends: nothing answers at http://127.0.0.1:1: type "make run" in another terminal first, or "make up"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+tt.docker+"\n"), 0o700))
			demo := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", "..", "demo", "ARGS=--api http://127.0.0.1:1")
			demo.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MAKEFLAGS=")
			out, err := demo.CombinedOutput()
			require.Equal(t, tt.fails, err != nil, "%s", out)
			require.Contains(t, string(out), tt.want)
			require.NotContains(t, string(out), "not running")
		})
	}
}
