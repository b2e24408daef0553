package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The gate lets this build pass over what a cluster has, running sagas included, and stops one that books the shipment
// before it authorizes the payment. Such a build is a real one, of the same sources but for those two steps.
func TestReplayGate(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	for _, file := range []string{"good.json", "card-declined.json"} {
		s.awaitEnd(place(file)(s))
	}
	s.awaitWait(place("fraud-review.json")(s))
	inFlight := place("good.json", fault{"shipping", "BookShipment", settings{"latency_ms": 60_000}})(s)
	s.awaitStep(inFlight, "BookShipment", "running")
	changed := changedBinary(t)
	sagas := `WorkflowType = "PlaceOrder"`

	field := filepath.Join(t.TempDir(), "field")
	s.awaitReplay("4 histories with ", 0, binaries.amends, "--from-cluster", "--query", sagas, "--record", field)
	code, said := s.replay(binaries.amends, "--from-cluster", "--limit", "2")
	require.Zero(t, code, said)
	require.Contains(t, said, "2 of 2 histories downloaded\n")

	for _, args := range [][]string{
		{binaries.amends, "--from-cluster", "--query", sagas, "--against", changed},
		{binaries.amends, "--against", changed, field},
		{changed, "--from-cluster", "--query", sagas},
	} {
		code, said := s.replay(args[0], args[1:]...)
		require.Equal(t, 7, code, said)
		require.Contains(t, said, "4 histories with ")
		require.Contains(t, said, "0 have not begun; 3 differ.\n", "the one that waits for approval has not come so far")
		require.Regexp(t, `PlaceOrder \S*`+workflowID(inFlight)+`\S*: event \d+, MarkerRecorded, step AuthorizePayment
  history: runs AuthorizePayment as a local activity
  code:    runs BookShipment instead`, said)
	}
	s.clearFault("shipping", "BookShipment")
	require.Equal(t, "completed", s.awaitEnd(inFlight).State)
}

// awaitReplay replays until the report says that: lists follow a moment later than sagas.
func (s *system) awaitReplay(says string, want int, binary string, args ...string) {
	s.t.Helper()
	var code int
	var said string
	for range 100 {
		if code, said = s.replay(binary, args...); strings.Contains(said, says) {
			break
		}
	}
	require.Contains(s.t, said, says)
	require.Equal(s.t, want, code, said)
}

// replay runs amends replay, and returns its exit code and what it printed.
func (s *system) replay(binary string, args ...string) (code int, said string) {
	s.t.Helper()
	return s.command(binary, append([]string{"replay"}, args...)...)
}

// command runs a command of amends to its end, and returns its exit code and what it printed.
func (s *system) command(binary string, args ...string) (code int, said string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), s.temporalEnv()...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(s.t, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// changedBinary is amends with a PlaceOrder that books the shipment before it authorizes the payment.
func changedBinary(tb testing.TB) string {
	tb.Helper()
	binary, err := buildChanged()
	require.NoError(tb, err)
	return binary
}

var buildChanged = sync.OnceValues(func() (string, error) {
	dir := filepath.Dir(binaries.amends)
	source, err := filepath.Abs(filepath.Join("..", "workflows", "place_order.go"))
	if err != nil {
		return "", err
	}
	code, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	first, second, third := bytes.Index(code, []byte("\tauthorization, err :=")), bytes.Index(code, []byte("\tshipment, err :=")), bytes.Index(code, []byte("\tcapture, err :="))
	if first < 0 || second < first || third < second {
		return "", fmt.Errorf("%s does not have the steps in the order that is changed here", source)
	}
	swapped := bytes.Join([][]byte{code[:first], code[second:third], code[first:second], code[third:]}, nil)
	changed, overlay, binary := filepath.Join(dir, "place_order.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "amends-changed")
	if err := os.WriteFile(changed, swapped, 0o600); err != nil {
		return "", err
	}
	replaces, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, replaces, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "github.com/amends-dev/amends/cmd/amends")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build with the changed order of steps: %w\n%s", err, out)
	}
	return binary, nil
})
