package codecserver_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/codecserver"
	"github.com/amends-dev/amends/internal/payload"
)

const webUI = "https://temporal.example"

// bundle is a codec server, and those who ask it.
type bundle struct {
	url  string
	keys map[access.Role]string
	log  bytes.Buffer
	// plain is what is encrypted in sealed.
	plain, sealed *commonpb.Payload
}

func setup(t *testing.T, o codecserver.Options) *bundle {
	t.Helper()
	dir := t.TempDir()
	b := &bundle{keys: map[access.Role]string{}}
	o.Logger = slog.New(slog.NewTextHandler(&b.log, nil))
	apiKeys := filepath.Join(dir, "keys.toml")
	for _, role := range access.Roles() {
		_, text, err := access.CreateKey(t.Context(), apiKeys, access.Key{Name: "some-" + string(role), Tenant: "acme", Role: role})
		require.NoError(t, err)
		b.keys[role] = "Bearer " + text
	}
	ring, err := access.OpenKeyRing(t.Context(), apiKeys, o.Logger)
	require.NoError(t, err)
	o.Access = access.New(ring, nil)

	file := payload.KeyFile{Path: filepath.Join(dir, "payload-keys.toml")}
	_, err = file.Rotate(t.Context())
	require.NoError(t, err)
	codec, err := payload.OpenCipher(t.Context(), file, o.Logger)
	require.NoError(t, err)
	b.plain, err = converter.GetDefaultDataConverter().ToPayload("ada@example.com")
	require.NoError(t, err)
	sealed, err := codec.Encode(t.Context(), []*commonpb.Payload{b.plain})
	require.NoError(t, err)
	b.sealed = sealed[0]

	server := httptest.NewServer(codecserver.New(codec, o))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// reply is an answer to [bundle.ask].
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with headers, given as name and value in turn.
func (b *bundle) ask(t *testing.T, method, path, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp.StatusCode, resp.Header, string(text)}
}

func jsonOf(t *testing.T, payloads ...*commonpb.Payload) string {
	t.Helper()
	text, err := protojson.Marshal(&commonpb.Payloads{Payloads: payloads})
	require.NoError(t, err)
	return string(text)
}

// The SDK's own client of remote codecs understands it.
func TestDecode(t *testing.T) {
	t.Parallel()
	b := setup(t, codecserver.Options{})
	remote := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{
		Endpoint: b.url,
		ModifyRequest: func(r *http.Request) error {
			r.Header.Set("Authorization", b.keys[access.Admin])
			r.Header.Set("X-Namespace", "orders")
			return nil
		},
	})
	read, err := remote.Decode([]*commonpb.Payload{b.sealed, b.plain})
	require.NoError(t, err)
	for _, p := range read {
		require.True(t, proto.Equal(b.plain, p), "%v", p)
	}
	require.Contains(t, b.log.String(), "msg=decoded namespace=orders")
	require.Contains(t, b.log.String(), "caller=key:some-admin tenant=acme role=admin payloads=2")
	require.NotContains(t, b.log.String(), "ada@example.com")
}

func TestWhoMayDecode(t *testing.T) {
	t.Parallel()
	for least, may := range map[access.Role][]access.Role{
		"":              {access.Admin},
		access.Operator: {access.Operator, access.Admin},
	} {
		b := setup(t, codecserver.Options{Role: least})
		for role, key := range b.keys {
			got := b.ask(t, http.MethodPost, "/decode", jsonOf(t, b.sealed), "Authorization", key)
			want := http.StatusForbidden
			for _, r := range may {
				if r == role {
					want = http.StatusOK
				}
			}
			require.Equal(t, want, got.status, "%s: %s", role, got.body)
		}
		for _, nobody := range []string{"", "Bearer amends_k1_secret", "Bearer e30.e30."} {
			got := b.ask(t, http.MethodPost, "/decode", jsonOf(t, b.sealed), "Authorization", nobody)
			require.Equal(t, http.StatusUnauthorized, got.status)
			require.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
			require.NotContains(t, got.body, "no such key", "why is for the log")
		}
	}
}

func TestRequestsThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t, codecserver.Options{})
	tampered := proto.CloneOf(b.sealed)
	tampered.Data[40] ^= 1
	for _, tt := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{http.MethodPost, "/decode", "", http.StatusBadRequest, "temporal.api.common.v1.Payloads"},
		{http.MethodPost, "/decode", `{"orders":[]}`, http.StatusBadRequest, "temporal.api.common.v1.Payloads"},
		{http.MethodPost, "/decode", jsonOf(t, tampered), http.StatusUnprocessableEntity, "payload cannot be read"},
		{http.MethodPost, "/decode", strings.Repeat(" ", 17<<20), http.StatusRequestEntityTooLarge, "16 MiB"},
		{http.MethodPost, "/encode", jsonOf(t, b.plain), http.StatusNotFound, ""},
		{http.MethodGet, "/decode", "", http.StatusMethodNotAllowed, ""},
		{http.MethodGet, "/healthz", "", http.StatusNoContent, ""},
	} {
		got := b.ask(t, tt.method, tt.path, tt.body, "Authorization", b.keys[access.Admin])
		require.Equal(t, tt.status, got.status, "%s %s: %s", tt.method, tt.path, got.body)
		require.Contains(t, got.body, tt.says)
		if tt.says != "" {
			require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
		}
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		listed []string
		from   string
		allows string
	}{
		{[]string{webUI}, webUI, webUI},
		{[]string{webUI}, "https://evil.example", ""},
		{nil, webUI, ""},
	} {
		b := setup(t, codecserver.Options{Origins: tt.listed})
		preflight := b.ask(t, http.MethodOptions, "/decode", "", "Origin", tt.from,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,authorization-extras,content-type,x-namespace")
		require.Equal(t, tt.allows, preflight.header.Get("Access-Control-Allow-Origin"))
		asked := b.ask(t, http.MethodPost, "/decode", jsonOf(t, b.sealed), "Origin", tt.from, "Authorization", b.keys[access.Admin])
		require.Equal(t, tt.allows, asked.header.Get("Access-Control-Allow-Origin"))
	}
}

