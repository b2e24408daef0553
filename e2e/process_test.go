package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/porttest"
)

// binaries are built once, by TestMain, into a folder of their own.
var binaries struct{ amends, amendsDev string }

// buildBinaries builds what the tests run. `amends` carries the race detector when the tests do; a race in it ends the
// process, and with it the test. The Temporal server comes as it is released.
func buildBinaries(dir string) error {
	binaries.amends = filepath.Join(dir, "amends")
	binaries.amendsDev = filepath.Join(dir, "amends-dev")
	amends := []string{"build", "-o", binaries.amends}
	if raceEnabled {
		amends = append(amends, "-race")
	}
	for _, args := range [][]string{
		append(amends, "github.com/amends-dev/amends/cmd/amends"),
		{"build", "-o", binaries.amendsDev, "github.com/amends-dev/amends/devserver/cmd/amends-dev"},
	} {
		build := exec.Command("go", args...)
		build.Env = os.Environ()
		if args[len(args)-1] != "github.com/amends-dev/amends/cmd/amends" {
			build.Env = append(build.Env, "CGO_ENABLED=0") // as `make run` builds it, so that it is compiled once
		}
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go %v: %w\n%s", args, err, out)
		}
	}
	return nil
}

// process is a binary that runs.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
	err  error
}

// spawn starts a binary with these arguments and environment variables. It ends with the test. In the first tier, spawn
// skips tests that are not part of it.
func spawn(tb testing.TB, name, binary string, env []string, args ...string) *process {
	tb.Helper()
	if root, _, _ := strings.Cut(tb.Name(), "/"); !slices.Contains(firstTier, root) {
		longtest.Skip(tb)
	}
	p, err := launch(tb, name, binary, env, args...)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		p.kill()
		if tb.Failed() {
			tb.Logf("%s printed at last:\n%s", name, p.out.tail())
		}
	})
	return p
}

// launch is spawn for goroutines of a test. The caller ends the process.
func launch(tb testing.TB, name, binary string, env []string, args ...string) (*process, error) {
	tb.Helper()
	p := &process{t: tb, name: name, out: &output{}, done: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	// The process must not outlive the tests, whatever becomes of them.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends the process as an operator does, and requires that it ends well within the ten seconds that are promised.
func (p *process) stop() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
		require.NoError(p.t, p.err, "%s printed:\n%s", p.name, p.out)
	case <-time.After(10 * time.Second):
		require.Fail(p.t, "does not stop", "%s printed:\n%s", p.name, p.out)
	}
}

// kill ends the process at once, as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// alive tells whether the process still runs.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// output gathers what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// tail is the last of it, since a long test's processes print more than anybody reads.
func (o *output) tail() string {
	const most = 64 << 10
	s := o.String()
	return s[max(0, len(s)-most):]
}

// freePort finds a port for a process of this test.
func freePort(tb testing.TB) int {
	tb.Helper()
	return porttest.Free(tb)
}
