package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/amends-dev/amends/bench/internal/engine"
	"github.com/amends-dev/amends/bench/internal/postgres"
	"github.com/amends-dev/amends/bench/internal/process"
	"github.com/amends-dev/amends/bench/internal/steps"
)

// system is everything that runs while it is measured.
type system struct {
	dir    string
	stderr io.Writer
	// failed ends the context of everything when a process ends by itself.
	failed context.CancelCauseFunc
	// parts are what to stop, in the order of their start.
	parts []func(context.Context) error

	steps *process.Process
	// books is the client of the step server, stepsURL where it is.
	books    *steps.Client
	stepsURL string
	// shared are the servers of all contestants without their own.
	shared  *servers
	engines map[string]*runningEngine
}

// servers are the Temporal and the PostgreSQL server of a contestant.
type servers struct {
	postgres, temporal *process.Process
	db                 *pgx.Conn
	dsn                string
	// address is the Temporal server's for clients, debugURL the one for profiles.
	address, debugURL string
}

// runningEngine are a contestant's processes, with the servers they use.
type runningEngine struct {
	engine.Clients
	*servers

	processes []*process.Process
}

// startSystem starts everything that the contestants need. The returned context is ctx, and ends with a cause when one
// of the processes does. The caller must stop the system, also after an error.
func startSystem(ctx context.Context, p plan, stderr io.Writer) (context.Context, *system, error) {
	ctx, failed := context.WithCancelCause(ctx)
	s := &system{dir: p.Dir, stderr: stderr, failed: failed, engines: make(map[string]*runningEngine)}
	var stepServer served
	var err error
	if s.steps, err = s.start(ctx, roleSteps, struct{}{}, &stepServer, nil); err != nil {
		return ctx, s, err
	}
	s.stepsURL, s.books = stepServer.URL, steps.NewClient(stepServer.URL)
	if s.shared, err = s.startServers(ctx, p.shared); err != nil {
		return ctx, s, err
	}
	for _, c := range p.contestants {
		if err := s.startContestant(ctx, c); err != nil {
			return ctx, s, fmt.Errorf("%s: %w", c.label, err)
		}
	}
	return ctx, s, nil
}

// startServers starts a PostgreSQL server and a Temporal server on it.
func (s *system) startServers(ctx context.Context, with settings) (*servers, error) {
	v := &servers{}
	var pg postgres.Facts
	var err error
	if v.postgres, err = s.start(ctx, rolePostgres, postgres.Config{Dir: s.dir, Settings: with.postgres}, &pg, nil); err != nil {
		return nil, err
	}
	v.dsn = pg.DSN
	if v.db, err = pgx.Connect(ctx, pg.DSN); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	s.parts = append(s.parts, v.db.Close)
	dsn, err := v.createDatabase(ctx, "temporal")
	if err != nil {
		return nil, err
	}
	var facts served
	config := temporalConfig{DSN: dsn, HistoryShards: with.shards, DynamicConfig: with.dynamic, StockIndexes: with.stockIndexes}
	if v.temporal, err = s.start(ctx, roleTemporal, config, &facts, with.serverEnv); err != nil {
		return nil, err
	}
	v.address, v.debugURL = facts.Temporal, facts.URL
	return v, nil
}

func (s *system) startContestant(ctx context.Context, c contestant) error {
	with, v := c.settings, s.shared
	if c.own {
		var err error
		if v, err = s.startServers(ctx, with); err != nil {
			return err
		}
	}
	config := engine.Config{
		Name: c.engine, Steps: s.stepsURL, Temporal: v.address, Queue: c.label, Worker: with.worker, Gzip: with.gzip,
		Queued: with.queued, ResultBytes: with.resultBytes,
	}
	if c.engine == engine.DBOS {
		var err error
		if config.Postgres, err = v.createDatabase(ctx, "dbos"); err != nil {
			return err
		}
	}
	e := &runningEngine{servers: v}
	for range max(1, with.workers) {
		var control served
		p, err := s.start(ctx, roleEngine, config, &control, with.engineEnv)
		if err != nil {
			return err
		}
		e.Clients = append(e.Clients, engine.Client{URL: control.URL})
		e.processes = append(e.processes, p)
	}
	s.engines[c.label] = e
	return nil
}

// start starts a role and watches over it.
func (s *system) start(ctx context.Context, role string, config, ready any, env []string) (*process.Process, error) {
	p, err := process.Start(ctx, role, config, ready, env, s.stderr)
	if err != nil {
		return nil, err
	}
	s.parts = append(s.parts, p.Stop)
	go func() {
		select {
		case <-ctx.Done():
		case <-p.Ended():
			s.failed(fmt.Errorf("%s ended by itself", role))
		}
	}()
	return p, nil
}

// createDatabase returns the URL of a new database on the server.
func (v *servers) createDatabase(ctx context.Context, name string) (string, error) {
	if _, err := v.db.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("database %s: %w", name, err)
	}
	u, err := url.Parse(v.dsn)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// stop stops what was started, the last first.
func (s *system) stop(ctx context.Context) error {
	s.failed(nil) // from here on processes end because they are asked to
	var errs []error
	for _, stop := range slices.Backward(s.parts) {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}
