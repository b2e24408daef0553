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

	"github.com/amends-dev/amends/internal/ops"
)

// opsFlags say where operators ask.
type opsFlags struct {
	Addr string `help:"Address where operators and their machines ask: /healthz and /readyz. Keep the public away from it. Default: none." name:"ops-addr" env:"AMENDS_OPS_ADDR" placeholder:"HOST:PORT"`

	TLS listenTLS `embed:"" prefix:"ops-tls-" envprefix:"AMENDS_OPS_TLS_"`
}

// start begins to answer operators, if there is where. Ready finds what keeps the process from its work; nil: nothing does.
func (f opsFlags) start(p *process, ready func(context.Context) error) (*ops.Server, error) {
	if f.Addr == "" {
		return nil, nil //nolint:nilnil // a nil Server is one that nobody asked for
	}
	secure, err := f.TLS.config(p)
	if err != nil {
		return nil, fmt.Errorf("ops: %w", err)
	}
	return ops.Start(p.ctx, ops.Options{Addr: f.Addr, TLS: secure, Version: version(), Ready: ready, Logger: p.logger})
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
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(cause, fmt.Errorf("%s: stop: %w", what, err))
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(cause, fmt.Errorf("%s: %w", what, err))
	}
	return cause
}
