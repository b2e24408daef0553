package api_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Everything that the page names is served beside it, as what it is, and its policy allows nothing from elsewhere.
func TestPage(t *testing.T) {
	t.Parallel()
	b := setup(t)

	page := b.get(t, "/docs")

	require.Equal(t, 200, page.status)
	require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
	policy := page.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "script-src 'self';")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, page.body, "<script>", "the policy forbids it")
	kinds := map[string]string{
		"docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
		"docs/docs.js":              "text/javascript; charset=utf-8",
		"docs/swagger-ui.css":       "text/css; charset=utf-8",
		"docs/favicon-32x32.png":    "image/png",
		"openapi.json":              "application/json",
	}
	base := &url.URL{Scheme: "http", Host: "api", Path: "/docs"}
	var named []string
	for _, match := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		named = append(named, match[1])
		at, err := base.Parse(match[1])
		require.NoError(t, err)
		require.Equal(t, "api", at.Host, "from elsewhere")
		asset := b.get(t, at.Path)
		require.Equal(t, 200, asset.status, match[1])
		require.Equal(t, kinds[match[1]], asset.header.Get("Content-Type"), match[1])
		require.NotEmpty(t, asset.body)
	}
	require.Len(t, named, len(kinds))
	require.Contains(t, b.get(t, "/docs/docs.js").body, `url: "openapi.json"`)
	requireProblem(t, b.get(t, "/docs/swagger-ui.js"), 404, "not_found")
}

// The large files are sent compressed to those who can read that, and are the same to all others.
func TestPageIsCompressed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", "br, gzip")

		packed, plain := b.do(t, r), b.get(t, path)

		require.Equal(t, "gzip", packed.header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", packed.header.Get("Vary"))
		require.Empty(t, plain.header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", plain.header.Get("Vary"))
		unpacked, err := gzip.NewReader(strings.NewReader(packed.body))
		require.NoError(t, err)
		text, err := io.ReadAll(unpacked)
		require.NoError(t, err)
		require.Equal(t, string(text), plain.body)
		require.Less(t, len(packed.body), len(text)/2)
	}
}

// The large files are unpacked once, however often clients request them plain. It is not parallel to other tests, which
// would use memory while it measures.
func TestPageIsUnpackedOnce(t *testing.T) { //nolint:paralleltest // it measures
	b := setup(t)
	for _, path := range []string{"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"} {
		size := len(b.get(t, path).body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 5 {
			b.handler.ServeHTTP(nowhere{http.Header{}}, httptest.NewRequest(http.MethodGet, path, nil))
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(size), path)
	}
}

// nowhere is a response writer that accepts everything, and keeps nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header       { return n.header }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func TestAcceptEncoding(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for accepts, coding := range map[string]string{
		"gzip": "gzip", "br, gzip;q=0.5": "gzip", "GZip": "gzip", "x-gzip": "gzip", "*": "gzip", "br, *;q=0.1": "gzip",
		"": "", "br": "", "gzip;q=0": "", "gzip; q=0.0": "", "gzip;q=0, *": "", "*, gzip;q=0": "", "identity": "", "notgzip": "", "gzip;q=x": "",
	} {
		t.Run(accepts, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/docs/swagger-ui.css", nil)
			if accepts != "" {
				r.Header.Set("Accept-Encoding", accepts)
			}
			require.Equal(t, coding, b.do(t, r).header.Get("Content-Encoding"))
		})
	}
}
