package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// check runs amends config check.
func (d *desk) check(args ...string) (report string, code int) {
	d.t.Helper()
	stdout, complaints, code := d.runAt(append([]string{"--config", d.config, "config", "check"}, args...)...)
	return stdout + complaints, code
}

// Not parallel: it sets variables of the process.
func TestConfigCheckReportsEverything(t *testing.T) {
	d := newDesk(t, nil)
	d.write(`
[api]
addr = "nowhere"
rate = "fast"
adr = 1
web-ui = "ui.example"
cors-origin = ["*"]
burst = -1
keys-file = "keys.toml"
order-deadline = "1h"

[worker]
services-url = "services"
tasks = 1.5

[workers]
tasks = 1
`)
	t.Setenv("AMENDS_OPS_ADR", "127.0.0.1:1")
	t.Setenv("AMENDS_API_PORT_8080_TCP", "tcp://10.0.0.1:8080") // by Kubernetes
	t.Setenv("AMENDS_DRAIN_DELAY", "soon")
	t.Setenv("TEMPORAL_CONFIG_FILE", "/nowhere/temporal.toml")
	t.Setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nowhere/cert.pem")
	t.Setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", "/nowhere/key.pem")
	report, code := d.check()
	require.Equal(t, exitUsage, code)
	for _, want := range []string{
		`api: problem: --addr (AMENDS_API_ADDR, api.addr) is "nowhere" by ` + d.config + `, line 3: listen tcp: `,
		`api: problem: --rate (AMENDS_RATE, api.rate) is "fast" by ` + d.config + `, line 4: must be a number but is text`,
		`configuration: problem: ` + d.config + `, line 5: there is no setting api.adr; did you mean addr?`,
		`--web-ui (AMENDS_WEB_UI, api.web-ui) is "ui.example"`,
		`--cors-origin *: must be an origin`,
		`--rate and --burst: must be from 0`,
		`api: problem: keys: stat ` + filepath.Join(filepath.Dir(d.config), "keys.toml"),
		`api: warning: --order-deadline (AMENDS_ORDER_DEADLINE, api.order-deadline) is "1h"`,
		`worker: problem: --services-url (AMENDS_SERVICES_URL, worker.services-url) is "services" by ` + d.config + `, line 13: must be a URL`,
		`worker.tasks) is "1.5" by ` + d.config + `, line 14: must be a whole number but is a fraction`,
		`line 16: there is no table [workers]; did you mean worker?`,
		`configuration: problem: AMENDS_OPS_ADR: no flag has this variable; did you mean AMENDS_OPS_ADDR?`,
		`--drain-delay (AMENDS_DRAIN_DELAY, api.drain-delay) is "soon" by AMENDS_DRAIN_DELAY: `,
		`api: problem: TEMPORAL_CONFIG_FILE: stat /nowhere/temporal.toml`,
		`worker: problem: configuration of Temporal: invalid TLS config: `,
	} {
		require.Contains(t, report, want)
	}
	require.NotContains(t, report, "AMENDS_API_PORT")
	require.NotContains(t, report, "services: ")
	require.Equal(t, 1, strings.Count(report, "[workers]"))
}

func TestConfigCheckOfWhatIsGood(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.write("[api]\naddr = \"127.0.0.1:0\"\nno-auth = true\n[services]\naddr = \"127.0.0.1:0\"\ndata = \"data\"\n")
	report, code := d.check()
	require.Zero(t, code, report)
	require.Equal(t, "configuration: no problems\napi: no problems\nservices: no problems\n", report)

	// Flags go first, as they do when the process is started.
	report, code = d.check("api", "--addr=0.0.0.0:0")
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, "api: problem: --no-auth at 0.0.0.0:0: everybody who reaches it could do everything")
	report, code = d.check("services", "till", "--data="+d.config)
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, `there is no service "till"`)
	require.Contains(t, report, `by --data: `+d.config+` is no folder`)
	report, code = d.check("serve", "--no-auth", "--ops-addr=x")
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, `--ops-addr (AMENDS_OPS_ADDR, serve.ops-addr) is "x" by --ops-addr: `)

	log := filepath.Join(t.TempDir(), "audit.jsonl")
	report, _ = d.check("api", "--audit-log="+log)
	require.Contains(t, report, "api: no problems")
	left, err := os.ReadDir(filepath.Dir(log))
	require.NoError(t, err)
	require.Empty(t, left, "a check leaves nothing behind")
	require.NoError(t, os.WriteFile(log, []byte("as it was"), 0o600))
	report, _ = d.check("api", "--audit-log="+log)
	require.Contains(t, report, "api: no problems")
	require.FileExists(t, log)
	for _, wrong := range []string{filepath.Dir(log), "/nowhere/audit.jsonl"} {
		report, code = d.check("api", "--audit-log="+wrong)
		require.Equal(t, exitUsage, code)
		require.Contains(t, report, `--audit-log (AMENDS_AUDIT_LOG, api.audit-log) is "`+wrong+`" by --audit-log: open `)
	}

	report, code = d.check("codec", "--addr=0.0.0.0:0", "--no-auth", "--payload-keys=/nowhere", "--payload-store-above=1")
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, "codec: problem: --no-auth at 0.0.0.0:0")
	require.Contains(t, report, "/nowhere: no such file")
	require.Contains(t, report, "codec: problem: --payload-store-above: must be 512 at least")
	store := filepath.Join(t.TempDir(), "store")
	report, _ = d.check("worker", "--payload-store=file://"+store)
	require.Contains(t, report, "worker: no problems")
	require.NoDirExists(t, store)
	report, _ = d.check("--connect", "worker", "--payload-store=ftp://store")
	require.Contains(t, report, `store of payloads "ftp://store"`)

	for args, want := range map[string]string{
		"api --color": "unknown flag --color", "paint": "unexpected argument paint", "saga list": "list is no process; there are api, worker, serve, services, codec",
	} {
		report, code = d.check(strings.Fields(args)...)
		require.Equal(t, exitUsage, code, report)
		require.Contains(t, report, want)
	}
	d.write("[api\n")
	report, code = d.check("api", "--no-auth", "--addr=127.0.0.1:0")
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, "configuration: problem: "+d.config+", line ")
	require.Contains(t, report, "api: no problems")
	d.write("log-json = true")
	report, code = d.check()
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, "which process? api, worker, serve, services, codec")
}

