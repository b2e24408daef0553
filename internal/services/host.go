// Package services hosts the reference step services: each under a path of its own, with a database
// of its own. It knows which services there are and what every one of them has: steps, an audit,
// and fault settings for demos and tests. It knows nothing of what a step does.
package services

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/internal/inbound"
	"github.com/amends-dev/amends/internal/services/store"
)

// Config says which services a host serves, and from where.
type Config struct {
	// DSN is a PostgreSQL connection string (postgres://…), where each service has a schema of its
	// own name. Empty means a SQLite file for each service, <Dir>/<name>.db.
	DSN string
	// GrantTo is a role of PostgreSQL that gets the right to use what is in the schemas, for hosts that are to have no more
	// than that. Empty means nobody.
	GrantTo string
	// Dir is the folder of the SQLite files and of the mails, <Dir>/mails/*.eml. It is created.
	Dir string
	// Names are the services to serve; empty means all of [Names].
	Names []string
	// Faults serves the fault settings, /<name>/faults. Whoever reaches the port can then break the
	// service, so they are for demos and tests. Default off.
	Faults bool
	// Wait is how long a step waits for another one that holds its key, or on SQLite the database,
	// before it answers that it should be asked again. Default: the one of [fence.Ledger].
	Wait time.Duration
	// Meter makes the instrument that counts step calls. Default: nothing is counted.
	Meter metric.Meter
	// Tracer makes the spans of step calls. Default: none.
	Tracer trace.Tracer
	// Logger gets a line for each step call, at debug level, and whatever goes wrong. Default:
	// [slog.Default].
	Logger *slog.Logger
}

// Host is a set of services with their databases open. It is safe for concurrent use.
type Host struct {
	config   Config
	services []*hosted
	calls    metric.Float64Histogram
	ready    inbound.Readiness[struct{}]
}

// hosted is one service of a host.
type hosted struct {
	name string
	db   *store.DB
	service
}

// withDefaults checks what was given, and sets what was not.
func (c Config) withDefaults() (Config, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Meter == nil {
		c.Meter = noop.Meter{}
	}
	if c.Tracer == nil {
		c.Tracer = tracenoop.Tracer{}
	}
	if len(c.Names) == 0 {
		c.Names = Names
	}
	if c.Dir == "" {
		return c, errors.New("open the services: no folder is given for their files")
	}
	for i, name := range c.Names {
		if !slices.Contains(Names, name) {
			return c, fmt.Errorf("open the services: there is no service %q; there are: %s", name, strings.Join(Names, ", "))
		}
		if slices.Contains(c.Names[:i], name) {
			return c, fmt.Errorf("open the services: %s is named twice", name)
		}
	}
	return c, nil
}

func (c Config) store() store.Config { return store.Config{DSN: c.DSN, Dir: c.Dir, GrantTo: c.GrantTo} }

// Open opens the databases of the named services, creating, migrating and seeding them as needed.
func Open(ctx context.Context, c Config) (*Host, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	calls, err := newCalls(c.Meter)
	if err != nil {
		return nil, fmt.Errorf("open the services: %w", err)
	}
	h := &Host{config: c, services: make([]*hosted, len(c.Names)), calls: calls}
	var g errgroup.Group
	for i, name := range c.Names {
		g.Go(func() (err error) {
			h.services[i], err = open(ctx, c, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func open(ctx context.Context, c Config, name string) (*hosted, error) {
	k := kindOf(name)
	db, err := store.Open(ctx, c.store(), name, k.migrations)
	if err != nil {
		return nil, err
	}
	db.Ledger.Logger = c.Logger.With("service", name)
	db.Ledger.Wait = c.Wait
	svc, err := k.open(db, c)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), db.Close())
	}
	return &hosted{name: name, db: db, service: svc}, nil
}

// Close closes the databases. Requests must have ended.
func (h *Host) Close() error {
	var errs []error
	for _, s := range h.services {
		if s != nil {
			errs = append(errs, s.db.Close())
		}
	}
	return errors.Join(errs...)
}

// Handler serves each service's steps under /<name>/…, its audit at GET /<name>/audit and, if
// configured, its faults under /<name>/faults; GET /healthz answers while the process runs, and
// GET /readyz while every database answers. What is not there is a 404 problem.
func (h *Host) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, s := range h.services {
		steps := http.NewServeMux()
		s.Routes(steps)
		var handler http.Handler = steps
		if h.config.Faults {
			f := newFaults(s.Steps())
			f.routes(mux, "/"+s.name+"/faults")
			handler = f.middleware(handler)
		}
		handler = h.observe(s, handler)
		mux.Handle("/"+s.name+"/", http.StripPrefix("/"+s.name, handler))
		mux.HandleFunc("GET /"+s.name+"/audit", h.audit(s))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, "not_found", "there is nothing at %s; the services are: %s",
			r.URL.Path, strings.Join(h.config.Names, ", "))
	})
	return mux
}

func (h *Host) audit(s *hosted) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		report, err := s.Audit(r.Context())
		if err != nil {
			h.config.Logger.ErrorContext(r.Context(), "audit", "service", s.name, "error", err)
			writeProblem(w, http.StatusServiceUnavailable, "unavailable", "the books of %s cannot be read now", s.name)
			return
		}
		writeJSON(w, report)
	}
}

// Ready names the database that does not answer within two seconds; nil if all do. They are checked once a second at
// most.
func (h *Host) Ready(ctx context.Context) error {
	_, err := h.ready.Check(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, h.ping(ctx) })
	return err //nolint:wrapcheck // it is ping's
}

func (h *Host) ping(ctx context.Context) error {
	for _, s := range h.services {
		if err := s.db.PingContext(ctx); err != nil {
			h.config.Logger.ErrorContext(ctx, "not ready", "service", s.name, "error", err)
			return fmt.Errorf("the database of %s does not answer", s.name)
		}
	}
	return nil
}

func (h *Host) readyz(w http.ResponseWriter, r *http.Request) {
	if err := h.Ready(r.Context()); err != nil {
		writeProblem(w, http.StatusServiceUnavailable, "unavailable", "%s", err)
		return
	}
	writeJSON(w, map[string]string{"status": "ready"})
}

// writeJSON answers 200.
func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a caller who has gone needs no answer
}

// writeProblem answers in the form that package fence gives its errors.
func writeProblem(w http.ResponseWriter, status int, code, format string, args ...any) {
	body, _ := json.Marshal(map[string]any{ // strings and a number always marshal
		"type": "about:blank", "title": http.StatusText(status), "status": status,
		"detail": fmt.Sprintf(format, args...), "code": code,
	})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
