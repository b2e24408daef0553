package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/amends-dev/amends/bench/internal/engine"
	"github.com/amends-dev/amends/bench/internal/postgres"
	"github.com/amends-dev/amends/bench/internal/process"
	"github.com/amends-dev/amends/bench/internal/steps"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/devserver"
)

// The roles of this binary.
const (
	rolePostgres = "postgres"
	roleTemporal = "temporal"
	roleSteps    = "steps"
	roleEngine   = "engine"
)

// served is what a role tells that listens: the URL of its HTTP server.
type served struct {
	URL string `json:"url"`
	// Temporal is the address of the Temporal server, if the role is one.
	Temporal string `json:"temporal,omitempty"`
}

// runRole is what this process does when it was started by package process.
func runRole(ctx context.Context, name string, stdin io.Reader, stdout, stderr io.Writer) error {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	switch name {
	case rolePostgres:
		return process.Run(ctx, stdin, stdout, postgres.Serve)
	case roleTemporal:
		return process.Run(ctx, stdin, stdout, temporalRole(logger))
	case roleSteps:
		return process.Run(ctx, stdin, stdout, func(ctx context.Context, _ struct{}, ready func(any) error) error {
			return serve(ctx, steps.NewHandler(), served{}, ready)
		})
	case roleEngine:
		return process.Run(ctx, stdin, stdout, engineRole(logger))
	}
	return fmt.Errorf("unknown role %q", name)
}

// temporalConfig configures the Temporal server.
type temporalConfig struct {
	DSN           string `json:"dsn"`
	HistoryShards int    `json:"history_shards"`
	DynamicConfig string `json:"dynamic_config"`
	StockIndexes  bool   `json:"stock_indexes"`
}

func temporalRole(logger *slog.Logger) process.Serve[temporalConfig] {
	return func(ctx context.Context, c temporalConfig, ready func(any) error) (err error) {
		server, err := devserver.Start(ctx, devserver.Options{
			PostgresDSN:      c.DSN,
			HistoryShards:    c.HistoryShards,
			DynamicConfig:    []byte(c.DynamicConfig),
			StockIndexes:     c.StockIndexes,
			SearchAttributes: devserver.SearchAttributes(compensation.SearchAttributes()),
			Logger:           logger.With("role", roleTemporal),
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stopWithin(ctx, 20*time.Second, server.Stop)) }()
		mux := http.NewServeMux()
		mux.HandleFunc("GET /heap", serveHeap)
		return serve(ctx, mux, served{Temporal: server.HostPort()}, ready)
	}
}

func engineRole(logger *slog.Logger) process.Serve[engine.Config] {
	return func(ctx context.Context, c engine.Config, ready func(any) error) (err error) {
		c.Logger = logger.With("role", c.Name)
		e, err := engine.Open(ctx, c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.Close()) }()
		return serve(ctx, engine.NewHandler(e), served{}, ready)
	}
}

// serve answers HTTP requests with handler, and those for profiles, until ctx ends. It calls ready with facts, to which
// it adds its URL.
func serve(ctx context.Context, handler http.Handler, facts served, ready func(any) error) error {
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/allocs", pprof.Handler("allocs").ServeHTTP)
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	facts.URL = "http://" + l.Addr().String()
	if err := ready(facts); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close() // whoever asked for something is gone
	}
}

// stopWithin stops what has to be stopped after ctx has ended.
func stopWithin(ctx context.Context, limit time.Duration, stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return stop(ctx)
}
