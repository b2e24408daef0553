package api

import (
	"net/http"

	"github.com/rs/cors"
)

// secure keeps browsers from making more of an answer than it is, and everybody from storing it. What may be kept, or
// is a page, says so itself.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// crossOrigin lets scripts of these origins in; without any it is nil. They prove themselves by a header as everybody
// does: no cookie is ever taken.
func crossOrigin(origins []string) func(http.Handler) http.Handler {
	if len(origins) == 0 {
		return nil
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{
			"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Prefer", requestIDHeader,
			"Traceparent", "Tracestate",
		},
		ExposedHeaders: []string{
			"ETag", "Idempotent-Replayed", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", requestIDHeader,
		},
		MaxAge: 600, // seconds
	}).Handler
}
