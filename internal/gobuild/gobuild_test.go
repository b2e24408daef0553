// Package gobuild_test tests the script that the make targets build with.
package gobuild_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeGo compiles as many packages as it is told to.
const fakeGo = `
case "$*" in
"build -v -o out/ ./it ./that") n=$COMPILED ;;
"list -deps -f {{if .Stale}}{{.ImportPath}}{{end}} ./it ./that") n=$LEFT ;;
*) echo "unexpected: $*"; exit 9 ;;
esac
i=0
while [ "$i" -lt "$n" ]; do i=$((i + 1)); echo "example.com/it/p$i"; done
[ "$1" = list ] && exit
printf '%s' "$SAID"
exit "$CODE"
`

// The script's output depends on how much go has to compile. Only a shell and go are there to run.
func TestGobuild(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	require.NoError(t, err)
	script, err := filepath.Abs("gobuild.sh")
	require.NoError(t, err)
	bin := t.TempDir()
	// Written once, before anything is started: a file that is open for writing in a just forked process cannot be run.
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte("#!"+shell+fakeGo), 0o700))

	const building = "Building. On two cores the first time takes about nine minutes; later times take seconds.\n"
	for name, tt := range map[string]struct {
		// compiled is the number of packages compiled, left the number still to do when go is asked.
		compiled, left int
		// said is the output after the packages.
		said string
		code int
		want string
	}{
		"nothing to do": {compiled: 1},
		"a change":      {compiled: 39},
		"a long build": {
			compiled: 250, left: 210,
			want: building + "Compiling 100 of 250 packages\nCompiling 200 of 250 packages\n",
		},
		"more than was counted": {
			compiled: 200, left: 110,
			want: building + "Compiling 100 of 150 packages\nCompiling 200 of 200 packages\n",
		},
		"an answer that counts nothing": {compiled: 100, want: building + "Compiling 100 packages\n"},
		"it fails": {
			compiled: 1, said: "# example.com/a\na.go:1:2: undefined: b\n\thave (c)\n", code: 1,
			want: "# example.com/a\na.go:1:2: undefined: b\n\thave (c)\n",
		},
		"it fails late": {
			compiled: 100, left: 110, said: "# example.com/a\na.go:1:2: undefined: b\n", code: 2,
			want: building + "Compiling 100 of 150 packages\n# example.com/a\na.go:1:2: undefined: b\n",
		},
		"a backslash": {said: `go: \n is no path` + "\n", code: 1, want: `go: \n is no path` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), shell, script, "out/", "./it", "./that")
			cmd.Env = []string{
				"PATH=" + bin, fmt.Sprint("COMPILED=", tt.compiled), fmt.Sprint("LEFT=", tt.left), "SAID=" + tt.said, fmt.Sprint("CODE=", tt.code),
			}
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run() // the test checks its exit code

			require.Equal(t, tt.want, stderr.String())
			require.Empty(t, stdout.String())
			require.Equal(t, tt.code, cmd.ProcessState.ExitCode())
		})
	}
}