func TestConfigCheckOfSecrets(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.write("[services]\naddr = \"127.0.0.1:0\"\ndsn = \"postgres://u:sec/ret@h/db\"")
	report, code := d.check()
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, `services: problem: --dsn (AMENDS_SERVICES_DSN, services.dsn) is "***" by `+d.config+`, line 3: the DSN is no connection string`)
	require.NotContains(t, report, "sec/ret")

	secret := filepath.Join(filepath.Dir(d.config), "dsn")
	d.write("[services]\naddr = \"127.0.0.1:0\"\ndsn = \"file:dsn\"")
	report, _ = d.check()
	require.Contains(t, report, secret+": no such file")
	require.NoError(t, os.WriteFile(secret, []byte("postgres://u@h/db"), 0o644)) //nolint:gosec // the point
	report, code = d.check()
	require.Zero(t, code, report)
	require.Contains(t, report, "services: warning: --dsn (AMENDS_SERVICES_DSN, services.dsn) is \"file:"+secret+"\"")
	require.Contains(t, report, "others may read "+secret+": chmod 600 it")
}

func TestProblemsApart(t *testing.T) {
	t.Parallel()
	one, two := errors.New("one"), errors.New("two")
	wraps := fmt.Errorf("%w: %w", one, two)
	require.Equal(t, []error{one, two, wraps}, apart(errors.Join(one, errors.Join(two, wraps))))
	require.Empty(t, apart(nil))
}

func TestConfigCheckConnects(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	d.write("[services]\naddr = \"" + taken.Addr().String() + "\"\ndsn = \"postgres://u:secret@127.0.0.1:1/db?connect_timeout=1\"")
	report, code := d.check()
	require.Zero(t, code)
	require.Contains(t, report, "services: warning: --addr (AMENDS_SERVICES_ADDR, services.addr)")
	report, code = d.check("--connect")
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, "services: problem: --dsn (AMENDS_SERVICES_DSN, services.dsn) is \"***\"")
	require.Contains(t, report, "connect")
	require.NotContains(t, report, "secret")

	up := httptest.NewServer(http.NotFoundHandler())
	defer up.Close()
	report, _ = d.check("--connect", "worker", "--services-url=http://127.0.0.1:1", "--service-url=payment="+up.URL)
	require.Contains(t, report, "--services-url (AMENDS_SERVICES_URL, worker.services-url) is \"http://127.0.0.1:1\" by --services-url: Get ")
	require.NotContains(t, report, "--service-url (")
}

// Not parallel: it sets variables of the process.
func TestConfigCheckConnectsToTemporal(t *testing.T) {
	d := newDesk(t, nil)
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	report, code := d.check("--connect", "worker")
	require.Equal(t, exitUsage, code)
	require.Contains(t, report, "worker: problem: connect to Temporal at 127.0.0.1:1: ")
	t.Setenv("TEMPORAL_ADDRESS", "temporal")
	report, _ = d.check("worker")
	require.Contains(t, report, "TEMPORAL_ADDRESS: address temporal: missing port")
}

// Not parallel: it sets variables of the process.
func TestConfigShow(t *testing.T) {
	d := newDesk(t, nil)
	d.write("[services]\ndata = \"data\"\ndsn = \"postgres://u:secret@h/db\"")
	t.Setenv("AMENDS_SERVICES_FAULTS", "true")
	stdout, complaints, code := d.runAt("--config", d.config, "config", "show", "services", "--addr=127.0.0.1:1")
	require.Zero(t, code, complaints)
	for _, want := range []string{
		`--log-level +info +default`,
		`--addr +127.0.0.1:1 +--addr`,
		`--dsn +\*\*\* +` + d.config + `, line 3`,
		`--data +` + filepath.Dir(d.config) + `/data +` + d.config + `, line 2`,
		`--faults +true +AMENDS_SERVICES_FAULTS`,
		`--ops-addr +– +default`,
	} {
		require.Regexp(t, `(?m)^`+want+`$`, stdout)
	}
	require.NotContains(t, stdout, "secret")

	stdout, _, code = d.runAt("--config", d.config, "config", "show", "services", "--dsn=postgres://u:secret@h/db")
	require.Zero(t, code)
	require.Regexp(t, `--dsn +\*\*\* +--dsn`, stdout)
}
