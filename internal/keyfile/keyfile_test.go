package keyfile_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/keyfile"
)

func text(_ context.Context, content []byte) (string, error) { return string(content), nil }

func TestModes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.toml")
	for _, tt := range []struct {
		perm os.FileMode
		mode keyfile.Mode
		want string
	}{
		{0o600, keyfile.Unwritable, ""},
		{0o644, keyfile.Unwritable, ""},
		{0o620, keyfile.Unwritable, "others may write to " + path + " (mode 0620)"},
		{0o602, keyfile.Unwritable, "others may write to " + path + " (mode 0602)"},
		{0o600, keyfile.Secret, ""},
		{0o440, keyfile.Secret, ""},
		{0o644, keyfile.Secret, "others may read " + path + " (mode 0644)"},
		{0o660, keyfile.Secret, "others may write to " + path + " (mode 0660)"},
	} {
		require.NoError(t, os.WriteFile(path, []byte("keys"), 0o600))
		require.NoError(t, os.Chmod(path, tt.perm))
		_, read := keyfile.Read(path, tt.mode)
		_, watch := keyfile.Watch(t.Context(), path, tt.mode, text, slog.Default())
		change := keyfile.Change(t.Context(), path, tt.mode, func([]byte) ([]byte, error) { return nil, nil })
		for _, err := range []error{read, watch, change} {
			if tt.want == "" {
				require.NoError(t, err, "%#o", tt.perm)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
		}
	}
}

// Who misses a key need not wait for the second to be over.
func TestFresh(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.toml")
	write := func(content string) {
		require.NoError(t, keyfile.Change(t.Context(), path, keyfile.Secret, func([]byte) ([]byte, error) { return []byte(content), nil }))
	}
	write("old")
	var log bytes.Buffer
	w, err := keyfile.Watch(t.Context(), path, keyfile.Secret, text, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)

	write("new")
	require.Equal(t, "old", w.Keys(t.Context()))
	require.Equal(t, "new", w.Fresh(t.Context()))
	require.Equal(t, "new", w.Keys(t.Context()))
	require.NoError(t, os.Chmod(path, 0o644))
	require.Equal(t, "new", w.Fresh(t.Context()))
	require.Contains(t, log.String(), "others may read")
}

func TestAChangeThatFailsLeavesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "keys.toml")
	require.NoError(t, keyfile.Change(t.Context(), path, keyfile.Secret, func(content []byte) ([]byte, error) {
		require.Nil(t, content)
		return []byte("first"), nil
	}))
	unwilling := errors.New("no")
	require.ErrorIs(t, keyfile.Change(t.Context(), path, keyfile.Secret, func([]byte) ([]byte, error) { return nil, unwilling }), unwilling)
	content, err := keyfile.Read(path, keyfile.Secret)
	require.NoError(t, err)
	require.Equal(t, "first", string(content))
}
