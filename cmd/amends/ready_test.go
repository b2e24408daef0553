package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/certificate"
	"github.com/amends-dev/amends/internal/certificate/certtest"
	"github.com/amends-dev/amends/internal/ops"
)

func TestReady(t *testing.T) {
	t.Parallel()

	var ready atomic.Bool
	server, err := ops.Start(t.Context(), ops.Options{
		Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Ready: func(context.Context) error {
			if !ready.Load() {
				return errors.New("Temporal is away")
			}
			return nil
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	addr := strings.TrimPrefix(server.URL, "http://")
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)

	_, _, err = command(t, "ready", "--ops-addr", addr)
	require.EqualError(t, err, "not ready: Temporal is away")
	ready.Store(true)
	require.Eventually(t, func() bool {
		_, _, err := command(t, "ready", "--ops-addr", addr)
		return err == nil
	}, time.Minute, 50*time.Millisecond, "it is looked at once a second")
	for _, listens := range []string{addr, ":" + port, "0.0.0.0:" + port, "[::]:" + port} {
		said, _, err := command(t, "ready", "--ops-addr", listens)
		require.NoError(t, err, listens)
		require.Equal(t, "ready\n", said)
	}
}

// A process that serves operators over TLS, and wants a certificate from them, is asked with its own.
func TestReadyOverTLS(t *testing.T) {
	t.Parallel()

	ca := certtest.New(t)
	files := ca.Issue(t, "ops")
	files.CA = ca.File
	secure, err := certificate.Server(files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server, err := ops.Start(t.Context(), ops.Options{Addr: "127.0.0.1:0", TLS: secure, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "https://"))
	require.NoError(t, err)

	ready := []string{"ready", "--ops-addr", ":" + port}
	said, _, err := command(t, append(ready, "--ops-tls-cert", files.Cert, "--ops-tls-key", files.Key, "--ops-tls-client-ca", files.CA)...)
	require.NoError(t, err)
	require.Equal(t, "ready\n", said)
	_, _, err = command(t, ready...)
	require.ErrorContains(t, err, "not ready: 400")
}

func TestNotReady(t *testing.T) {
	t.Parallel()

	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	_, _, err := command(t, "ready", "--ops-addr", other.Listener.Addr().String())
	require.EqualError(t, err, "not ready: 404 Not Found")
	_, _, err = command(t, "ready", "--ops-addr", "127.0.0.1:1")
	require.ErrorContains(t, err, "not ready: Get")
	_, _, err = command(t, "ready", "--ops-addr", "nowhere")
	require.Equal(t, exitUsage, exitCode(err))
}
