package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The recordings are of runs in which gotestsum was to run failed tests once more: see .ci/run.
func TestVerdict(t *testing.T) {
	t.Parallel()
	const (
		once = "    x_test.go:3: the first time\n--- FAIL: TestOnce (0.00s)\n"
		sub  = "    x_test.go:3: the first time\n--- FAIL: TestSub/bad_one (0.00s)\n"
		// flaky is the part about two tests that passed when they ran again. Their parent failed only because they did.
		flaky = "--- flaky, failed once and passed when they ran again; to be fixed next:\n" + once + sub +
			"example.com/flaky/once TestOnce\nexample.com/flaky/once TestSub/bad_one\n"
		// never is the output of the same tests when nothing ran again.
		never   = once + "--- FAIL: TestSub (0.00s)\n" + sub
		outside = " failed outside its tests: it did not build, exited or panicked, or its TestMain failed it\n"
	)
	for recording, tt := range map[string]struct {
		code string
		want string
	}{
		"flaky": {"0", flaky + "7 passed, 0 failed\n"},
		"fails": {"1", "--- what failed:\n" + strings.Repeat("    x_test.go:3: always\n--- FAIL: TestAlways (0.00s)\n", 2) +
			flaky + "8 passed, 1 failed\n"},
		// gotestsum reports these two as passed.
		"main-fails": {"0", "--- what failed:\nexample.com/flaky/mainfails" + outside + "3 passed, 1 failed\n"},
		"exits": {"0", "--- what failed:\nexample.com/flaky/exits" + outside +
			"--- flaky, failed once and passed when they ran again; to be fixed next:\nexample.com/flaky/exits TestExits\n3 passed, 1 failed\n"},
		"panics": {"3", "--- what failed:\n" + never + "--- FAIL: TestPanics (0.00s)\npanic: ouch [recovered, repanicked]\n" +
			"example.com/flaky/panics" + outside + "2 passed, 5 failed\n"},
		"times-out": {"3", "--- what failed:\npanic: test timed out after 3s\n" + never +
			"example.com/flaky/hangs" + outside + "2 passed, 5 failed\n"},
		"does-not-build": {"3", "--- what failed:\n# example.com/flaky/nobuild [example.com/flaky/nobuild.test]\n" +
			"nobuild/x_test.go:3:27: undefined: undefined\nexample.com/flaky/nobuild" + outside + "2 passed, 1 failed\n"},
		"race": {"3", "--- what failed:\nWARNING: DATA RACE\n--- FAIL: TestRace (0.00s)\n2 passed, 1 failed\n"},
	} {
		t.Run(recording, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder

			ok, err := run([]string{tt.code, filepath.Join("testdata", recording+".json")}, &out)

			require.NoError(t, err)
			require.Equal(t, tt.want, out.String())
			require.Equal(t, recording == "flaky", ok)
		})
	}
}

func TestVerdictOfBrokenRuns(t *testing.T) {
	t.Parallel()
	const pass = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
`
	for name, tt := range map[string]struct {
		code, events string
		want         string
	}{
		"no test ran":              {"0", "", "no test passed\n0 passed, 1 failed\n"},
		"it did not start":         {"2", "", "the test run ended with exit code 2, although no test failed\n0 passed, 1 failed\n"},
		"an exit code alone":       {"2", pass + `{"Action":"pass","Package":"p"}`, "the test run ended with exit code 2, although no test failed\n1 passed, 1 failed\n"},
		"a process without an end": {"0", pass, "p did not end\n1 passed, 1 failed\n"},
		"a test without an end": {
			"0", pass + `{"Action":"run","Package":"p","Test":"TestB"}`,
			"p did not end\n1 passed, 2 failed\n",
		},
		"events that are cut off": {
			"0", pass + `{"Action":"pa`,
			"events.json: unexpected EOF; what comes after is not counted\n1 passed, 1 failed\n",
		},
		"a test that is skipped when it runs again": {
			"0", `{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`,
			"0 passed, 1 failed\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "events.json")
			require.NoError(t, os.WriteFile(file, []byte(tt.events), 0o600))
			var out strings.Builder

			ok, err := run([]string{tt.code, file}, &out)

			require.NoError(t, err)
			require.False(t, ok)
			require.Equal(t, "--- what failed:\n"+tt.want, strings.ReplaceAll(out.String(), dir+string(filepath.Separator), ""))
		})
	}
}

func TestInvalidArguments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"none":         {nil, "want two arguments"},
		"no exit code": {[]string{"one", "events.json"}, `exit code of the test run: strconv.Atoi: parsing "one"`},
		"no file":      {[]string{"0", filepath.Join("testdata", "nothing.json")}, "nothing.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder

			ok, err := run(tt.args, &out)

			require.ErrorContains(t, err, tt.want)
			require.False(t, ok)
		})
	}
}
