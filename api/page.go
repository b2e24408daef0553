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
	"strings"

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

// pageFile serves a file of the page. One that is embedded compressed is sent so to whoever can read that.
func (s *server) pageFile(files embed.FS, name string) http.HandlerFunc {
	content, err := files.ReadFile(name)
	if err != nil {
		panic("api: its own page: " + err.Error())
	}
	name, compressed := strings.CutSuffix(name, ".gz")
	kind := mime.TypeByExtension(path.Ext(name))
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		var body io.Reader = bytes.NewReader(content)
		if compressed {
			h.Add("Vary", "Accept-Encoding")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				h.Set("Content-Encoding", "gzip")
			} else {
				unpacked, err := gzip.NewReader(body)
				if err != nil {
					writeProblem(w, s.problem(r.Context(), fmt.Errorf("unpack %s: %w", name, err)))
					return
				}
				body = unpacked
			}
		}
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Cache-Control", "no-cache")
		_, _ = io.Copy(w, body) // the client is gone
	}
}
