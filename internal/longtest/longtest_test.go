package longtest_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
)

func TestSkip(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		short, ci string
		want      string
		fails     bool
	}{
		"first tier":          {short: "true", want: "--- SKIP: TestHelperProcess"},
		"everything":          {short: "false", want: "--- PASS: TestHelperProcess"},
		"everything in CI":    {short: "false", ci: "true", want: "--- PASS: TestHelperProcess"},
		"first tier in CI":    {short: "true", ci: "true", want: "in CI nothing is skipped", fails: true},
		"first tier, no CI":   {short: "true", ci: "false", want: "make test-all runs it"},
		"first tier, said so": {short: "true", want: "skipped, because it takes long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestHelperProcess$", "-test.v", "-test.short="+tt.short)
			cmd.Env = append(os.Environ(), "LONGTEST_HELPER=1", "CI="+tt.ci)
			out, err := cmd.CombinedOutput()

			require.Contains(t, string(out), tt.want)
			require.Equal(t, tt.fails, err != nil, "%s", out)
		})
	}
}

// TestHelperProcess is no test: it is the long one of TestSkip.
func TestHelperProcess(t *testing.T) {
	t.Parallel()

	if os.Getenv("LONGTEST_HELPER") != "" {
		longtest.Skip(t)
	}
}
