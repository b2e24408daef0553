package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/payload"
)

// system is Temporal, step services, a worker and the API, each a process of its own.
type system struct {
	t                          testing.TB
	dir                        string
	temporal, services, worker *process
	api                        *process
	temporalPort               int
	apiURL, servicesURL        string
	// apiKey is the key for an API that wants to know who calls, and caller the ID that it has by it.
	apiKey, caller string
	// The PostgreSQL databases of Temporal and of the services; empty for files in dir.
	temporalDSN, servicesDSN string
	// hastyURL is an API that gives people two seconds.
	hastyURL string
	vouchers *atomic.Int64
	// payloads is how the processes keep payloads.
	payloads payload.Config
	// env are variables that the processes get besides.
	env []string
}

// of is the system in a subtest.
func (s *system) of(t *testing.T) *system {
	t.Helper()
	sub := *s
	sub.t = t
	return &sub
}

func startSystem(t *testing.T) *system {
	t.Helper()
	return startSystemWith(t, payload.Config{})
}

// startSystemWith is startSystem with processes that keep payloads like that.
func startSystemWith(t *testing.T, payloads payload.Config) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t), vouchers: &atomic.Int64{}, payloads: payloads}
	s.startTemporal()

	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices()
	s.startWorker()
	s.apiURL, s.api = s.startAPI(time.Hour)
	s.hastyURL, _ = s.startAPI(hasty)
	return s
}

// startTemporal starts the server on the system's file or database, and waits until it answers.
func (s *system) startTemporal() {
	s.t.Helper()
	args := []string{
		"--temporal-only", "--data", filepath.Join(s.dir, "temporal"),
		"--temporal-port", fmt.Sprint(s.temporalPort), "--ui-port", fmt.Sprint(freePort(s.t)),
	}
	if s.temporalDSN != "" {
		args = append(args, "--postgres", s.temporalDSN)
	}
	s.temporal = spawn(s.t, "temporal", binaries.amendsDev, nil, args...)
	require.Eventually(s.t, func() bool {
		require.True(s.t, s.temporal.alive(), "temporal ended:\n%s", s.temporal.out)
		c, err := client.Dial(client.Options{HostPort: s.address(), Logger: quiet})
		if err != nil {
			return false
		}
		c.Close()
		return strings.Contains(s.temporal.out.String(), s.address())
	}, time.Minute, 50*time.Millisecond, "temporal is not ready")
}

// startServices starts the step services on the system's files or database, and waits until they answer.
func (s *system) startServices(flags ...string) {
	s.t.Helper()
	args := append([]string{
		"services", "--faults", "--addr", strings.TrimPrefix(s.servicesURL, "http://"), "--data", filepath.Join(s.dir, "services"),
	}, flags...)
	if s.servicesDSN != "" {
		args = append(args, "--dsn", s.servicesDSN)
	}
	s.services = spawn(s.t, "services", binaries.amends, s.env, args...)
	s.awaitReady("services", s.services, s.servicesURL)
}

func (s *system) address() string { return fmt.Sprintf("127.0.0.1:%d", s.temporalPort) }

func (s *system) temporalEnv() []string {
	return append(
		slices.Clone(s.env), "TEMPORAL_ADDRESS="+s.address(), "AMENDS_PAYLOAD_KEYS="+s.payloads.KeyFile,
		"AMENDS_PAYLOAD_STORE="+s.payloads.Store, fmt.Sprint("AMENDS_PAYLOAD_STORE_ABOVE=", max(512, s.payloads.StoreAbove)),
	)
}

func (s *system) startWorker() {
	s.t.Helper()
	s.worker = spawn(s.t, "worker", binaries.amends, s.temporalEnv(), s.workerArgs()...)
}

func (s *system) workerArgs() []string { return []string{"worker", "--services-url", s.servicesURL} }

// startAPI is startGuardedAPI for one that asks nobody who they are.
func (s *system) startAPI(within time.Duration, flags ...string) (string, *process) {
	s.t.Helper()
	return s.startGuardedAPI(within, append(flags, "--no-auth")...)
}

// startGuardedAPI starts an API that gives people so much time, and waits until it is ready, which includes that a worker
// polls. The flags say who may call.
func (s *system) startGuardedAPI(within time.Duration, flags ...string) (string, *process) {
	s.t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(s.t))
	p := spawn(s.t, "api", binaries.amends, s.temporalEnv(), append(apiArgs(addr, within), flags...)...)
	s.awaitReady("api", p, "http://"+addr)
	return "http://" + addr, p
}

func apiArgs(addr string, within time.Duration) []string {
	return []string{
		"api", "--addr", addr, "--web-ui", "http://ui.example", "--approval-within", within.String(), "--goods-within", within.String(),
	}
}

func (s *system) awaitReady(name string, p *process, url string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		require.True(s.t, p.alive(), "%s ended:\n%s", name, p.out)
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url+"/readyz", nil)
		require.NoError(s.t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "%s is not ready", name)
}

// dial connects to the system's Temporal as its processes do.
func (s *system) dial() client.Client {
	s.t.Helper()
	return s.dialWith(s.payloads)
}

