package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/devserver"
	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/inbound"
	"github.com/amends-dev/amends/internal/ops"
	"github.com/amends-dev/amends/internal/payload"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/telemetry"
	"github.com/amends-dev/amends/worker"
	"github.com/amends-dev/amends/workflows"
)

// How long stopping may take: everything together, and those parts that could use
// up the time of the others.
const (
	stopLimit         = 9 * time.Second
	apiStopLimit      = 2 * time.Second
	workerStopLimit   = 3 * time.Second
	servicesStopLimit = time.Second
)

// system is what runs in this process.
type system struct {
	flags  *flags
	stdout io.Writer
	logger *slog.Logger

	apiListener, servicesListener net.Listener
	dir                           string // of the step services
	server                        *devserver.Server
	telemetry                     *telemetry.Telemetry
	client                        client.Client
	key                           localKey

	// started are the parts to stop, in the order of their start.
	started []part
	// failed gets the error of an HTTP server that ended by itself, workerFailed that of the worker.
	failed       chan error
	workerFailed <-chan error
	stopping     atomic.Bool
	// serving are the goroutines that serve HTTP.
	serving sync.WaitGroup
}

// part is something that was started. It gives up stopping when its context ends.
type part struct {
	name string
	stop func(context.Context) error
}

func newSystem(f *flags, stdout, stderr io.Writer) *system {
	return &system{
		flags:  f,
		stdout: stdout,
		logger: slog.New(telemetry.LogHandler(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: f.LogLevel}))),
		failed: make(chan error, 2), // one for each HTTP server
	}
}

// start starts the parts one after the other and says when all are ready. After an
// error, stop stops those that were started.
func (s *system) start(ctx context.Context) error {
	if !s.flags.TemporalOnly {
		if err := s.listen(ctx); err != nil {
			return err
		}
	}
	if err := s.begin("Temporal", func() error { return s.startTemporal(ctx) }); err != nil {
		return err
	}
	if !s.flags.TemporalOnly {
		for _, p := range []struct {
			name  string
			start func(context.Context) error
		}{
			{"telemetry", s.startTelemetry},
			{"step services", s.startServices},
			{"worker", s.startWorker},
			{"API keys", s.startKeys},
			{"API", s.startAPI},
		} {
			if err := s.begin(p.name, func() error { return p.start(ctx) }); err != nil {
				return err
			}
		}
	}
	return s.announce()
}

// begin runs the start of a part and tells who is waited for, if it takes long.
func (s *system) begin(name string, start func() error) error {
	slow := time.AfterFunc(2*time.Second, func() { fmt.Fprintf(s.stdout, "Waiting for %s to start …\n", name) })
	defer slow.Stop()
	began := time.Now()
	if err := start(); err != nil {
		return fmt.Errorf("%s: %w", name, inFlags(err))
	}
	s.logger.Info("started", "part", name, "took", time.Since(began))
	return nil
}

// wait returns when ctx ends, or with the error of a part that ended by itself.
func (s *system) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		_, err := fmt.Fprintln(s.stdout, "Stopping. Ctrl-C again ends it at once.")
		return err
	case err := <-s.failed:
		return err
	case err := <-s.workerFailed:
		return err
	}
}

// stop stops what was started, the last first.
func (s *system) stop(ctx context.Context) error {
	s.stopping.Store(true)
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	var errs []error
	for _, p := range slices.Backward(s.started) {
		began := time.Now()
		if err := p.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
		}
		s.logger.Info("stopped", "part", p.name, "took", time.Since(began))
	}
	s.serving.Wait()
	return errors.Join(errs...)
}

func (s *system) startTemporal(ctx context.Context) error {
	server, err := devserver.Start(ctx, devserver.Options{
		DataDir:          s.flags.Data,
		Ephemeral:        s.flags.Ephemeral,
		PostgresDSN:      s.flags.Postgres,
		TemporalPort:     s.flags.TemporalPort,
		UIPort:           s.flags.UIPort,
		SearchAttributes: devserver.SearchAttributes(workflows.SearchAttributes()),
		Logger:           s.logger.With("part", "temporal"),
		LogLevel:         temporalLevel(s.flags.LogLevel),
	})
	if err != nil {
		return err
	}
	s.server = server
	s.started = append(s.started, part{"Temporal", server.Stop})
	return nil
}

// temporalLevel keeps what the Temporal server has to say about itself away from
// everybody who does not want everything.
func temporalLevel(level slog.Level) slog.Level {
	if level <= slog.LevelDebug {
		return level
	}
	return max(level, slog.LevelWarn)
}

