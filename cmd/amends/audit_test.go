package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is in the file stays, lines go on in a new one when it was moved away, and nobody else reads them.
func TestAppendedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	file, other := &appendedFile{path: path}, &appendedFile{path: path}
	write := func(f *appendedFile, line string) {
		n, err := f.Write([]byte(line))
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}
	write(file, "1\n")
	write(other, "2\n")
	require.NoError(t, os.Rename(path, path+".1"))
	write(file, "3\n")

	requireFile := func(path, want string) {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(content))
	}
	requireFile(path+".1", "1\n2\n")
	requireFile(path, "3\n")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	file.torn = true // as a disk that was full leaves it
	write(file, "4\n")
	write(file, "5\n")
	requireFile(path, "3\n\n4\n5\n")

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	_, err = file.Write([]byte("6\n"))
	require.ErrorContains(t, err, "is a directory")
}

// An API whose acts cannot be written down does not start.
func TestAPIWithoutItsAuditLog(t *testing.T) {
	t.Parallel()
	_, err := (&apiFlags{AuditLog: "/nowhere/audit.jsonl"}).auditLog(&process{})
	require.ErrorContains(t, err, "audit log: open /nowhere/audit.jsonl")
}
