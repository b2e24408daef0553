package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// An API that would let in anybody who should not get in does not start, and says so before it connects to Temporal.
func TestAPIIsNotOpenByMistake(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1") // nothing listens there
	keys := filepath.Join(t.TempDir(), "keys.toml")
	_, _, err := command(t, "keys", "--file", keys, "create", "--name", "shop", "--role", "starter")
	require.NoError(t, err)
	const starts = "connect to Temporal at 127.0.0.1:1"

	for _, tt := range []struct {
		want string
		args []string
	}{
		{"api: who may call?", nil},
		{"--no-auth at :8080: everybody who reaches it", []string{"--no-auth", "--addr", ":8080"}},
		{"--no-auth at 0.0.0.0:8080: ", []string{"--no-auth", "--addr", "0.0.0.0:8080"}},
		{"--no-auth at [::]:8080: ", []string{"--no-auth", "--addr", "[::]:8080"}},
		{"--no-auth at api.example:8080: ", []string{"--no-auth", "--addr", "api.example:8080"}},
		{"--no-auth at nowhere: ", []string{"--no-auth", "--addr", "nowhere"}},
		{"which one is meant?", []string{"--no-auth", "--keys-file", keys}},
		{"which one is meant?", []string{"--no-auth", "--oidc-issuer", "https://issuer.example"}},
		{"no such file", []string{"--keys-file", keys + "s"}},
		{"has to be an https URL", []string{"--oidc-issuer", "http://issuer.example", "--oidc-audience", "amends"}},
		{"audience is missing", []string{"--oidc-issuer", "https://issuer.example"}},
		{"algorithm HS256", []string{"--oidc-issuer", "https://issuer.example", "--oidc-audience", "amends", "--oidc-algorithms", "HS256"}},
		{"--trusted-proxy", []string{"--keys-file", keys, "--trusted-proxy", "10.0.0.0"}},
		{starts, []string{"--no-auth"}},
		{starts, []string{"--no-auth", "--addr", "localhost:8080"}},
		{starts, []string{"--no-auth", "--addr", "[::1]:8080"}},
		{starts, []string{"--keys-file", keys, "--addr", ":8080", "--trusted-proxy", "10.0.0.0/8,::1/128"}},
		{starts, []string{"--oidc-issuer", "https://issuer.example", "--oidc-audience", "amends"}},
	} {
		for _, name := range []string{"api", "serve"} {
			_, _, err := command(t, append([]string{name}, tt.args...)...)
			require.ErrorContains(t, err, tt.want, "%s %q", name, tt.args)
		}
	}
}
