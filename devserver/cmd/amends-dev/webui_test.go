package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"github.com/temporalio/ui-server/v2/plugins/fs_config_provider"
	uiserver "github.com/temporalio/ui-server/v2/server"
	"github.com/temporalio/ui-server/v2/server/server_options"

	"github.com/amends-dev/amends/internal/certificate/certtest"
	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/porttest"
)

// What is in the examples' orders, their results and causes, and must be nowhere for those who may not read it.
var secrets = []string{"Ada Lovelace", "ada@example.com", "Grace Hopper", "grace@example.com", "CUP-PORCELAIN", "no room for the amount", "a fault is set"}

// shown are sagas of each sort, by their pages in the Web UI.
type shown struct{ done, undone, parked string }

// TestWebUIOfEncryptedSagas looks at encrypted sagas in the Web UI, as docs/encryption.md says.
func TestWebUIOfEncryptedSagas(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	b := startBrowser(t)
	amends := buildAmends(t)
	keys := filepath.Join(t.TempDir(), "payload-keys.toml")
	said, err := exec.Command(amends, "payload-keys", "rotate", "--payload-keys", keys).CombinedOutput()
	require.NoError(t, err, "%s", said)
	p := spawn(t, "--ephemeral", "--payload-keys", keys)
	sagas := p.placeOneOfEachSort(t)
	here := p.fact(t, "Web UI")

	t.Run("without a codec server", func(t *testing.T) {
		t.Parallel()

		tab := b.newPage(t)
		requireUnreadable(t, tab, "", sagas.done, sagas.undone, sagas.parked)
	})
	t.Run("on your own machine", func(t *testing.T) {
		t.Parallel()

		codec := fmt.Sprintf("127.0.0.1:%d", porttest.Free(t))
		command := documented(t, "$ amends codec", "--no-auth", "FILE", keys, "http://127.0.0.1:8233", here)
		launch(t, nil, amends, append(command, "--addr", codec)...)
		awaitListener(t, codec)

		tab := b.newPage(t)
		tab.setCodec(here, "http://"+codec)
		requireReadable(t, tab, sagas)

		elsewhere := strings.Replace(here, "127.0.0.1", "localhost", 1)
		tab = b.newPage(t)
		tab.setCodec(elsewhere, "http://"+codec)
		requireUnreadable(t, tab, "http://"+codec, sagas.at(here, elsewhere).undone)
	})
	t.Run("signed in", func(t *testing.T) {
		t.Parallel()

		issuer := startIssuer(t)
		codec, site := fmt.Sprintf("127.0.0.1:%d", porttest.Free(t)), fmt.Sprintf("127.0.0.1:%d", porttest.Free(t))
		cert := certtest.New(t).Issue(t, "codec")
		replaced := []string{
			"https://login.example", issuer.url, "https://codec.example", "https://" + codec, "https://temporal.example", "http://" + site,
			":8234", codec, "codec.pem", cert.Cert, "codec-key.pem", cert.Key, "…", "secret",
		}
		launch(t, []string{"AMENDS_PAYLOAD_KEYS=" + keys}, amends, documented(t, "$ amends codec", "--oidc-issuer", replaced...)...)
		awaitListener(t, codec)
		ui := startUI(t, p.fact(t, "Temporal"), site, strings.NewReplacer(replaced...).Replace(uiConfiguration(t)))

		signIn := func(role string) *page {
			issuer.signIn(role)
			tab := b.newPage(t)
			tab.visit("http://"+site, "Continue to SSO")
			tab.click(`[data-testid="login-button"]`)
			tab.await("Workflows")
			return tab
		}
		there := sagas.at(here, "http://"+site)
		requireReadable(t, signIn("admin"), there)
		requireUnreadable(t, signIn("operator"), "https://"+codec, there.undone)
		require.NotContains(t, ui.printed(t), "/render", "what is decrypted is in the log")
	})
}

// requireReadable requires that a person sees what each saga is, did, took back and waits for.
func requireReadable(t *testing.T, tab *page, sagas shown) {
	t.Helper()
	tab.visit(sagas.done, "COMPLETED", `"email": "ada@example.com"`, `"invoice_number": "INV-`)
	tab.visit(details(sagas.done), "2 articles for customer c-1001, in EUR", "completed", "CapturePayment\tpivot\tdone\tnone")
	tab.visit(sagas.undone, "FAILED", `"email": "grace@example.com"`, "AuthorizePayment refused: the card's limit has no room for the amount")
	tab.visit(strings.TrimSuffix(sagas.undone, "timeline")+"history", "reserve stock", "UNDO release stock")
	tab.visit(details(sagas.undone), "compensated: AuthorizePayment refused: the card’s limit has no room for the amount",
		"ReserveStock\tcompensatable\tdone\tdone", "AuthorizePayment\tcompensatable\trefused\tnone", "CapturePayment\tpivot\tnot_run\tprevented")
	tab.visit(sagas.parked, "RUNNING", `"email": "ada@example.com"`)
	tab.visit(details(sagas.parked), "parked", "NotifyCustomer\tretriable\trefused\tnone", "Waits for an operator",
		"NotifyCustomer refused: a fault is set for NotifyCustomer")
}

// requireUnreadable requires that nothing of these sagas reaches the browser, and that the codec server refuses, if any is asked.
func requireUnreadable(t *testing.T, tab *page, codec string, sagas ...string) {
	t.Helper()
	for _, saga := range sagas {
		for _, address := range []string{saga, details(saga)} {
			tab.forget()
			tab.visit(address, "PlaceOrder", "amends")
			if codec != "" {
				tab.awaitRefused(codec)
			}
			got := tab.answers()
			require.Contains(t, got, `"encryption-key-id"`, address)
			got += tab.text()
			for _, secret := range secrets {
				require.NotContains(t, got, secret, address)
			}
		}
	}
}

