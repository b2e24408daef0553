package devserver

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// The server's own HTTP API, at any port, answers only to this machine's own names, as the Web UI does.
func TestHTTPAPIOnlyForLocalNames(t *testing.T) {
	t.Parallel()

	s, err := Start(t.Context(), Options{Ephemeral: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.WithoutCancel(t.Context()))) })
	addr := hostPort(s.ports.frontendHTTP)
	for host, status := range map[string]int{
		addr: http.StatusOK, "localhost:7243": http.StatusOK,
		"evil.example": http.StatusForbidden, "127.0.0.1.evil.example:7243": http.StatusForbidden, "evil.example:7243": http.StatusForbidden,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/api/v1/namespaces/default", http.NoBody)
		require.NoError(t, err)
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode, host)
	}
}
