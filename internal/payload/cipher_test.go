package payload_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/internal/payload"
)

// bundle is a file of payload keys, and who encrypts with them.
type bundle struct {
	*payload.Cipher

	file payload.KeyFile
	log  bytes.Buffer
}

func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{file: payload.KeyFile{Path: filepath.Join(t.TempDir(), "payload-keys.toml")}}
	_, err := b.file.Rotate(t.Context())
	require.NoError(t, err)
	b.Cipher = b.open(t)
	return b
}

// open is another process that has the file.
func (b *bundle) open(t testing.TB) *payload.Cipher {
	t.Helper()
	c, err := payload.OpenCipher(t.Context(), b.file, slog.New(slog.NewTextHandler(&b.log, nil)))
	require.NoError(t, err)
	return c
}

func (b *bundle) encrypt(t testing.TB, c payload.Codec, p *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	out, err := c.Encode(t.Context(), []*commonpb.Payload{p})
	require.NoError(t, err)
	return out[0]
}

func jsonOf(text string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(text)}
}

const canary = `{"email":"canary@example.com"}`

func TestCipher(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain := []*commonpb.Payload{
		jsonOf(canary), jsonOf(canary),
		{},
		{Metadata: map[string][]byte{"messageType": []byte("canary")}},
		{Data: bytes.Repeat([]byte("canary"), 100_000), ExternalPayloads: []*commonpb.Payload_ExternalPayloadDetails{{SizeBytes: 3}}},
	}
	untouched := proto.CloneOf(&commonpb.Payloads{Payloads: plain})

	sealed, err := b.Encode(t.Context(), plain)
	require.NoError(t, err)
	for _, p := range sealed {
		require.NotContains(t, p.String(), "canary")
		require.Equal(t, "binary/encrypted", string(p.GetMetadata()["encoding"]))
	}
	const salt, nonce = 16, 12
	require.NotEqual(t, sealed[0].GetData()[:salt], sealed[1].GetData()[:salt])
	require.NotEqual(t, sealed[0].GetData()[salt:salt+nonce], sealed[1].GetData()[salt:salt+nonce])
	again, err := b.Encode(t.Context(), sealed[:1])
	require.NoError(t, err)

	for _, reader := range []*payload.Cipher{b.Cipher, b.open(t)} {
		read, err := reader.Decode(t.Context(), sealed)
		require.NoError(t, err)
		require.True(t, proto.Equal(untouched, &commonpb.Payloads{Payloads: read}), "%v", read)
		read, err = reader.Decode(t.Context(), again)
		require.NoError(t, err)
		require.True(t, proto.Equal(sealed[0], read[0]), "each way undoes the other, also where it was used twice")
	}
	require.True(t, proto.Equal(untouched, &commonpb.Payloads{Payloads: plain}), "what was given is not changed")
}

// A history may have begun before there were keys, and have seen several of them.
func TestMixedPayloadsAreRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.encrypt(t, b, jsonOf("1"))
	_, err := b.file.Rotate(t.Context())
	require.NoError(t, err)
	second := b.encrypt(t, b.open(t), jsonOf("2"))
	require.NotEqual(t, first.GetMetadata()["encryption-key-id"], second.GetMetadata()["encryption-key-id"])

	read, err := b.Decode(t.Context(), []*commonpb.Payload{jsonOf("0"), first, second, jsonOf("3")})
	require.NoError(t, err, "the process that was there first learns of the new key when it meets it")
	for i, p := range read {
		require.Equal(t, string(rune('0'+i)), string(p.GetData()))
	}
}

// Whoever can write to Temporal's database can change nothing that is encrypted, nor take one part for another.
func TestTampering(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.file.Rotate(t.Context())
	require.NoError(t, err)
	keys, err := b.file.List()
	require.NoError(t, err)
	c := b.open(t)
	good := b.encrypt(t, c, jsonOf(canary))
	other := keys[0].ID
	if other == string(good.GetMetadata()["encryption-key-id"]) {
		other = keys[1].ID
	}

	set := func(name, value string) func(*commonpb.Payload) {
		return func(p *commonpb.Payload) { p.Metadata[name] = []byte(value) }
	}
	for want, change := range map[string]func(*commonpb.Payload){
		`was not encrypted with key "` + other: set("encryption-key-id", other),
		`its key "p0" is not in the file`:      set("encryption-key-id", "p0"),
		`its key "" is not in the file`:        func(p *commonpb.Payload) { delete(p.Metadata, "encryption-key-id") },
		`encrypted by "ROT13"`:                 set("encryption-cipher", "ROT13"),
		"3 bytes are too few":                  func(p *commonpb.Payload) { p.Data = p.Data[:3] },
	} {
		bad := proto.CloneOf(good)
		change(bad)
		_, err := c.Decode(t.Context(), []*commonpb.Payload{good, bad})
		require.ErrorIs(t, err, payload.ErrUnreadable)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "canary")
	}
	for i := range good.GetData() {
		bad := proto.CloneOf(good)
		bad.Data[i] ^= 1
		_, err := c.Decode(t.Context(), []*commonpb.Payload{bad})
		require.ErrorIs(t, err, payload.ErrUnreadable, "byte %d", i)
	}
}

