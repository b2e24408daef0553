package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/amends-dev/amends/internal/access"
)

// requestIDHeader carries a request's ID, from a caller that has one and back to every caller.
const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// requestID is the ID of the request that ctx belongs to.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// usableID is what a caller's own request ID may be, since it goes into logs.
var usableID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// identify gives each request an ID.
func (s *server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !usableID.MatchString(id) {
			id = strings.ToLower(rand.Text())
		}
		w.Header().Set(requestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

// learned is what the line of a request has that only those know who serve it.
type learned struct {
	// caller is who called; zero for those whom nobody knows or asks.
	caller access.Caller
	// saga is the saga that the request is about, if there is one.
	saga string
	// refused is called with the code of each problem before the request is answered with it; nil for no observer.
	refused func(Code)
}

type learnedKey struct{}

// learn is for what is learned of the request that ctx belongs to.
func learn(ctx context.Context) *learned {
	if l, ok := ctx.Value(learnedKey{}).(*learned); ok {
		return l
	}
	return new(learned) // no request's line is written
}

func (l learned) attrs() []slog.Attr {
	var attrs []slog.Attr
	if l.caller.Name != "" {
		attrs = append(attrs, slog.String("caller", l.caller.ID()), slog.String("tenant", l.caller.Tenant))
	}
	if l.saga != "" {
		attrs = append(attrs, slog.String("saga", l.saga))
	}
	return attrs
}

func (s *server) logRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, learned := time.Now(), new(learned)
		r = r.WithContext(context.WithValue(r.Context(), learnedKey{}, learned))
		answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			level, route, took := slog.LevelInfo, routeOf(r), time.Since(start)
			if route == "/healthz" || route == "/readyz" {
				level = slog.LevelDebug
			}
			s.log.LogAttrs(r.Context(), level, "request", append([]slog.Attr{
				slog.String("method", r.Method), slog.String("route", route), slog.Int("status", answer.Status()),
				slog.Int("bytes", answer.BytesWritten()), slog.Duration("duration", took), slog.String("request_id", requestID(r.Context())),
			}, learned.attrs()...)...)
			describe(r.Context(), r.Method, route, answer.Status())
			s.meters.request(r.Context(), r.Method, route, answer.Status(), took)
		}()
		next.ServeHTTP(answer, r)
	})
}

// routeOf is the pattern of what a request asks for, also if it was turned down on the way there; "" where there is nothing.
func routeOf(r *http.Request) string {
	c := chi.RouteContext(r.Context())
	if route := c.RoutePattern(); route != "" {
		return route
	}
	return c.Routes.Find(chi.NewRouteContext(), r.Method, r.URL.Path)
}

// recoverPanic answers a request whose handler panicked, and logs why.
func (s *server) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			answer := s.problem(r.Context(), fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
			if sent, ok := w.(middleware.WrapResponseWriter); ok && sent.Status() != 0 {
				return // it is too late for another answer
			}
			writeProblem(w, answer)
		}()
		next.ServeHTTP(w, r)
	})
}

// checkQuery refuses a query that readers would understand in different ways: one that is not well-formed, has a parameter
// twice, or has one that is empty or no text.
func (s *server) checkQuery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := &failure{code: codeBadParameter, detail: "The query is not well-formed."}
		query, err := url.ParseQuery(r.URL.RawQuery)
		for _, name := range slices.Sorted(maps.Keys(query)) {
			value := query.Get(name)
			detail := unreadable(value)
			switch {
			case len(query[name]) > 1:
				detail = "is there twice"
			case value == "":
				detail = "is empty"
			case detail == "":
				continue
			}
			f.detail = "A parameter cannot be read."
			f.faults = append(f.faults, Fault{Parameter: name, Detail: detail})
			if len(f.faults) == maxFaults {
				break
			}
		}
		if err != nil || len(f.faults) > 0 {
			writeProblem(w, s.problem(r.Context(), f))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, s.problem(r.Context(), &failure{code: codeNotFound, detail: "Nothing is served under this path."}))
}

func (s *server) methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			// GetHead lets HEAD in wherever GET is.
			asked := m
			if m == http.MethodHead {
				asked = http.MethodGet
			}
			if routes.Match(chi.NewRouteContext(), asked, r.URL.Path) {
				allowed = append(allowed, m)
			}
		}
		list := strings.Join(allowed, ", ")
		w.Header().Set("Allow", list)
		writeProblem(w, s.problem(r.Context(), &failure{code: codeMethodNotAllowed, detail: "It takes " + list + "."}))
	}
}

// writeProblem answers where huma does not.
func writeProblem(w http.ResponseWriter, p *Problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone
}
