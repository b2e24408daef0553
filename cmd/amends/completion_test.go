package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/creack/pty"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/programtest"
)

// TestMain is amends itself where a shell of [TestShells] calls it.
func TestMain(m *testing.M) {
	if os.Getenv("AMENDS_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// shells start with the completion of amends, and write ready> where they wait for a line.
var shells = map[string]struct {
	setup string // into the file
	file  string
	args  []string
}{
	"bash": {"PS1='ready> '\nsource <(amends completion bash)\n", "rc", []string{"--noprofile", "--rcfile", "rc", "-i"}},
	"zsh":  {"PS1='ready> '\nautoload -U compinit && compinit -u -D\nsource <(amends completion zsh)\n", ".zshrc", []string{"-i"}},
	"fish": {
		"function fish_prompt; echo -n 'ready> '; end\namends completion fish | source\n", "rc.fish",
		[]string{"--no-config", "--init-command", "source rc.fish"},
	},
}

// What is typed, with a Tab for each \t, becomes the command that was meant.
func TestShells(t *testing.T) {
	t.Parallel()
	typed := map[string]string{
		"amends sag\tlis\t--long\t--state pa\t--output=\tj\t--type=Ret\t--customer my\t": "saga list --longest-parked-first --state parked --output=json --type=ReturnOrder --customer my",
		"amends order place -f myo\t--file=myo\t--api http://a.example:1 --wat\t":        "order place -f myorder.json --file=myorder.json --api http://a.example:1 --watch",
		"amends saga retry 'order 1' Capt\t--not\t":                                      "saga retry order 1 CapturePayment --not",
	}
	self, err := os.Executable()
	require.NoError(t, err)
	// What the shells run tells its arguments, unless it is asked to complete. A program that is written while another one
	// starts cannot be run.
	bin := t.TempDir()
	program := "#!/bin/sh\ncase $1 in complete | completion) AMENDS_TEST_MAIN=1 exec " + self + ` "$@";; esac` +
		"\necho \"$*\" >got.tmp\nmv got.tmp got\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "amends"), []byte(program), 0o700))
	for shell := range shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			program := programtest.Path(t, shell)
			for line, want := range typed {
				require.Equal(t, want, typeInto(t, bin, program, shell, line), "%q", line)
			}
		})
	}
}

// typeInto returns the arguments that amends got from a line that was typed in the shell.
func typeInto(t *testing.T, bin, program, shell, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	for name, content := range map[string]string{shells[shell].file: shells[shell].setup, "myorder.json": "{}", "mine": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	command := exec.CommandContext(ctx, program, shells[shell].args...)
	command.Dir = dir
	command.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "ZDOTDIR=" + dir, "TERM=xterm", "LANG=C.UTF-8"}
	terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: 40, Cols: 200})
	require.NoError(t, err)
	var reading sync.WaitGroup
	defer func() {
		cancel()
		_ = command.Wait() // it was killed
		reading.Wait()
		require.NoError(t, terminal.Close())
	}()

	shown := bufio.NewReader(terminal)
	var seen strings.Builder
	for !strings.HasSuffix(seen.String(), "ready> ") {
		b, err := shown.ReadByte()
		require.NoError(t, err, seen.String())
		seen.WriteByte(b)
	}
	reading.Go(func() { _, _ = io.Copy(io.Discard, shown) }) // a shell whose output nobody reads stops
	_, err = terminal.WriteString(line + "\r")
	require.NoError(t, err)
	var got []byte
	require.Eventually(t, func() bool {
		got, err = os.ReadFile(filepath.Join(dir, "got"))
		return err == nil
	}, time.Minute, 5*time.Millisecond, "%s: %q", shell, line)
	return strings.TrimSpace(string(got))
}

// What is completed is what the API knows, and no field's tag names values that there are not.
func TestCompletionValues(t *testing.T) {
	t.Parallel()
	known := completionValues()
	doc, err := openapi3.NewLoader().LoadFromFile("../../docs/openapi.json")
	require.NoError(t, err)
	query := doc.Paths.Find("/v1/sagas").Get.Parameters
	for kind, parameter := range map[string]string{"state": "state", "saga-type": "type"} {
		var want []string
		for _, value := range query.GetByInAndName("query", parameter).Schema.Value.Enum {
			want = append(want, fmt.Sprint(value))
		}
		require.Equal(t, want, known[kind])
	}

	parser, err := kong.New(&cli{})
	require.NoError(t, err)
	used := map[string]bool{}
	for _, command := range parser.Model.Leaves(false) {
		for at := command; at != nil; at = at.Parent {
			for _, v := range at.Values() {
				if kind := v.Tag.Get("complete"); kind != "" && kind != "file" {
					require.NotEmpty(t, known[kind], "%s of %s", v.Name, at.Name)
					used[kind] = true
				}
			}
		}
	}
	require.Len(t, used, len(known))
}
