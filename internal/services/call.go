package services

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is what a request to a step route is about.
type call struct{ key, step string }

// callOf reads the key, the last segment of the path, and the step that it names: a key is
// "<saga id>:<Step>" or "<saga id>:<Step>.<item>". For a key of another form the step is the
// Saga-Step header.
func callOf(r *http.Request) call {
	path := r.URL.EscapedPath()
	segment := path[strings.LastIndexByte(path, '/')+1:]
	key, err := url.PathUnescape(segment)
	if err != nil {
		key = segment
	}
	if _, step, found := cutLast(key, ":"); found {
		step, _, _ = strings.Cut(step, ".")
		return call{key: key, step: step}
	}
	return call{key: key, step: r.Header.Get("Saga-Step")}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// logCalls writes a line for each call, also for one whose reply is lost.
func logCalls(logger *slog.Logger, service string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !logger.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		began, c, status := time.Now(), callOf(r), statusWriter{ResponseWriter: w}
		defer func() {
			logger.DebugContext(r.Context(), "step call",
				"service", service, "step", c.step, "method", r.Method, "key", c.key,
				"saga", r.Header.Get("Saga-Id"), "attempt", r.Header.Get("Saga-Attempt"),
				"status", status.code, "duration", time.Since(began))
		}()
		next.ServeHTTP(&status, r)
	})
}

// statusWriter remembers the status; it stays 0 while nothing was answered.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
