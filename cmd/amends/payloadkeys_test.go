package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPayloadKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "payload-keys.toml")
	keys := func(args ...string) string {
		t.Helper()
		out, _, err := command(t, append([]string{"payload-keys", "--payload-keys", file}, args...)...)
		require.NoError(t, err)
		return out
	}
	made := func(args ...string) (key struct{ ID, State, Secret string }) {
		t.Helper()
		require.NoError(t, json.Unmarshal([]byte(keys(append(args, "--output", "json")...)), &key))
		require.Empty(t, key.Secret)
		return key
	}

	first := made("rotate")
	require.Equal(t, "active", first.State)
	staged := made("rotate", "--stage")
	require.Equal(t, "staged", staged.State)
	require.Regexp(t, `(?m)^`+staged.ID+` +staged +\S+Z +-$`, keys("list"))
	require.Equal(t, "Key "+staged.ID+" encrypts from now on.\n", keys("activate", staged.ID))
	require.Regexp(t, `(?m)^`+first.ID+` +replaced +\S+Z +\S+Z$`, keys("list"))
	require.Regexp(t, `(?m)^`+staged.ID+` +active +\S+Z +-$`, keys("list"))
	require.Equal(t, "Key "+first.ID+" is retired.\n", keys("retire", first.ID))
	require.NotContains(t, keys("list"), first.ID)
	require.Regexp(t, `^Key \S+ encrypts from now on\.\n$`, keys("rotate"))
	require.Regexp(t, `^Key \S+ is staged\. Once every process has it`, keys("rotate", "--stage"))
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(keys("list", "--output", "json")), &all))
	require.Len(t, all, 3)

	for want, args := range map[string][]string{
		"Name it with --payload-keys":    {"payload-keys", "list"},
		"it is file:///PATH or exec:///": {"payload-keys", "list", "--payload-keys", file, "--payload-kms", "vault"},
		`has no key "p1"`:                {"payload-keys", "activate", "p1", "--payload-keys", file},
		"no such file":                   {"payload-keys", "list", "--payload-keys", file + "x"},
		"must be 512 at least":           {"worker", "--payload-store-above", "10"},
		"which keys?":                    {"worker", "--payload-kms", "file:///master.key"},
	} {
		_, _, err := command(t, args...)
		require.ErrorContains(t, err, want)
	}
}