// dialWith connects to the system's Temporal as somebody who keeps payloads like that.
func (s *system) dialWith(payloads payload.Config) client.Client {
	s.t.Helper()
	payloads.Logger = slog.New(slog.DiscardHandler)
	codec, err := payload.Open(s.t.Context(), payloads)
	require.NoError(s.t, err)
	options := client.Options{HostPort: s.address(), Logger: quiet}
	if codec != nil {
		options, err = connect.Encoded(options, codec)
		require.NoError(s.t, err)
	}
	c, err := client.Dial(options)
	require.NoError(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// document is an order or a return as its file in examples/ has it, and the key of the request for it.
type document struct {
	collection, key string
	fields          map[string]any
}

func (d document) MarshalJSON() ([]byte, error) { return json.Marshal(d.fields) }

// example reads a file of examples/, such as orders/good.json, and gives the request a key of its own.
func example(tb testing.TB, file string) document {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join("..", "examples", file))
	require.NoError(tb, err)
	d := document{collection: path.Dir(file), key: uuid.NewString()}
	require.NoError(tb, json.Unmarshal(content, &d.fields))
	return d
}

func (d document) id() string { return api.IDOf(api.Anonymous, "/v1/"+d.collection, d.key) }

// with is the document with one field set.
func (d document) with(field string, value any) document {
	d.fields = maps.Clone(d.fields)
	d.fields[field] = value
	return d
}

// post sends a request and returns the answer's status and body.
func (s *system) post(url string, body any) (int, []byte) {
	s.t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(s.t, err)
	status, answer, err := exchange(s.t.Context(), s.http(), http.MethodPost, url, keyOf(body), encoded)
	require.NoError(s.t, err)
	return status, answer
}

// keyOf is the key of a request with that body: a new one, unless it is an order or a return.
func keyOf(body any) string {
	if d, ok := body.(document); ok {
		return d.key
	}
	return uuid.NewString()
}

func (s *system) send(method, url string, body []byte) (int, []byte) {
	s.t.Helper()
	status, answer, err := exchange(s.t.Context(), s.http(), method, url, "", body)
	require.NoError(s.t, err)
	return status, answer
}

// reply is an answer to [system.ask].
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request with headers, given as name and value in turn.
func (s *system) ask(method, url string, body []byte, headers ...string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, bytes.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	caller := http.DefaultClient
	if req.Header.Get("Authorization") == "" {
		caller = s.http()
	}
	answer, err := caller.Do(req)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return reply{answer.StatusCode, answer.Header, text}
}

// exchange sends a request, with an Idempotency-Key unless that is empty and a JSON body unless it is nil, and returns the
// answer's status and body.
func exchange(ctx context.Context, c *http.Client, method, url, key string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// place places the order, or asks for the return, and returns its path.
func (s *system) place(collection string, d document) string {
	s.t.Helper()
	status, body := s.post(s.apiURL+"/v1/"+collection, d)
	require.Equal(s.t, http.StatusAccepted, status, "%s", body)
	return "/v1/" + collection + "/" + api.IDOf(cmp.Or(s.caller, api.Anonymous), "/v1/"+collection, d.key)
}

func (s *system) get(path string) saga {
	s.t.Helper()
	status, body := s.send(http.MethodGet, s.apiURL+path, nil)
	require.Equal(s.t, http.StatusOK, status, "%s", body)
	var out saga
	require.NoError(s.t, json.Unmarshal(body, &out))
	return out
}

// await waits until the saga is as wanted, and returns it.
func (s *system) await(path, what string, wanted func(saga) bool) saga {
	s.t.Helper()
	var last saga
	require.Eventually(s.t, func() bool {
		last = s.get(path)
		return wanted(last)
	}, 2*time.Minute, 50*time.Millisecond, "%s: %s", path, what)
	return last
}

func ended(s saga) bool {
	return s.State != "running" && s.State != "compensating" && s.State != "parked"
}

func (s *system) awaitEnd(path string) saga {
	s.t.Helper()
	return s.await(path, "does not end", ended)
}

// awaitStep waits until the step's do is in that state.
func (s *system) awaitStep(path, name, do string) {
	s.t.Helper()
	s.await(path, name+" is not "+do, func(v saga) bool { return v.step(name).Do == do })
}

// fault sets a fault of a step for one saga. A match in the setting is the part of the key after the saga's ID, so that a
// step can have one fault after another.
func (s *system) fault(service, step string, d document, setting map[string]any) {
	s.t.Helper()
	setting = maps.Clone(setting)
	after, _ := setting["match"].(string)
	setting["match"] = d.id() + after
	s.setFault(service, step, setting)
}

// setFault sets a fault of a step, for every saga unless the setting says which.
func (s *system) setFault(service, step string, setting map[string]any) {
	s.t.Helper()
	encoded, err := json.Marshal(setting)
	require.NoError(s.t, err)
	status, body := s.send(http.MethodPut, s.servicesURL+"/"+service+"/faults/"+step, encoded)
	require.Equal(s.t, http.StatusNoContent, status, "%s", body)
}

func (s *system) clearFault(service, step string) {
	s.t.Helper()
	status, body := s.send(http.MethodDelete, s.servicesURL+"/"+service+"/faults/"+step, nil)
	require.Equal(s.t, http.StatusNoContent, status, "%s", body)
}
