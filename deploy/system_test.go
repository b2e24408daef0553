package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/examples"
	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/internal/porttest"
	"github.com/amends-dev/amends/internal/programtest"
)

// TestComposeRuns starts what docker-compose.yml says, from its own commands, environment, secrets, health checks and order, on a
// real PostgreSQL and a real Temporal: two workers and two processes of the API behind nginx, as the images have them.
func TestComposeRuns(t *testing.T) { //nolint:tparallel // its subtest has to end before it goes on
	t.Parallel()
	longtest.Skip(t)

	h := newHost(t)
	h.startPostgres()
	key := strings.TrimSpace(h.run("keys", "keys", "create", "--name", "operations", "--role", "admin"))
	h.run("keys", "payload-keys", "rotate")
	for _, service := range []string{"api-1", "api-2", "codec"} { // and what they depend on
		h.start(service)
		h.await(service, "service_healthy")
	}

	for _, service := range []string{"api-1", "api-2"} {
		api := h.client("http://"+h.address(service, "8080"), key, http.DefaultClient)
		require.Equal(t, client.Completed, place(t, api, "good"), service)
		require.Equal(t, client.Compensated, place(t, api, "card-declined"), service)
	}
	t.Run("proxy", func(t *testing.T) { testProxy(t, h, key) })
	testNextVersion(t, h, key)

	log := h.everythingLogged()
	for _, name := range []string{"temporal-password", "migrate-pgpass", "services-pgpass"} {
		secret, err := os.ReadFile(filepath.Join(h.secrets, name))
		require.NoError(t, err)
		require.NotContains(t, log, string(secret[bytes.LastIndexByte(secret, ':')+1:]), "%s is in a log", name)
	}
	require.NotContains(t, log, key)
	for service := range h.running {
		if s := h.project.Services[service]; isOurs(s) && !isJob(s) {
			h.stop(service)
		}
	}
}

// testProxy asks through nginx, from an address that is not the proxy's own.
func testProxy(t *testing.T, h *host, key string) {
	programtest.Path(t, "nginx")
	h.start("proxy")
	h.await("proxy", "service_healthy")
	elsewhere := &http.Client{Transport: &http.Transport{
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext,
	}}
	t.Cleanup(elsewhere.CloseIdleConnections)
	base := "http://" + h.address("proxy", "8080")
	api := h.client(base, key, elsewhere)

	// Waits for a person, so what its stream tells comes before its end.
	waits, err := api.PlaceOrder(t.Context(), order(t, "fraud-review"), client.StartOptions{})
	require.NoError(t, err)
	canceled := false
	for saga, err := range api.Follow(t.Context(), "order-"+waits.ID) {
		require.NoError(t, err)
		if len(saga.Waits) > 0 && !canceled {
			canceled = true
			cancel(t, elsewhere, base+"/v1/orders/"+waits.ID+"/cancel", key)
		}
	}
	require.True(t, canceled, "the stream told nothing before the end")
	log := h.running["api-1"].printed() + h.running["api-2"].printed()
	require.Contains(t, log, `"remote":"127.0.0.2"`)
	require.NotContains(t, log, "203.0.113.9", "a caller said so of itself")

	h.stop("api-1")
	for range 4 {
		require.Equal(t, client.Completed, place(t, api, "good"), "the other process answers")
	}
	h.launch("api-1")
	h.await("api-1", "service_healthy")

	require.NoError(t, os.WriteFile(filepath.Join(h.secrets, "api-key"), []byte(key+"\n"), 0o600))
	shown := h.run("demo")
	require.Contains(t, shown, "All 40 orders ended as they should.")
	require.Contains(t, shown, "The books of all 9 services balance")
}

// testNextVersion deploys a version beside the one that runs, as docs/production.md says.
func testNextVersion(t *testing.T, h *host, key string) {
	t.Helper()
	api := h.client("http://"+h.address("api-1", "8080"), key, http.DefaultClient)
	waits, err := api.PlaceOrder(t.Context(), order(t, "fraud-review"), client.StartOptions{})
	require.NoError(t, err)

	require.Contains(t, h.run("replay"), "; 0 differ.")
	h.next(t)
	h.run("amends", "deploy", "promote", "v2", "--wait", "1m")
	require.Equal(t, client.Completed, place(t, api, "good"))
	h.launch("first-version")
	h.await("first-version", "service_completed_successfully")
	require.Contains(t, h.running["first-version"].printed(), "go to v2.", "it leaves later ones as they are")

	status := h.run("amends", "deploy", "status", "--output", "json")
	var versions struct {
		Versions []struct {
			BuildID string `json:"build_id"`
			State   string
			Pinned  int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(status), &versions))
	require.Len(t, versions.Versions, 2)
	require.Equal(t, "v2", versions.Versions[0].BuildID)
	require.Equal(t, "current", versions.Versions[0].State)
	require.Equal(t, "draining", versions.Versions[1].State)
	cancel(t, http.DefaultClient, "http://"+h.address("api-1", "8080")+"/v1/orders/"+waits.ID+"/cancel", key)
	for saga, err := range api.Follow(t.Context(), "order-"+waits.ID) {
		require.NoError(t, err)
		waits.State = saga.State
	}
	require.Equal(t, client.Compensated, waits.State, "on the version that began it")
}

// next starts the workers of version v2.
func (h *host) next(t *testing.T) {
	t.Helper()
	before := h.project
	h.project = composeWith(t, types.Mapping{"NEXT": "v2"})
	defer func() { h.project = before }()
	h.launch("worker-next")
	h.await("worker-next", "service_healthy")
}

