package payload_test

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/internal/payload"
)

// The credentials for S3 come from the environment, which is the whole process's.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// depot is where a store keeps its content, seen from behind.
type depot struct {
	url string
	// change gives each content another value, or takes it away (nil); it returns how many there are.
	change func(func([]byte) []byte) int
	// away makes the store unavailable.
	away func()
}

func folder(t *testing.T) depot {
	t.Helper()
	dir := t.TempDir()
	change := func(to func([]byte) []byte) (n int) {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			n++
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			if content = to(content); content == nil {
				return os.Remove(path)
			}
			return os.WriteFile(path, content, 0o600)
		}))
		return n
	}
	return depot{"file://" + dir, change, func() {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.WriteFile(dir, nil, 0o600))
	}}
}

func bucket(t *testing.T) depot {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("amends"))
	s3 := gofakes3.New(backend).Server()
	away := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	change := func(to func([]byte) []byte) int {
		list, err := backend.ListBucket("amends", nil, gofakes3.ListBucketPage{})
		require.NoError(t, err)
		for _, item := range list.Contents {
			require.True(t, strings.HasPrefix(item.Key, "payloads/"), item.Key)
			object, err := backend.GetObject("amends", item.Key, nil)
			require.NoError(t, err)
			content, err := gofakes3.ReadAll(object.Contents, object.Size)
			require.NoError(t, err)
			if content = to(content); content == nil {
				_, err = backend.DeleteObject("amends", item.Key)
			} else {
				_, err = backend.PutObject("amends", item.Key, map[string]string{}, strings.NewReader(string(content)), int64(len(content)), nil)
			}
			require.NoError(t, err)
		}
		return len(list.Contents)
	}
	return depot{"s3://amends/payloads?region=eu-central-1&endpoint=" + server.URL, change, func() { away = true }}
}

func same(content []byte) []byte { return content }

// What every store has to do.
func TestStores(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) depot{"folder": folder, "bucket": bucket} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			store, err := payload.OpenStore(t.Context(), d.url)
			require.NoError(t, err)
			codec := payload.NewClaims(store, 1_000)
			small, large := jsonOf(strings.Repeat("s", 900)), jsonOf(strings.Repeat("l", 1_100))
			encode := func(p ...*commonpb.Payload) []*commonpb.Payload {
				out, err := codec.Encode(t.Context(), p)
				require.NoError(t, err)
				return out
			}

			kept := encode(small, large, large)
			require.True(t, proto.Equal(small, kept[0]))
			require.Less(t, proto.Size(kept[1]), 300)
			require.True(t, proto.Equal(kept[1], kept[2]))
			require.Positive(t, kept[1].GetExternalPayloads()[0].GetSizeBytes())
			require.Equal(t, 1, d.change(same), "two that are the same are stored once")
			read, err := codec.Decode(t.Context(), kept)
			require.NoError(t, err)
			require.True(t, proto.Equal(&commonpb.Payloads{Payloads: []*commonpb.Payload{small, large, large}}, &commonpb.Payloads{Payloads: read}))

			d.change(func(content []byte) []byte {
				content[len(content)-1]++
				return content
			})
			_, err = codec.Decode(t.Context(), kept)
			require.ErrorIs(t, err, payload.ErrUnreadable)
			require.ErrorContains(t, err, store.String()+" was changed: its SHA-256 is ")
			encode(large)
			_, err = codec.Decode(t.Context(), kept)
			require.NoError(t, err, "what is stored again is good again")

			d.change(func([]byte) []byte { return nil })
			_, err = codec.Decode(t.Context(), kept)
			require.ErrorIs(t, err, payload.ErrUnreadable)
			require.ErrorContains(t, err, " is not in "+store.String())
			require.NotErrorIs(t, err, payload.ErrUnavailable)

			d.away()
			for what, try := range map[string]func(context.Context, []*commonpb.Payload) ([]*commonpb.Payload, error){
				"store a payload of ": codec.Encode, "read ": codec.Decode,
			} {
				_, err = try(t.Context(), []*commonpb.Payload{large, kept[1]})
				require.ErrorIs(t, err, payload.ErrUnavailable)
				require.NotErrorIs(t, err, payload.ErrUnreadable)
				require.ErrorContains(t, err, what)
			}
		})
	}
}

func TestClaimsThatAreNone(t *testing.T) {
	t.Parallel()
	store, err := payload.OpenStore(t.Context(), folder(t).url)
	require.NoError(t, err)
	codec := payload.NewClaims(store, 10)
	kept, err := codec.Encode(t.Context(), []*commonpb.Payload{jsonOf(canary)})
	require.NoError(t, err)
	for want, data := range map[string]string{
		"cannot be read":           "[]",
		`was stored by "s3driver"`: `{"driverName":"s3driver"}`,
		"has no SHA-256":           `{"driverName":"amends","claimData":{"sha256":"../../etc/passwd"}}`,
	} {
		kept[0].Data = []byte(data)
		_, err = codec.Decode(t.Context(), kept)
		require.ErrorIs(t, err, payload.ErrUnreadable)
		require.ErrorContains(t, err, want)
	}
}

// What is stored is encrypted, and a process that lacks either refuses to go on.
func TestKeysAndStore(t *testing.T) {
	t.Parallel()
	b, d := setup(t), folder(t)
	open := func(keys, store string) payload.Codec {
		c, err := payload.Open(t.Context(), payload.Config{KeyFile: keys, Store: store, StoreAbove: 100, Logger: slog.Default()})
		require.NoError(t, err)
		return c
	}
	both := open(b.file.Path, d.url)
	plain := jsonOf(strings.Repeat(canary, 10))
	kept := b.encrypt(t, both, plain)
	require.Equal(t, 1, d.change(func(content []byte) []byte {
		require.NotContains(t, string(content), "canary")
		return content
	}))
	read, err := both.Decode(t.Context(), []*commonpb.Payload{kept})
	require.NoError(t, err)
	require.True(t, proto.Equal(plain, read[0]))

	for want, c := range map[string]payload.Codec{
		"it is in a store of payloads, and there is none here":  open(b.file.Path, ""),
		"it is encrypted, and there is no file of payload keys": open("", d.url),
	} {
		_, err := c.Decode(t.Context(), []*commonpb.Payload{kept})
		require.ErrorIs(t, err, payload.ErrUnreadable)
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, payload.Check([]*commonpb.Payload{kept}), "there is none here")
	require.True(t, payload.Encrypts(both))
	require.False(t, payload.Encrypts(open("", d.url)))
}

func TestStoreURLs(t *testing.T) {
	t.Parallel()
	server := strings.TrimPrefix(bucket(t).url, "s3://amends/payloads?")
	for want, at := range map[string]string{
		"it is file:///PATH or s3://":  "gs://bucket",
		"it is file:///PATH or s3://B": "file://relative/path",
		"it is file:///PATH or s3":     "/var/lib/payloads",
		"takes endpoint and region":    "s3://amends?secret=x",
		"it is https://HOST:PORT":      "s3://amends?endpoint=minio.example",
		"has no bucket other":          "s3://other?" + server,
		"missing protocol scheme":      ":",
	} {
		_, err := payload.OpenStore(t.Context(), at)
		require.ErrorContains(t, err, want, at)
	}
}