// claimed returns a codec server whose codec keeps payloads above a size in a folder.
func claimed(t *testing.T) (b *bundle, codec payload.Codec) {
	t.Helper()
	store, err := payload.OpenStore(t.Context(), "file://"+t.TempDir())
	require.NoError(t, err)
	codec = payload.NewClaims(store, 1000)
	b = setup(t, codecserver.Options{})
	keys := filepath.Join(t.TempDir(), "keys.toml")
	_, text, err := access.CreateKey(t.Context(), keys, access.Key{Name: "admin", Tenant: "acme", Role: access.Admin})
	require.NoError(t, err)
	ring, err := access.OpenKeyRing(t.Context(), keys, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server := httptest.NewServer(codecserver.New(codec, codecserver.Options{Access: access.New(ring, nil), Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	b.url, b.keys[access.Admin] = server.URL, "Bearer "+text
	return b, codec
}

// claimOf stores a payload of that size, and returns its claim.
func claimOf(t *testing.T, codec payload.Codec, size int) *commonpb.Payload {
	t.Helper()
	stored, err := codec.Encode(t.Context(), []*commonpb.Payload{{
		Metadata: map[string][]byte{"encoding": []byte("binary/plain")}, Data: bytes.Repeat([]byte{'x'}, size),
	}})
	require.NoError(t, err)
	return stored[0]
}

// A claim in a request counts as its decoded size, and is not read once that is too much. It is not parallel to other
// tests, which would use memory while it measures.
func TestClaimsAreBounded(t *testing.T) { //nolint:paralleltest // it measures
	b, codec := claimed(t)
	large := claimOf(t, codec, 4<<20)
	enormous := claimOf(t, codec, 200<<20)
	for _, tt := range []struct { //nolint:paralleltest // see above
		name     string
		payloads []*commonpb.Payload
		status   int
		most     uint64
	}{
		{"what there is room for", []*commonpb.Payload{large, large, large}, http.StatusOK, 400 << 20},
		{"the same again and again", slices.Repeat([]*commonpb.Payload{large}, 500), http.StatusRequestEntityTooLarge, 64 << 20},
		{"one that is larger than all may be", []*commonpb.Payload{enormous}, http.StatusRequestEntityTooLarge, 16 << 20},
		{"one after others", []*commonpb.Payload{large, enormous}, http.StatusRequestEntityTooLarge, 32 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := jsonOf(t, tt.payloads...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := b.ask(t, http.MethodPost, "/decode", body, "Authorization", b.keys[access.Admin])
			runtime.ReadMemStats(&after)
			require.Equal(t, tt.status, got.status)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, tt.most, "bytes for a body of %d", len(body))
		})
	}
}

// Payloads that take more room in memory than on the wire are bounded before they are read. It is not parallel to other
// tests, which would use memory while it measures.
func TestHostilePayloads(t *testing.T) { //nolint:paralleltest // it measures
	b := setup(t, codecserver.Options{})
	fill := func(before, item, after string) string {
		const size = 15 << 20
		return before + strings.TrimSuffix(strings.Repeat(item+",", size/(len(item)+1)), ",") + after
	}
	for name, body := range map[string]string{ //nolint:paralleltest // see above
		"empty payloads":  fill(`{"payloads":[`, `{}`, `]}`),
		"metadata":        fill(`{"payloads":[{"metadata":{`, `"a":""`, `}}]}`),
		"external ones":   fill(`{"payloads":[{"externalPayloads":[`, `{}`, `]}]}`),
		"arrays":          fill(`{"payloads":[`, `[]`, `]}`),
		"too many by one": `{"payloads":[` + strings.TrimSuffix(strings.Repeat(`{"data":"eA=="},`, 10_001), ",") + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := b.ask(t, http.MethodPost, "/decode", body, "Authorization", b.keys[access.Admin])
			runtime.ReadMemStats(&after)
			require.Equal(t, http.StatusRequestEntityTooLarge, got.status, got.body)
			require.Contains(t, got.body, "10000 payloads")
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(96<<20+8*len(body)), "bytes for a body of %d", len(body))
		})
	}
}

func TestCompressedBody(t *testing.T) {
	t.Parallel()
	b := setup(t, codecserver.Options{})
	got := b.ask(t, http.MethodPost, "/decode", jsonOf(t, b.sealed), "Authorization", b.keys[access.Admin], "Content-Encoding", "gzip")
	require.Equal(t, http.StatusUnsupportedMediaType, got.status)
	require.Equal(t, "identity", got.header.Get("Accept-Encoding"))
}
