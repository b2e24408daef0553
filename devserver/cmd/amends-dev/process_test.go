package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/examples"
)

// process is the command as a process of its own. It ends with the test.
type process struct {
	cmd       *exec.Cmd
	lines     chan string
	announced string
	stderr    *output
}

// output collects what a process prints. It can be read while the process still prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// spawn starts the command on free ports and returns when it says that it is ready.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()

	p := &process{
		cmd:    exec.CommandContext(t.Context(), os.Args[0], append(freePorts(), args...)...),
		lines:  make(chan string, 100),
		stderr: &output{},
	}
	p.cmd.Env = append(os.Environ(), runsMain+"=1")
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // may have ended
		_ = p.wait(t)            // may have ended
		if t.Failed() {
			t.Log(p.stderr.String())
		}
	})
	p.awaitLine(t, "Ctrl-C stops everything")
	return p
}

// awaitLine reads what the process prints up to a line that begins so.
func (p *process) awaitLine(t *testing.T, beginning string) {
	t.Helper()

	for line := range p.lines {
		p.announced += line + "\n"
		if strings.HasPrefix(line, beginning) {
			return
		}
	}
	require.Fail(t, "the process ended", "before it printed %q: %s%s", beginning, p.announced, p.stderr)
}

// stop ends the process as an operator does. What is promised is ten seconds.
func (p *process) stop(t *testing.T) {
	t.Helper()

	asked := time.Now()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.wait(t))
	require.Less(t, time.Since(asked), 10*time.Second)
}

// kill ends the process as a crash does.
func (p *process) kill(t *testing.T) {
	t.Helper()

	require.NoError(t, p.cmd.Process.Kill())
	require.EqualError(t, p.wait(t), "signal: killed")
}

// wait returns what the process ended with.
func (p *process) wait(t *testing.T) error {
	t.Helper()

	for range p.lines {
		continue // Wait must not be called before everything is read
	}
	return p.cmd.Wait()
}

// fact is one of the announced addresses.
func (p *process) fact(t *testing.T, name string) string {
	t.Helper()

	found := regexp.MustCompile(`(?m)^  ` + name + ` +(\S+)`).FindStringSubmatch(p.announced)
	require.NotNil(t, found, "%s in %s", name, p.announced)
	return found[1]
}

// mails is the announced folder of the mails.
func (p *process) mails(t *testing.T) string {
	t.Helper()

	_, dir, found := strings.Cut(p.announced, ", mails in ")
	require.True(t, found, p.announced)
	dir, _, _ = strings.Cut(dir, "\n")
	require.Equal(t, "mails", filepath.Base(dir))
	return dir
}

// place places one of the example orders and returns its ID.
func (p *process) place(t *testing.T, example string) string {
	t.Helper()

	body, err := examples.Files.ReadFile("orders/" + example + ".json")
	require.NoError(t, err)
	return p.post(t, "/v1/orders", string(body))
}

func (p *process) post(t *testing.T, path, body string) (id string) {
	t.Helper()

	status, answer := p.call(t, http.MethodPost, path, strings.NewReader(body))
	require.Equal(t, http.StatusAccepted, status, "%s: %s", path, answer)
	var order struct{ ID string }
	require.NoError(t, json.Unmarshal(answer, &order))
	return order.ID
}

// approve approves an order as soon as it waits for that.
func (p *process) approve(t *testing.T, id string) {
	t.Helper()

	p.post(t, p.awaitApproval(t, id), `{"approved": true, "by": "a tester", "reason": "looks fine"}`)
}

// awaitApproval waits until an order waits for approval, and returns the path for that.
func (p *process) awaitApproval(t *testing.T, id string) (path string) {
	t.Helper()

	require.Eventually(t, func() bool {
		path = p.order(t, id).Links.Approval
		return path != ""
	}, time.Minute, 50*time.Millisecond, "order %s waits for approval", id)
	return path
}

func (p *process) awaitState(t *testing.T, id, state string) {
	t.Helper()

	require.Eventually(t, func() bool { return p.order(t, id).State == state }, time.Minute, 50*time.Millisecond,
		"order %s is %s", id, state)
}

// order is an order as the API shows it; empty while the API cannot.
func (p *process) order(t *testing.T, id string) (o struct {
	State string
	Links struct{ Approval string }
},
) {
	t.Helper()

	if status, answer := p.call(t, http.MethodGet, "/v1/orders/"+id, http.NoBody); status == http.StatusOK {
		require.NoError(t, json.Unmarshal(answer, &o))
	}
	return o
}

// apiKey is the key in the announced file.
func (p *process) apiKey(t *testing.T) string {
	t.Helper()

	path := p.fact(t, "API key")
	require.Contains(t, p.announced, ` -H "Authorization: Bearer $(cat `+path+`)" `)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	key, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.TrimSpace(string(key))
}

// call calls the API.
func (p *process) call(t *testing.T, method, path string, body io.Reader) (status int, answer []byte) {
	t.Helper()

	req, err := http.NewRequestWithContext(t.Context(), method, p.fact(t, "API")+path, body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", rand.Text())
	req.Header.Set("Authorization", "Bearer "+p.apiKey(t))
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, answer
}