// startTelemetry begins to show what this process does.
func (s *system) startTelemetry(ctx context.Context) (err error) {
	s.telemetry, err = telemetry.Start(ctx, telemetry.Options{
		Service: "amends", Metrics: s.flags.OpsAddr != "", Plans: workflows.Plans(), Logger: s.logger.With("part", "worker"),
	})
	if err != nil {
		return err
	}
	s.started = append(s.started, part{"telemetry", s.telemetry.Stop})
	if s.flags.OpsAddr == "" {
		return nil
	}
	server, err := ops.Start(ctx, ops.Options{
		Addr: s.flags.OpsAddr, Logger: s.logger.With("part", "ops"),
		Handlers: map[string]http.Handler{"GET /metrics": s.telemetry.Handler()},
	})
	if err != nil {
		return err
	}
	s.started = append(s.started, part{"ops", server.Stop})
	return nil
}

func (s *system) startServices(ctx context.Context) error {
	s.dir = filepath.Join(s.flags.Data, "services")
	if s.flags.Ephemeral {
		dir, err := os.MkdirTemp("", "amends-")
		if err != nil {
			return err
		}
		s.dir = dir
		s.started = append(s.started, part{"step services' folder", func(context.Context) error { return os.RemoveAll(dir) }})
	}
	host, err := services.Open(ctx, services.Config{
		DSN:    s.flags.Postgres,
		Dir:    s.dir,
		Faults: true,
		Meter:  s.telemetry.Meter(),
		Tracer: s.telemetry.Tracer(),
		Logger: s.logger.With("part", "services"),
	})
	if err != nil {
		return err
	}
	s.started = append(s.started, part{"step services' databases", func(context.Context) error { return host.Close() }})
	s.serve("step services", servicesStopLimit, s.servicesListener, inbound.NewServer("", inbound.LimitAnswers(
		inbound.OnlyLocalNames(s.servicesListener.Addr().String(), host.Handler()))))
	return nil
}

func (s *system) startWorker(ctx context.Context) error {
	codec, err := payload.Open(ctx, payload.Config{KeyFile: s.flags.PayloadKeys, Logger: s.logger})
	if err != nil {
		return err
	}
	options := client.Options{
		HostPort:  s.server.HostPort(),
		Namespace: s.server.Namespace(),
		Logger:    sdkLogger{telemetry.SDKLogger(s.logger.With("part", "worker"), workflows.Plans()...), &s.stopping},
	}
	if err := s.telemetry.Instrument(&options); err != nil {
		return err
	}
	if options, err = connect.Encoded(options, codec); err != nil {
		return err
	}
	c, err := connect.Dial(ctx, options)
	if err != nil {
		return err
	}
	s.client = c
	s.started = append(s.started, part{"client", func(context.Context) error { c.Close(); return nil }})
	w, err := worker.New(c, worker.Options{
		ServicesURL: url(s.servicesListener),
		Namespace:   s.server.Namespace(),
		StopTimeout: workerStopLimit,
		EagerStart:  true,
		Logger:      s.logger.With("part", "worker"),
	})
	if err != nil {
		return err
	}
	if err := w.Start(ctx); err != nil {
		return err
	}
	s.started = append(s.started, part{"worker", func(ctx context.Context) error { return within(ctx, w.Stop) }})
	s.workerFailed = w.Failed()
	return nil
}

func (s *system) startAPI(context.Context) error {
	handler := api.New(s.client, api.Options{
		Access:     s.key.callers,
		WebUI:      s.server.UIURL(),
		Namespace:  s.server.Namespace(),
		EagerStart: true, // the worker has the same client
		// As amends api has them by default.
		OrderDeadline:  72 * time.Hour,
		ReturnDeadline: 720 * time.Hour,
		Rate:           1000,
		Meter:          s.telemetry.Meter(),
		Tracer:         s.telemetry.Tracer(),
		Logger:         s.logger.With("part", "api"),
	})
	s.serve("API", apiStopLimit, s.apiListener, api.NewServer("", inbound.OnlyLocalNames(s.apiListener.Addr().String(), handler)))
	return nil
}

// sdkLogger leaves out that polls fail which are given up because the worker stops.
type sdkLogger struct {
	sdklog.Logger
	stopping *atomic.Bool
}

func (l sdkLogger) Warn(msg string, keyvals ...any) {
	if !l.stopping.Load() {
		l.Logger.Warn(msg, keyvals...)
	}
}

// within waits for stop until ctx ends.
func within(ctx context.Context, stop func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		stop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
