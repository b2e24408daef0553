package api

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"
	"github.com/swaggest/swgui/v5/static"
)

// pageFiles are the documentation page and the script that starts Swagger UI on it.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page use what this server serves, and nothing from elsewhere. Swagger UI has pictures within its
// style sheet.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// routePage serves the description as a page for people: Swagger UI, from within the binary.
func (s *server) routePage(r chi.Router) {
	r.Get("/docs", s.pageFile(pageFiles, "page/docs.html"))
	r.Get("/docs/docs.js", s.pageFile(pageFiles, "page/docs.js"))
	r.Get("/docs/swagger-ui-bundle.js", s.pageFile(static.FS, "swagger-ui-bundle.js.gz"))
	r.Get("/docs/swagger-ui.css", s.pageFile(static.FS, "swagger-ui.css.gz"))
	r.Get("/docs/favicon-32x32.png", s.pageFile(static.FS, "favicon-32x32.png"))
}

// pageFile serves a file of the page. A file that is embedded compressed is sent compressed to clients that can read
// that, and unpacked once for all others.
func (s *server) pageFile(files embed.FS, name string) http.HandlerFunc {
	content, err := files.ReadFile(name)
	if err != nil {
		panic("api: its own page: " + err.Error())
	}
	name, compressed := strings.CutSuffix(name, ".gz")
	plain := sync.OnceValues(func() ([]byte, error) { return unpack(content) })
	kind := mime.TypeByExtension(path.Ext(name))
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		body := content
		if compressed {
			h.Add("Vary", "Accept-Encoding")
		}
		switch {
		case !compressed:
		case acceptsGzip(r.Header):
			h.Set("Content-Encoding", "gzip")
		default:
			var err error
			if body, err = plain(); err != nil {
				writeProblem(w, s.problem(r.Context(), fmt.Errorf("unpack %s: %w", name, err)))
				return
			}
		}
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(body) // an error means that the client is gone
	}
}

func unpack(content []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// acceptsGzip reports whether the client reads gzip (RFC 9110, section 12.5.3).
func acceptsGzip(h http.Header) bool {
	accepts := false
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, params, _ := strings.Cut(part, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q="); ok {
			var err error
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				weight = 0
			}
		}
		switch coding {
		case "gzip", "x-gzip":
			return weight > 0
		case "*":
			accepts = weight > 0
		}
	}
	return accepts
}
