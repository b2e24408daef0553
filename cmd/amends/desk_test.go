package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/apitest"
)

// answer is what the made-up API says to a request.
type answer struct {
	status int
	body   string
	// header are name and value in turn.
	header []string
}

// desk is where somebody sits and types commands, with a made-up API.
type desk struct {
	t       *testing.T
	answers map[string]answer // by method and path
	config  string
	// interactive: it is a terminal, at which input is typed.
	interactive bool
	input       string

	mu   sync.Mutex
	sent []string
	url  string
}

func newDesk(t *testing.T, answers map[string]answer) *desk {
	t.Helper()
	d := &desk{t: t, answers: answers, config: filepath.Join(t.TempDir(), "config.toml")}
	d.write("")
	d.url = apitest.Serve(t, "../../docs/openapi.json", d.serve).URL
	return d
}

// serve answers, and notes the request with the headers that matter.
func (d *desk) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + r.URL.String()
	for _, name := range []string{"If-Match", "Prefer", "Authorization"} {
		if value := r.Header.Get(name); value != "" {
			line += " " + name + ": " + value
		}
	}
	if len(body) > 0 {
		line += " " + string(body)
	}
	d.mu.Lock()
	d.sent = append(d.sent, line)
	d.mu.Unlock()
	a, ok := d.answers[r.Method+" "+r.URL.Path]
	if !ok {
		a = problem(http.StatusNotFound, "not_found", "Nothing has this ID.")
	}
	w.Header().Set("Content-Type", "application/json")
	for i := 0; i < len(a.header); i += 2 {
		w.Header().Set(a.header[i], a.header[i+1])
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body) // the client is gone
}

func problem(status int, code, detail string, header ...string) answer {
	return answer{
		status, fmt.Sprintf(`{"type":"https://p.example","title":"No.","status":%d,"code":%q,"detail":%q}`, status, code, detail),
		append(header, "Content-Type", "application/problem+json"),
	}
}

// write makes content the configuration file.
func (d *desk) write(content string) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(d.config, []byte(content), 0o600))
}

// readableByAll lets others read the configuration file.
func (d *desk) readableByAll() {
	d.t.Helper()
	require.NoError(d.t, os.Chmod(d.config, 0o644))
}

// run types a command, and returns what it printed, what it complained of, and its exit code.
func (d *desk) run(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	if !strings.Contains(strings.Join(args, " "), "--api") {
		args = append(args, "--api", d.url)
	}
	return d.runAt(append(args, "--config", d.config)...)
}

// runAt is run without saying where the API is.
func (d *desk) runAt(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	var out, complaints strings.Builder
	p := &process{ctx: d.t.Context(), stdin: strings.NewReader(d.input), stdout: &out, stderr: &complaints, interactive: d.interactive}
	err := p.run(args)
	if err != nil {
		fmt.Fprintln(&complaints, errorText(err))
	}
	return out.String(), complaints.String(), exitCode(err)
}

// file writes a file and returns its path.
func (d *desk) file(content string) string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "file.json")
	require.NoError(d.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

const (
	links       = `"links":{"self":"/v1/orders/42","saga":"/v1/sagas/order-42","events":"/v1/sagas/order-42/events"`
	acceptedNow = `{"id":"42","state":"running",` + links + `}}`
	sagaLinks   = `"links":{"self":"/v1/sagas/order-42","resource":"/v1/orders/42","events":"/v1/sagas/order-42/events"`

	sagaAccepted = `{"id":"order-42","state":"running",` + sagaLinks + `}}`
)

func viewOf(id, state, links, more string) string {
	return fmt.Sprintf(`{"id":%q,"state":%q,"facts":[{"what":"payment","is":"held"}],"steps":[
		{"name":"PriceOrder","kind":"compensatable","do":"done","undo":"none","attempts":1,"undo_attempts":0},
		{"name":"CapturePayment","kind":"pivot","do":"waiting","undo":"none","attempts":0,"undo_attempts":0}],
		"waits":[],"parked":[],"acts":[],"started_at":"2026-01-02T03:04:05Z"%s,%s}}`, id, state, more, links)
}

const ended = `,"ended_at":"2026-01-02T03:04:06.5Z"`

// parkedSaga waits for an operator: an undo was refused.
const parkedSaga = `{"id":"order-42","state":"parked","cause":"AuthorizePayment refused: card_declined","facts":[{"what":"payment","is":"none"},{"what":"stock","is":"being_released"}],"steps":[
	{"name":"ReserveStock","kind":"compensatable","do":"done","undo":"failed","attempts":1,"undo_attempts":3,"error":"inventory: 422"},
	{"name":"AuthorizePayment","kind":"compensatable","do":"refused","undo":"none","attempts":2,"undo_attempts":0,"error":"card \u001b[31mdeclined"},
	{"name":"CapturePayment","kind":"pivot","do":"not_run","undo":"prevented","attempts":0,"undo_attempts":1}],
	"waits":[],"parked":[{"step":"ReserveStock","part":"undo","reason":"refused: the goods are lost","since":"2026-01-02T03:05:00Z","trying":true}],
	"acts":[{"act":"retry","step":"ReserveStock","by":"grace","reason":"again","at":"2026-01-02T03:06:00Z"}],
	"started_at":"2026-01-02T03:04:05Z",` + sagaLinks + `,"web_ui":"http://ui.example/x"}}`