// details is the address of a saga's summary and steps.
func details(saga string) string { return strings.TrimSuffix(saga, "timeline") + "user-metadata" }

// at is the same in a Web UI at another address.
func (s shown) at(here, there string) shown {
	return shown{strings.Replace(s.done, here, there, 1), strings.Replace(s.undone, here, there, 1), strings.Replace(s.parked, here, there, 1)}
}

// placeOneOfEachSort places an order that is done, one that is undone, and one that waits for a person.
func (p *process) placeOneOfEachSort(t *testing.T) shown {
	t.Helper()
	done, undone := p.place(t, "good"), p.place(t, "card-declined")
	p.awaitState(t, done, "completed")
	p.awaitState(t, undone, "compensated")
	p.refuse(t, "notification", "NotifyCustomer")
	parked := p.place(t, "good")
	p.awaitState(t, parked, "parked")
	return shown{p.webUI(t, done), p.webUI(t, undone), p.webUI(t, parked)}
}

// refuse lets a service refuse a step from now on.
func (p *process) refuse(t *testing.T, service, step string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.fact(t, "Services")+"/"+service+"/faults/"+step,
		strings.NewReader(`{"refuse": true}`))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusNoContent, res.StatusCode)
}

// webUI is the saga's page in the Web UI, as the API says.
func (p *process) webUI(t *testing.T, order string) string {
	t.Helper()
	_, answer := p.call(t, http.MethodGet, "/v1/sagas/order-"+order, http.NoBody)
	var saga struct {
		Links struct {
			WebUI string `json:"web_ui"`
		}
	}
	require.NoError(t, json.Unmarshal(answer, &saga))
	return saga.Links.WebUI
}

// setCodec sets the endpoint for this browser, in the dialog of the Web UI at that site.
func (p *page) setCodec(site, endpoint string) {
	p.t.Helper()
	p.visit(site, "Workflows")
	p.click(`button[data-testid="data-encoder-status"]`)
	p.await("Use my browser setting")
	p.click("#use-local-endpoint-radio")
	p.write("#data-encoder-endpoint-input", endpoint)
	p.click(`#data-encoder-settings [data-testid="confirm-modal-button"]`)
	// It says "configured" at first, and "success" or "error" as soon as the endpoint has been asked.
	p.do("see that it is set", chromedp.WaitVisible(chromedp.CSS(`[data-testid^="data-encoder-status-"]`)))
}

// documented is the command line in docs/encryption.md that begins so and has that flag, with texts replaced, given in turn
// with what replaces them.
func documented(t *testing.T, beginning, flag string, replaced ...string) (args []string) {
	t.Helper()
	for line := range strings.Lines(encryptionPage(t)) {
		if strings.HasPrefix(line, beginning) && strings.Contains(line, flag) {
			return strings.Fields(strings.NewReplacer(replaced...).Replace(line))[2:]
		}
	}
	require.Fail(t, "the page has no such command", "%s … %s", beginning, flag)
	return nil
}

func encryptionPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/encryption.md")
	require.NoError(t, err)
	return string(text)
}

// runsUI tells the test binary to be the Web UI's server, with the configuration in that folder. It is not this process, since
// what checks its tokens is there once only.
const runsUI = "AMENDS_TEST_RUNS_UI"

func serveUI(dir string) error {
	return uiserver.NewServer(server_options.WithConfigProvider(fs_config_provider.NewFSConfigProvider(dir, "production"))).Start()
}

// uiConfiguration is what docs/encryption.md says of the Web UI's configuration.
func uiConfiguration(t *testing.T) string {
	t.Helper()
	_, documented, found := strings.Cut(encryptionPage(t), "```yaml\n")
	require.True(t, found)
	documented, _, _ = strings.Cut(documented, "```")
	return documented
}

// startUI starts another Web UI at a site, with more of its configuration.
func startUI(t *testing.T, temporal, site, more string) *launched {
	t.Helper()
	host, port, err := net.SplitHostPort(site)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "base.yaml"), fmt.Appendf(nil, `temporalGrpcAddress: %s
host: %s
port: %s
enableUi: true
defaultNamespace: default
disableNewsFetch: true
cors: { cookieInsecure: true }
%s`, temporal, host, port, more), 0o600))
	ui := launch(t, []string{runsUI + "=" + dir}, os.Args[0])
	awaitListener(t, site)
	return ui
}

// buildAmends builds the command as it is released.
func buildAmends(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "amends")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/amends-dev/amends/cmd/amends")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return path
}

// launched is a program that runs.
type launched struct{ log string }

// launch starts a program that ends with the test.
func launch(t *testing.T, environment []string, program string, args ...string) *launched {
	t.Helper()
	l := &launched{filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(l.log)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	require.NoError(t, log.Close())
	t.Cleanup(func() {
		_ = cmd.Wait() // the context has ended it
		if t.Failed() {
			t.Logf("%s %v printed:\n%s", filepath.Base(program), args, l.printed(t))
		}
	})
	return l
}

// printed is what the program printed so far.
func (l *launched) printed(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(l.log)
	require.NoError(t, err)
	return string(text)
}

func awaitListener(t *testing.T, addr string) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		return err == nil && c.Close() == nil
	}, time.Minute, 50*time.Millisecond, "nobody listens at %s", addr)
}