// cancel says that it comes from somewhere else.
func cancel(t *testing.T, c *http.Client, address, key string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(`{}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "cancel")
	request.Header.Set("X-Forwarded-For", "203.0.113.9")
	response, err := c.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{
		t: t, project: compose(t), dir: t.TempDir(), ports: map[string]int{}, running: map[string]*process{},
		bin: filepath.Dir(binary(t)),
	}
	h.secrets = filepath.Join(h.dir, "secrets")
	for range 2 { // the second time changes nothing
		said, err := exec.Command("compose/secrets.sh", h.secrets).CombinedOutput()
		require.NoError(t, err, "%s", said)
	}
	server := temporalPrograms(t, h.bin)
	content, err := os.ReadFile(filepath.Join(server, "docker", "scripts", "sh", "entrypoint.sh"))
	require.NoError(t, err)
	entrypoint := filepath.Join(h.bin, "entrypoint.sh")
	// Not every system's sh does what that of the image does.
	require.NoError(t, os.WriteFile(entrypoint, bytes.Replace(content, []byte("/bin/sh"), []byte("/bin/bash"), 1), 0o700))
	h.paths = []string{"/etc/temporal/entrypoint.sh", entrypoint, "/etc/temporal/schema", filepath.Join(server, "schema")}
	return h
}

// temporalPrograms builds what the images of Temporal have, of the version that devserver has, and returns its sources.
func temporalPrograms(t *testing.T, to string) string {
	t.Helper()
	for program, path := range map[string]string{"temporal-server": "server", "temporal-sql-tool": "tools/sql"} {
		build := exec.Command("go", "build", "-o", filepath.Join(to, program), "go.temporal.io/server/cmd/"+path)
		build.Dir = "../devserver"
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as all of the server is built for the other tests
		said, err := build.CombinedOutput()
		require.NoError(t, err, "%s", said)
	}
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "go.temporal.io/server")
	list.Dir = "../devserver"
	dir, err := list.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(dir))
}

// startPostgres runs the script that PostgreSQL's image runs on new data, on the tests' own PostgreSQL.
func (h *host) startPostgres() {
	h.t.Helper()
	dsn, err := url.Parse(pgtest.DSN(h.t))
	require.NoError(h.t, err)
	port, err := strconv.Atoi(dsn.Port())
	require.NoError(h.t, err)
	h.ports["postgres:5432"] = port
	password, _ := dsn.User.Password()
	admin := []string{"PGHOST=" + dsn.Hostname(), "PGPORT=" + dsn.Port(), "PGPASSWORD=" + password, "POSTGRES_USER=" + dsn.User.Username()}
	sql := func(script string, environment ...string) {
		h.t.Helper()
		cmd := exec.Command("/bin/sh", "-euc", script)
		cmd.Env = append(append(os.Environ(), admin...), environment...)
		said, err := cmd.CombinedOutput()
		require.NoError(h.t, err, "%s", said)
	}
	sql("compose/postgres.sh", "SECRETS="+h.secrets)
	// Roles and databases belong to the server, which may be one that outlives this test.
	h.t.Cleanup(func() {
		sql(`for database in temporal temporal_visibility amends; do dropdb --force --username "$POSTGRES_USER" $database; done
			for role in temporal amends amends_services; do dropuser --username "$POSTGRES_USER" $role; done`)
	})
	h.running["postgres"] = &process{ended: make(chan struct{})}

	places := []string{"SQL_HOST=127.0.0.1", "SQL_PORT=" + dsn.Port()}
	temporal := []string{"POSTGRES_SEEDS=127.0.0.1", "DB_PORT=" + dsn.Port(), "BIND_ON_IP=127.0.0.1", "TEMPORAL_BROADCAST_ADDRESS=127.0.0.1"}
	for _, port := range []string{
		"FRONTEND_HTTP", "FRONTEND_MEMBERSHIP", "HISTORY_GRPC", "HISTORY_MEMBERSHIP", "MATCHING_GRPC", "MATCHING_MEMBERSHIP",
		"WORKER_GRPC", "WORKER_MEMBERSHIP",
	} {
		temporal = append(temporal, fmt.Sprintf("%s_PORT=%d", port, porttest.Free(h.t)))
	}
	temporal = append(temporal, fmt.Sprintf("FRONTEND_GRPC_PORT=%d", h.port("temporal", "7233")))
	h.more = map[string][]string{"temporal-schema": places, "temporal": temporal}
}

func (h *host) client(base, key string, connections *http.Client) *client.Client {
	h.t.Helper()
	api, err := client.New(base, client.Options{Token: key, HTTP: connections, Repeats: -1})
	require.NoError(h.t, err)
	return api
}

func order(t *testing.T, example string) client.OrderRequest {
	t.Helper()
	o, err := examples.Request(example)
	require.NoError(t, err)
	return o
}

// place places an example's order, and returns how it ended.
func place(t *testing.T, api *client.Client, example string) client.State {
	t.Helper()
	started, err := api.PlaceOrder(t.Context(), order(t, example), client.StartOptions{Wait: time.Minute})
	require.NoError(t, err)
	require.NotNil(t, started.Ended, "%s does not end", started.ID)
	return started.Ended.State
}

func (h *host) everythingLogged() string {
	var all strings.Builder
	for _, p := range h.running {
		all.WriteString(p.printed())
	}
	return all.String()
}
