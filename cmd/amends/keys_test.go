package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// command runs the program and returns what it printed.
func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	err = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), err
}

func TestKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys.toml")
	keys := func(args ...string) string {
		t.Helper()
		out, _, err := command(t, append([]string{"keys", "--file", file}, args...)...)
		require.NoError(t, err)
		return out
	}

	text, said, err := command(t, "keys", "--file", file, "create", "--name", "shop", "--role", "starter", "--tenant", "acme")
	require.NoError(t, err)
	id, secret, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "amends_"), "_")
	require.Len(t, secret, 52)
	require.Equal(t, "Key "+id+" for shop, starter of tenant acme. Keep it now: it is not shown again.\n", said)

	var made map[string]any
	require.NoError(t, json.Unmarshal([]byte(keys("create", "--name", "grace", "--role", "operator", "--expires", "720h", "--output", "json")), &made))
	require.Regexp(t, "^amends_"+made["id"].(string)+"_", made["key"])
	require.Equal(t, []any{"grace", "default", "operator", "active"}, []any{made["name"], made["tenant"], made["role"], made["state"]})
	require.NotEmpty(t, made["expires"])

	require.Equal(t, "Key "+id+" of shop is revoked.\n", keys("revoke", id))
	list := keys("list")
	require.NotContains(t, list, secret)
	require.Regexp(t, `(?m)^`+id+` +shop +acme +starter +revoked +\S+Z +never$`, list)
	require.Regexp(t, `(?m)^`+made["id"].(string)+` +grace +default +operator +active +\S+Z +\S+Z$`, list)

	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(keys("list", "--output", "json")), &all))
	require.Len(t, all, 2)
	require.NotContains(t, all[0], "key")
	require.NotContains(t, keys("revoke", id, "--output", "json"), `"key"`)
}

func TestKeysRefuse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys.toml")
	for want, args := range map[string][]string{
		"missing flags: --file=FILE": {"keys", "list"},
		`unknown role "root"`:        {"keys", "--file", file, "create", "--name", "shop", "--role", "root"},
		`name "a shop"`:              {"keys", "--file", file, "create", "--name", "a shop", "--role", "viewer"},
		"expired already":            {"keys", "--file", file, "create", "--name", "shop", "--role", "viewer", "--expires=-1h"},
		"no such file":               {"keys", "--file", file, "revoke", "k1"},
	} {
		_, _, err := command(t, args...)
		require.ErrorContains(t, err, want)
	}
}
