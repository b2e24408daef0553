package certificate_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/certificate"
	"github.com/amends-dev/amends/internal/certificate/certtest"
)

// serve answers with whom the caller's certificate names, until the test ends. It returns the URL.
func serve(t *testing.T, files certificate.Files) string {
	t.Helper()
	config, err := certificate.Server(files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{
		TLSConfig: config, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := "nobody"
			if shown := r.TLS.PeerCertificates; len(shown) > 0 {
				name = shown[0].Subject.CommonName
			}
			_, _ = io.WriteString(w, r.Proto+" "+name)
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return "https://" + listener.Addr().String()
}

// caller is a client that connects anew for every request.
func caller(t *testing.T, files certificate.Files) *http.Client {
	t.Helper()
	config, err := certificate.Client(files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// get returns the answer's text, and the name in the server's certificate.
func get(t *testing.T, c *http.Client, url string) (text, server string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	answer, err := c.Do(request)
	if err != nil {
		return "", "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(body), answer.TLS.PeerCertificates[0].Subject.CommonName, nil
}

func TestCallersShowCertificates(t *testing.T) {
	t.Parallel()
	ours, theirs := certtest.New(t), certtest.New(t)
	server := ours.Issue(t, "server")
	server.CA = ours.File
	url := serve(t, server)

	good := ours.Issue(t, "worker")
	c := caller(t, certificate.Files{Cert: good.Cert, Key: good.Key, CA: ours.File})
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	text, name, err := get(t, c, url)
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0 worker", text)
	require.Equal(t, "server", name)

	wrong := theirs.Issue(t, "worker")
	_, _, err = get(t, caller(t, certificate.Files{Cert: wrong.Cert, Key: wrong.Key, CA: ours.File}), url)
	require.ErrorContains(t, err, "tls: unknown certificate authority")
	_, _, err = get(t, caller(t, certificate.Files{CA: ours.File}), url)
	require.ErrorContains(t, err, "certificate required")
	_, _, err = get(t, caller(t, certificate.Files{Cert: good.Cert, Key: good.Key, CA: theirs.File}), url)
	require.ErrorContains(t, err, "signed by unknown authority")
	_, _, err = get(t, caller(t, certificate.Files{}), url)
	require.ErrorContains(t, err, "certificate")
}

func TestSelf(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t)
	server := ca.Issue(t, "server")
	server.CA = ca.File
	url := strings.Replace(serve(t, server), "127.0.0.1", "localhost", 1) // a name that is not in the certificate
	ask := func(files certificate.Files) error {
		config, err := certificate.Self(files)
		require.NoError(t, err)
		_, _, err = get(t, &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}, url)
		return err
	}
	require.NoError(t, ask(server))
	require.ErrorContains(t, ask(ca.Issue(t, "server")), "the certificate shown is not that of")
}

func TestNothingOlderThanTLS13(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t)
	c := caller(t, certificate.Files{CA: ca.File})
	c.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
	_, _, err := get(t, c, serve(t, ca.Issue(t, "server")))
	require.ErrorContains(t, err, "protocol version")
}

// What is renewed is used by those who run, on both sides.
func TestRenewal(t *testing.T) {
	t.Parallel()
	ca, next := certtest.New(t), certtest.New(t)
	server := ca.Issue(t, "first")
	server.CA = filepath.Join(t.TempDir(), "clients.pem")
	copyFile(t, ca.File, server.CA)
	mine := ca.Issue(t, "caller")
	mine.CA = ca.File
	url, c := serve(t, server), caller(t, mine)
	_, name, err := get(t, c, url)
	require.NoError(t, err)
	require.Equal(t, "first", name)

	// A certificate without its key is not used yet.
	renewed := ca.Issue(t, "second")
	copyFile(t, renewed.Cert, server.Cert)
	require.Never(t, func() bool {
		_, name, err := get(t, c, url)
		return err != nil || name != "first"
	}, 1500*time.Millisecond, 100*time.Millisecond)
	copyFile(t, renewed.Key, server.Key)
	require.Eventually(t, func() bool {
		_, name, err := get(t, c, url)
		return err == nil && name == "second"
	}, time.Minute, 100*time.Millisecond)

	// Another authority for callers: the old certificate is refused, and the new one is shown without a restart.
	copyFile(t, next.File, server.CA)
	require.Eventually(t, func() bool {
		_, _, err := get(t, c, url)
		return err != nil
	}, time.Minute, 100*time.Millisecond)
	other := next.Issue(t, "caller again")
	copyFile(t, other.Cert, mine.Cert)
	copyFile(t, other.Key, mine.Key)
	require.Eventually(t, func() bool {
		text, _, err := get(t, c, url)
		return err == nil && text == "HTTP/1.1 caller again"
	}, time.Minute, 100*time.Millisecond)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o600))
}

func TestFilesThatCannotBe(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t)
	one, other := ca.Issue(t, "one"), ca.Issue(t, "other")
	for want, files := range map[string]certificate.Files{
		"needed together":              {Cert: one.Cert},
		"with key " + other.Key:        {Cert: one.Cert, Key: other.Key},
		"no such file":                 {Cert: "/nowhere", Key: one.Key},
		"authorities: open /nowhere":   {CA: "/nowhere"},
		"there is no certificate in":   {CA: one.Key},
		"authorities: open /elsewhere": {Cert: one.Cert, Key: one.Key, CA: "/elsewhere"},
	} {
		require.ErrorContains(t, files.Check(), want)
		_, err := certificate.Client(files, slog.Default())
		require.ErrorContains(t, err, want)
	}
	none, err := certificate.Server(certificate.Files{}, slog.Default())
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = certificate.Server(certificate.Files{CA: ca.File}, slog.Default())
	require.ErrorContains(t, err, "without a certificate there is no TLS")
}
