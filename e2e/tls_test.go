package e2e_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/certificate"
	"github.com/amends-dev/amends/internal/certificate/certtest"
)

// Everything that crosses a host does so over TLS, with certificates on both sides: from the command line to the API, from
// API and worker to Temporal, from the worker to the step services, and from operators to all of them.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t), vouchers: &atomic.Int64{}}
	s.startTemporal()
	ours, theirs := certtest.New(t), certtest.New(t)
	temporal := proxyTLS(t, ours, s.address())
	listen := func(prefix, name string) []string {
		files := ours.Issue(t, name)
		return []string{"--" + prefix + "tls-cert", files.Cert, "--" + prefix + "tls-key", files.Key, "--" + prefix + "tls-client-ca", ours.File}
	}
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }

	services := address()
	spawn(t, "services", binaries.amends, nil,
		append([]string{"services", "--addr", services, "--data", filepath.Join(s.dir, "services")}, listen("", "services")...)...)
	caller := ours.Issue(t, "worker")
	ops := address()
	workerLine := func(mine certificate.Files) (environment, line []string) {
		environment = []string{
			"TEMPORAL_ADDRESS=" + temporal, "TEMPORAL_TLS_SERVER_CA_CERT_PATH=" + ours.File,
			"TEMPORAL_TLS_CLIENT_CERT_PATH=" + mine.Cert, "TEMPORAL_TLS_CLIENT_KEY_PATH=" + mine.Key,
		}
		return environment, []string{
			"worker", "--ops-addr", ops, "--services-url", "https://" + services,
			"--services-ca", ours.File, "--services-cert", mine.Cert, "--services-key", mine.Key,
		}
	}
	environment, line := workerLine(caller)
	worker := spawn(t, "worker", binaries.amends, environment, append(line, listen("ops-", "ops")...)...)

	// The API has Temporal's connection from a profile.
	profile := filepath.Join(s.dir, "temporal.toml")
	require.NoError(t, os.WriteFile(profile, fmt.Appendf(nil, `[profile.prod]
address = %q
[profile.prod.tls]
server_ca_cert_path = %q
client_cert_path = %q
client_key_path = %q
`, temporal, ours.File, caller.Cert, caller.Key), 0o600))
	api := address()
	spawn(t, "api", binaries.amends, []string{"TEMPORAL_CONFIG_FILE=" + profile, "TEMPORAL_PROFILE=prod"},
		append([]string{"api", "--no-auth", "--addr", api}, listen("", "api")...)...)

	s.apiURL = "https://" + api
	mine := ours.Issue(t, "grace")
	require.Eventually(t, func() bool {
		require.True(t, worker.alive(), "worker ended:\n%s", worker.out)
		said, code := s.amends(t, "order", "place", "-f", "../examples/orders/good.json", "--wait=1m", "--ca", ours.File,
			"--client-cert", mine.Cert, "--client-key", mine.Key)
		return code == 0 && strings.Contains(said, "completed")
	}, time.Minute, time.Second, "no order can be placed over TLS")

	check := func(mine certificate.Files) string {
		environment, line := workerLine(mine)
		command := exec.CommandContext(t.Context(), binaries.amends, append([]string{"config", "check", "--connect"}, line...)...)
		command.Env = append(os.Environ(), environment...)
		out, _ := command.CombinedOutput() // what it found is in what it printed
		return string(out)
	}
	require.Contains(t, check(caller), "worker: no problems")

	// Who shows no certificate of ours gets nowhere.
	stranger := theirs.Issue(t, "grace")
	report := check(stranger)
	require.Contains(t, report, "worker: problem: connect to Temporal at "+temporal)
	require.Contains(t, report, "worker: problem: --services-url (AMENDS_SERVICES_URL, worker.services-url)")
	said, code := s.amends(t, "saga", "list", "--ca", ours.File, "--client-cert", stranger.Cert, "--client-key", stranger.Key)
	require.Equal(t, 6, code, said)
	for _, addr := range []string{services, api, ops, temporal} {
		require.NoError(t, handshake(t, addr, mine, ours))
		require.ErrorContains(t, handshake(t, addr, stranger, ours), "unknown certificate authority", addr)
		require.ErrorContains(t, handshake(t, addr, certificate.Files{}, ours), "certificate required", addr)
	}
}

// handshake connects with that certificate and waits for the first byte or the end: in TLS 1.3 a caller learns only then
// that it was refused.
func handshake(t *testing.T, addr string, mine certificate.Files, ca *certtest.Authority) error {
	t.Helper()
	mine.CA = ca.File
	config, err := certificate.Client(mine, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: amends\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.ReadAll(io.LimitReader(conn, 1))
	return err
}

// proxyTLS stands before a server that speaks no TLS, until the test ends, and lets in who has a certificate of ca.
func proxyTLS(t *testing.T, ca *certtest.Authority, addr string) string {
	t.Helper()
	files := ca.Issue(t, "temporal")
	files.CA = ca.File
	config, err := certificate.Server(files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return // the test has ended
			}
			open.Go(func() { forward(t, from, addr) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		open.Wait()
	})
	return listener.Addr().String()
}

// forward carries what comes from one side to the other, until either has ended.
func forward(t *testing.T, from net.Conn, addr string) {
	to, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		from.Close()
		return
	}
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // a connection may break
		to.Close()
		from.Close()
	}
	var back sync.WaitGroup
	back.Go(func() { carry(from, to) })
	carry(to, from)
	back.Wait()
}
