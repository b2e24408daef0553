package payload_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/internal/payload"
)

func write(t *testing.T, name string, mode os.FileMode, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
	return path
}

// rot13 is no encryption, but what it makes of base64 is base64.
const rot13 = "#!/bin/sh\necho $1 >> $0.calls\ntr 'A-Za-z' 'N-ZA-Mn-za-m'\n"

// Whatever the KMS, a file of wrapped keys is as good as one that has them.
func TestKMS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, broken, said string }{
		{
			url:    "file://" + write(t, "master.key", 0o600, "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=\n"),
			broken: "file://" + write(t, "master.key", 0o600, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"),
			said:   "unwrap it: it was not wrapped by ",
		},
		{
			url:    "file://" + write(t, "master.key", 0o600, "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="),
			broken: "file://" + write(t, "master.key", 0o600, "AAAA"),
			said:   "master.key: it has to be 32 bytes in base64",
		},
		{
			url:    "file://" + write(t, "master.key", 0o600, "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="),
			broken: "file://" + write(t, "master.key", 0o644, "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="),
			said:   "others may read",
		},
		{
			url:    "exec://" + write(t, "kms", 0o700, rot13),
			broken: "exec://" + write(t, "kms", 0o700, "#!/bin/sh\necho no credentials >&2\nexit 1\n"),
			said:   "kms unwrap: exit status 1: no credentials",
		},
		{
			url:    "exec://" + write(t, "kms", 0o700, rot13),
			broken: "exec://" + write(t, "kms", 0o700, "#!/bin/sh\necho '<html>'\n"),
			said:   "kms unwrap: its answer is not base64",
		},
	} {
		kms, err := payload.OpenKMS(tt.url)
		require.NoError(t, err)
		b := &bundle{file: payload.KeyFile{Path: filepath.Join(t.TempDir(), "keys.toml"), KMS: kms}}
		_, err = b.file.Rotate(t.Context())
		require.NoError(t, err)
		content, err := os.ReadFile(b.file.Path)
		require.NoError(t, err)
		require.Contains(t, string(content), "wrapped = ")
		require.NotContains(t, string(content), "secret")
		require.NoError(t, os.Chmod(b.file.Path, 0o644), "everybody may read it")

		sealed := b.encrypt(t, b.open(t), jsonOf(canary))
		read, err := b.open(t).Decode(t.Context(), []*commonpb.Payload{sealed})
		require.NoError(t, err)
		require.True(t, proto.Equal(jsonOf(canary), read[0]))

		_, err = payload.Open(t.Context(), payload.Config{KeyFile: b.file.Path, KMS: tt.broken})
		require.ErrorContains(t, err, tt.said)
		require.NoError(t, os.Chmod(b.file.Path, 0o600))
		_, err = payload.Open(t.Context(), payload.Config{KeyFile: b.file.Path})
		require.ErrorContains(t, err, "which one?")
	}
}

// A process asks the KMS once for each key, and never for a payload.
func TestKMSIsAskedRarely(t *testing.T) {
	t.Parallel()
	program := write(t, "kms", 0o700, rot13)
	kms, err := payload.OpenKMS("exec://" + program)
	require.NoError(t, err)
	b := &bundle{file: payload.KeyFile{Path: filepath.Join(t.TempDir(), "keys.toml"), KMS: kms}}
	_, err = b.file.Rotate(t.Context())
	require.NoError(t, err)
	old := b.open(t)
	_, err = b.file.Rotate(t.Context())
	require.NoError(t, err)
	sealed := b.encrypt(t, b.open(t), jsonOf(canary))
	for range 3 {
		_, err = old.Decode(t.Context(), []*commonpb.Payload{sealed, sealed})
		require.NoError(t, err)
	}
	calls, err := os.ReadFile(program + ".calls")
	require.NoError(t, err)
	require.Equal(t, "wrap\nunwrap\nwrap\nunwrap\nunwrap\nunwrap\n", string(calls),
		"two keys are made; one process reads one and meets the other, one reads both")
}

func TestKMSURLs(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"awskms:///alias/amends", "file://etc/master.key", "file:master.key", "exec:///bin/kms?region=eu", "%"} {
		_, err := payload.OpenKMS(at)
		require.ErrorContains(t, err, "it is file:///PATH or exec:///PATH", at)
	}
	_, err := payload.Open(t.Context(), payload.Config{KMS: "file:///etc/master.key"})
	require.ErrorContains(t, err, "which keys?")
	codec, err := payload.Open(t.Context(), payload.Config{})
	require.NoError(t, err)
	require.Nil(t, codec)
}
