package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// configured is a desk with that configuration, in which URL is the API's.
func configured(t *testing.T, config string) *desk {
	t.Helper()
	d := newDesk(t, map[string]answer{"GET /v1/orders/42": {200, viewOf("42", "running", links, ""), nil}})
	d.write(strings.ReplaceAll(config, "URL", d.url))
	return d
}

// get asks for an order without saying where the API is, and returns the key that was sent.
func (d *desk) get(args ...string) string {
	d.t.Helper()
	d.sent = nil
	_, complaints, code := d.runAt(append([]string{"order", "get", "42", "--config", d.config}, args...)...)
	require.Zero(d.t, code, complaints)
	require.Empty(d.t, complaints)
	return strings.TrimPrefix(d.sent[0], "GET /v1/orders/42")
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	d := configured(t, `
[profile.default]
api = "URL"
api-key = "plain"

[profile.prod]
api = "URL"
api-key = "file:prod.key"

[profile.open]
api = "URL"
`)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(d.config), "prod.key"), []byte("from a file\n"), 0o600))

	require.Equal(t, " Authorization: Bearer plain", d.get())
	require.Equal(t, " Authorization: Bearer from a file", d.get("--profile=prod"))
	require.Empty(t, d.get("--profile=open"))
	require.Equal(t, " Authorization: Bearer given", d.get("--api-key=given"))
	require.Equal(t, " Authorization: Bearer plain", d.get("--api", d.url))
	// The key belongs to the API that it was configured with.
	require.Empty(t, d.get("--api", d.url+"/"))
}

func TestConfigurationThatCannotBe(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		"[profile.default]\n\n[profile.prod]\ncolor = 1\n": "line 4: there is no setting profile.prod.color; there are api, api-key",
		"[profile.prod]\napi_key = \"k\"":                  "line 2: there is no setting profile.prod.api_key; did you mean api-key?",
		"color = 1":                                        "line 1: there is no setting color; there are log-json, log-level",
		"\n[server]\nport = 1\n":                           "line 2: there is no table [server]; did you mean serve?",
		"[profile.prod]\napi = ":                           "line 2: ",
		"[profile.prod]\napi = 1":                          "line 2: profile.prod.api must be text in quotes but is a whole number",
		"[profile]\napi = \"URL\"":                         "line 2: profile.api must be a table",
		"[profile.default]\napi-key = \"file:missing\"":    "line 2: profile.default.api-key: open ",
	} {
		d := configured(t, config)
		_, complaints, code := d.runAt("order", "get", "42", "--config", d.config)
		require.Equal(t, exitUsage, code, complaints)
		require.Contains(t, complaints, want)
	}
	d := configured(t, "")
	_, complaints, code := d.run("order", "get", "42", "--profile=prod")
	require.Equal(t, exitUsage, code)
	require.Contains(t, complaints, "has no [profile.prod]")
	_, complaints, code = d.runAt("order", "get", "42", "--config=/nowhere/config.toml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, complaints, "no such file")
}

func TestWarningOfReaders(t *testing.T) {
	t.Parallel()
	for config, warned := range map[string]bool{
		"[profile.default]\napi-key = \"k\"": true, "[profile.default]\n[profile.p]\napi-key = \"k\"": true,
		"[profile.default]\napi-key = \"file:secret\"": false,
	} {
		d := configured(t, config)
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(d.config), "secret"), []byte("k"), 0o600))
		d.readableByAll()
		_, complaints, code := d.run("order", "get", "42")
		require.Zero(t, code)
		require.Equal(t, warned, strings.Contains(complaints, "others may read it: chmod 600"), complaints)
	}
}

// Not parallel: it sets variables of the process.
func TestConfigurationWhereItIsLookedFor(t *testing.T) {
	d := configured(t, "[profile.default]\napi = \"URL\"\napi-key = \"from the file\"\n")
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	require.NoError(t, os.Mkdir(filepath.Join(home, "amends"), 0o700))
	require.NoError(t, os.Rename(d.config, filepath.Join(home, "amends", "config.toml")))
	get := func() string {
		d.sent = nil
		_, complaints, code := d.runAt("order", "get", "42")
		require.Zero(t, code, complaints)
		return strings.TrimPrefix(d.sent[0], "GET /v1/orders/42")
	}
	require.Equal(t, " Authorization: Bearer from the file", get())

	t.Setenv("AMENDS_API_KEY", "from the variable")
	require.Equal(t, " Authorization: Bearer from the variable", get())

	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("AMENDS_API", d.url)
	require.Equal(t, " Authorization: Bearer from the variable", get())
}
