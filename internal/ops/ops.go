// Package ops serves what operators and their machines ask a process: whether it lives, whether it is ready for work, and
// what else is mounted. It listens at an address of its own, which the public need not reach. It knows nothing of what the
// process does.
package ops

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/amends-dev/amends/internal/inbound"
)

const stopTimeout = time.Second

// Options of a [Server].
type Options struct {
	// Addr is where it listens, host:port. Required.
	Addr string
	// TLS is how it proves itself. Default: plain HTTP.
	TLS *tls.Config
	// Version is what /healthz says of the process.
	Version string
	// Ready reports what keeps the process from its work, within two seconds. It is called once a second at most.
	// Default: nothing does.
	Ready func(context.Context) error
	// Handlers are served, too, by pattern of [http.ServeMux]. /healthz and /readyz are taken.
	Handlers map[string]http.Handler
	// Logger says where it listens, and gets what net/http has to say. Default [slog.Default].
	Logger *slog.Logger
}

// Server answers until it is stopped. A nil Server is one that nobody asked for: it does nothing.
type Server struct {
	options  Options
	server   *http.Server
	draining atomic.Bool
	ready    inbound.Readiness[struct{}]
	ended    chan error
	// URL is where it listens, without a slash at its end.
	URL string
}

// Start listens, and serves from then on.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{options: o, ended: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	for pattern, h := range o.Handlers {
		mux.Handle(pattern, h)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("ops: listen at %s (choose another with --ops-addr): %w", o.Addr, err)
	}
	s.URL = "http://" + listener.Addr().String()
	if o.TLS != nil {
		s.URL = "https://" + listener.Addr().String()
		listener = tls.NewListener(listener, o.TLS)
	}
	s.server = inbound.NewServer("", inbound.LimitAnswers(inbound.OnlyLocalNames(listener.Addr().String(), mux)))
	s.server.ErrorLog = slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn)
	o.Logger.Info("listening", "serving", "ops", "url", s.URL)
	go func() { s.ended <- s.server.Serve(listener) }()
	return s, nil
}

// Drain makes /readyz answer 503 from now on, so that whoever sends work to this process sends it elsewhere.
func (s *Server) Drain() {
	if s != nil {
		s.draining.Store(true)
	}
}

// Stop ends it. Answers under way have a second.
func (s *Server) Stop(ctx context.Context) error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("ops: %w", err)
	}
	return nil
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, "application/json", map[string]any{"version": s.options.Version})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if why := s.unready(r.Context()); why != "" {
		s.answer(w, http.StatusServiceUnavailable, "application/problem+json", map[string]any{
			"title": "The process is not ready.", "status": http.StatusServiceUnavailable, "detail": why,
		})
		return
	}
	s.answer(w, http.StatusOK, "application/json", map[string]any{"ready": true})
}

// unready is why the process should get no work; "" if it may.
func (s *Server) unready(ctx context.Context) string {
	if s.draining.Load() {
		return "The process stops."
	}
	if s.options.Ready == nil {
		return ""
	}
	_, err := s.ready.Check(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.options.Ready(ctx) })
	if err != nil {
		return err.Error()
	}
	return ""
}

func (s *Server) answer(w http.ResponseWriter, status int, mediaType string, body any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked has gone
}
