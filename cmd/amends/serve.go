package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/internal/ops"
	"github.com/amends-dev/amends/internal/telemetry"
	"github.com/amends-dev/amends/workflows"
)

// opsFlags say where operators ask.
type opsFlags struct {
	Addr string `help:"Address where operators and their machines ask: /healthz, /readyz and /metrics. Keep the public away from it. Default: none." name:"ops-addr" env:"AMENDS_OPS_ADDR" placeholder:"HOST:PORT"`

	TLS listenTLS `embed:"" prefix:"ops-tls-" envprefix:"AMENDS_OPS_TLS_"`
}

// show begins to show what the process does, as the service of that name. Nothing is counted for nobody to ask.
func (f opsFlags) show(p *process, service string) (*shown, error) {
	t, err := telemetry.Start(p.ctx, telemetry.Options{
		Service: service, Version: version(), Metrics: f.Addr != "", Plans: workflows.Plans(), Logger: p.logger,
	})
	if err != nil {
		return nil, err
	}
	return &shown{Telemetry: t, process: p, addr: f.Addr, tls: f.TLS}, nil
}

// shown is what a process shows of itself. A nil one is that of a command which soon ends.
type shown struct {
	*telemetry.Telemetry

	process *process
	addr    string
	tls     listenTLS
}

// instrument shows what a client of Temporal does, and the workers made from it.
func (s *shown) instrument(options *client.Options) error {
	if s == nil {
		return nil
	}
	return s.Instrument(options)
}

// serve begins to answer operators, if there is where. Ready finds what keeps the process from its work; nil: nothing does.
func (s *shown) serve(ready func(context.Context) error) (*ops.Server, error) {
	if s.addr == "" {
		return nil, nil //nolint:nilnil // a nil Server is one that nobody asked for
	}
	secure, err := s.tls.config(s.process)
	if err != nil {
		return nil, fmt.Errorf("ops: %w", err)
	}
	return ops.Start(s.process.ctx, ops.Options{
		Addr: s.addr, TLS: secure, Version: version(), Ready: ready, Logger: s.process.logger,
		Handlers: map[string]http.Handler{"GET /metrics": s.Handler()},
	})
}

// stop comes last: what the rest does at its end is still shown.
func (s *shown) stop() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.process.ctx), shutdownTimeout)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		s.process.logger.Warn("not everything was shown", "error", err)
	}
}

// shutdownTimeout is how long requests that are being answered may take when the process ends.
const shutdownTimeout = 8 * time.Second

// ending is how a server comes to its end.
type ending struct {
	// failed gets the error of what it needs; nil if nothing can fail.
	failed <-chan error
	// drain tells those who send requests here that it stops, and delay is how long it answers on after that.
	drain func()
	delay time.Duration
}

// serve answers requests until the process is told to end, or what it needs has failed.
func serve(p *process, what string, server *http.Server, end ending) error {
	listener, err := (&net.ListenConfig{}).Listen(p.ctx, "tcp", server.Addr)
	if err != nil {
		return fmt.Errorf("%s: listen at %s (choose another with --addr): %w", what, server.Addr, err)
	}
	server.ErrorLog = slog.NewLogLogger(p.logger.Handler(), slog.LevelWarn)
	scheme := "http"
	if server.TLSConfig != nil {
		scheme, listener = "https", tls.NewListener(listener, server.TLSConfig)
	}
	p.logger.Info("listening", "serving", what, "url", scheme+"://"+listener.Addr().String())

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	var cause error
	select {
	case err := <-ended:
		return fmt.Errorf("%s: %w", what, err)
	case cause = <-end.failed:
	case <-p.ctx.Done():
	}
	p.logger.Info("stopping", "serving", what)
	end.drain()
	if cause == nil {
		select {
		case err := <-ended:
			return fmt.Errorf("%s: %w", what, err)
		case cause = <-end.failed:
		case <-time.After(end.delay):
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), shutdownTimeout)
	defer cancel()
	err = server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		// The process ends as it was told to. Clients that are cut off ask again.
		p.logger.Warn("cut off what was still being answered", "serving", what, "after", shutdownTimeout)
		err = server.Close()
	}
	if err != nil {
		return errors.Join(cause, fmt.Errorf("%s: stop: %w", what, err))
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(cause, fmt.Errorf("%s: %w", what, err))
	}
	return cause
}