// The ID is bound to what it encrypts, even where somebody kept one secret as two keys.
func TestTheKeysIDIsAuthenticated(t *testing.T) {
	t.Parallel()
	const key = "created = 2026-05-04T10:00:00Z\nsecret = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n"
	b := &bundle{file: payload.KeyFile{Path: write(t, "keys.toml", 0o600, "active = \"a\"\n[keys.a]\n"+key+"[keys.b]\n"+key)}}
	c := b.open(t)
	sealed := b.encrypt(t, c, jsonOf(canary))
	sealed.Metadata["encryption-key-id"] = []byte("b")
	_, err := c.Decode(t.Context(), []*commonpb.Payload{sealed})
	require.ErrorIs(t, err, payload.ErrUnreadable)
}

func TestKeysLive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	info, err := os.Stat(b.file.Path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	staged, err := b.file.Stage(t.Context())
	require.NoError(t, err)
	require.Equal(t, payload.KeyStaged, staged.State)
	sealed := b.encrypt(t, b.open(t), jsonOf(canary))
	first := string(sealed.GetMetadata()["encryption-key-id"])
	require.NotEqual(t, staged.ID, first, "a staged key encrypts nothing")
	_, err = b.file.Retire(t.Context(), first)
	require.ErrorContains(t, err, "key "+first+" is the active one")

	for range 2 { // the second time changes nothing
		active, err := b.file.Activate(t.Context(), staged.ID)
		require.NoError(t, err)
		require.Equal(t, payload.KeyActive, active.State)
	}
	require.Equal(t, staged.ID, string(b.encrypt(t, b.open(t), jsonOf(canary)).GetMetadata()["encryption-key-id"]))
	keys, err := b.file.List()
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, k := range keys {
		require.Equal(t, k.ID == staged.ID, k.State == payload.KeyActive)
		require.Equal(t, k.ID == first, k.State == payload.KeyReplaced)
		if k.ID == first {
			require.WithinDuration(t, time.Now(), *k.Replaced, time.Minute)
		}
	}

	_, err = b.file.Retire(t.Context(), first)
	require.NoError(t, err)
	_, err = b.open(t).Decode(t.Context(), []*commonpb.Payload{sealed})
	require.ErrorContains(t, err, `its key "`+first+`" is not in the file`)
	for _, change := range []func() (payload.Key, error){
		func() (payload.Key, error) { return b.file.Retire(t.Context(), first) },
		func() (payload.Key, error) { return b.file.Activate(t.Context(), first) },
	} {
		_, err = change()
		require.ErrorContains(t, err, `has no key "`+first+`"`)
	}
}

func TestKeyFileIsChecked(t *testing.T) {
	t.Parallel()
	const good = "active = \"a\"\n[keys.a]\ncreated = 2026-05-04T10:00:00Z\nsecret = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n"
	for name, tt := range map[string]struct{ old, new, want string }{
		"good":              {"", "", ""},
		"empty":             {good, "", " has no keys: make one with `amends payload-keys rotate`"},
		"not TOML":          {`"a"`, "", ":1: "},
		"unknown field":     {"secret", "salt = \"x\"\nsecret", ": unknown field keys.a.salt"},
		"no active key":     {`"a"`, `"b"`, `: active is "b", which is none of its keys`},
		"unusable ID":       {"[keys.a]", `[keys."a b"]`, `: key a b: an ID has 1 to 63 letters`},
		"no secret":         {"secret", "#", ": key a: it needs either secret or wrapped"},
		"secret twice":      {"secret", "wrapped = \"AAAA\"\nsecret", ": key a: it needs either secret or wrapped"},
		"wrapped, by whom?": {"secret", "wrapped", ": key a: it is wrapped by a KMS: which one? Say so with --payload-kms"},
		"short secret":      {"AAAA", "", ": key a: it has 29 bytes instead of 32"},
		"not base64":        {"AAAA", "!!!!", ": key a: not in base64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "payload-keys.toml")
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(good, tt.old, tt.new, 1)), 0o600))
			_, err := payload.Open(t.Context(), payload.Config{KeyFile: path, Logger: slog.Default()})
			if tt.want == "" {
				require.NoError(t, err)
				require.NoError(t, os.Chmod(path, 0o644))
				_, err = payload.Open(t.Context(), payload.Config{KeyFile: path, Logger: slog.Default()})
				require.ErrorContains(t, err, "others may read "+path)
			} else {
				require.ErrorContains(t, err, path+tt.want)
			}
		})
	}
}

// What it costs, without what is paid for the connection anyway.
func BenchmarkCipher(b *testing.B) {
	keys := setup(b)
	for name, size := range map[string]int{"300B": 300, "3kB": 3_000, "30kB": 30_000} {
		plain := []*commonpb.Payload{jsonOf(strings.Repeat("x", size))}
		b.Run("encode/"+name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := keys.Encode(b.Context(), plain); err != nil {
					b.Fatal(err)
				}
			}
		})
		sealed := []*commonpb.Payload{keys.encrypt(b, keys, plain[0])}
		b.Run("decode/"+name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := keys.Decode(b.Context(), sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
