// Package devserver runs a Temporal server and its Web UI inside the calling
// process, for development and tests: on a SQLite file, in memory, or on
// PostgreSQL. Everything listens on 127.0.0.1 only, and nothing calls the
// internet.
//
// It knows nothing of sagas; the command amends-dev puts the rest of Amends
// around it. For production run Temporal itself.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/temporal"
	"go.uber.org/dig"
)

// DefaultNamespace is the namespace made when Options names none.
const DefaultNamespace = "default"

// Retention is how long the history of a closed workflow is kept in a
// namespace this package makes: an order can be returned for 30 days, and its
// saga should be there for that.
const Retention = 35 * 24 * time.Hour

// Options says where a Server keeps its state and where it listens. Exactly one
// store is used: memory with Ephemeral, PostgreSQL with PostgresDSN, and
// otherwise SQLite in DataDir.
type Options struct {
	// DataDir is the folder of temporal.db. It is created when missing, and
	// locked: two servers never share one, also when the state is in PostgreSQL.
	DataDir string
	// Ephemeral keeps everything in memory; the state ends with the process.
	Ephemeral bool
	// PostgresDSN is a URL or keyword/value connection string of an existing
	// database. The state goes into its schemas "temporal" and
	// "temporal_visibility", which are created, and upgraded when they are older
	// than this server. The user needs the right to create in that database.
	PostgresDSN string
	// StockIndexes leaves the indexes for search attributes in PostgreSQL as Temporal's
	// schema makes them. By default they leave out workflows without the attribute, at
	// every start that finds one that does not: see visibility_indexes.sql.
	StockIndexes bool
	// Namespace is created when missing. Default: DefaultNamespace.
	Namespace string
	// TemporalPort and UIPort are the ports of the frontend (gRPC) and of the Web
	// UI. 0 picks a free one.
	TemporalPort, UIPort int
	// SearchAttributes are added to Namespace when it lacks them.
	SearchAttributes map[string]enums.IndexedValueType
	// HistoryShards is the number of parts that a new store's histories are divided
	// into, each with queues of its own. A store keeps the number it was made with.
	// Default: 4.
	HistoryShards int
	// DynamicConfig is the content of a file of Temporal's dynamic configuration (YAML).
	// It counts where this package sets something else. What the server does not know
	// or cannot use is an error.
	DynamicConfig []byte
	// Logger gets what the Temporal server logs: at LogLevel and above, without
	// what belongs to every start and stop. Default: slog.Default().
	Logger *slog.Logger
	// LogLevel is the lowest level that is logged. Default: slog.LevelWarn.
	LogLevel slog.Leveler

	// metrics gets the server's measurements, for tests. Default: they are dropped.
	metrics metrics.Handler
}

func (o Options) withDefaults() (Options, error) {
	if o.Ephemeral && o.PostgresDSN != "" {
		return o, errors.New("devserver: Ephemeral and PostgresDSN exclude each other")
	}
	if !o.Ephemeral && o.PostgresDSN == "" && o.DataDir == "" {
		return o, errors.New("devserver: one of DataDir, Ephemeral and PostgresDSN must be set")
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.HistoryShards == 0 {
		o.HistoryShards = defaultHistoryShards
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.LogLevel == nil {
		o.LogLevel = slog.LevelWarn
	}
	return o, nil
}

// Server is a running Temporal server with its Web UI.
type Server struct {
	namespace string
	ports     ports
	temporal  temporal.Server
	ui        *webUI
	store     *store
	unlock    func()
	noise     slog.LevelVar

	stop    sync.Once
	stopped error
}

// Start starts a server and returns when a client can start a workflow on it.
// A *PortTakenError or an *InUseError says that somebody else has what this
// server needs; nothing has been started then.
//
// When ctx ends first, what was started is stopped again. As in any Temporal
// server, a failure it cannot live with after the start, such as a listener
// that breaks, ends the process.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{namespace: o.Namespace, unlock: func() {}}
	s.noise.Set(changeNoise)
	defer func() {
		if err != nil {
			// The caller's context may be what ended the start.
			err = errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if o.DataDir != "" && !o.Ephemeral {
		unlock, err := lockDir(o.DataDir)
		if err != nil {
			return nil, err
		}
		s.unlock = unlock
	}
	if s.ports, err = choosePorts(o); err != nil {
		return nil, err
	}
	if s.store, err = openStore(ctx, o); err != nil {
		return nil, err
	}
	if err = createNamespace(s.store.main, o); err != nil {
		return nil, err
	}
	if err = s.startTemporal(ctx, o); err != nil {
		return nil, err
	}
	if s.ui, err = startWebUI(ctx, s.ports, o.Namespace); err != nil {
		return nil, fmt.Errorf("web ui: %w", err)
	}
	s.noise.Set(noNoise)
	return s, nil
}

func (s *Server) startTemporal(ctx context.Context, o Options) error {
	options, err := serverOptions(s.ports, s.store, o, newLogger(o, &s.noise))
	if err != nil {
		return err
	}
	srv, err := temporal.NewServer(options...)
	if err != nil {
		// What the dependency injection wraps around the cause fills a screen.
		return fmt.Errorf("temporal server: %w", dig.RootCause(err))
	}
	// Set before Start, so that a half started server is stopped too.
	s.temporal = srv
	if err := srv.Start(); err != nil {
		return fmt.Errorf("temporal server: %w", dig.RootCause(err))
	}
	if err := waitReady(ctx, s.HostPort(), o); err != nil {
		return fmt.Errorf("temporal server: %w", err)
	}
	return nil
}

// openStore prepares the one store that o chooses.
func openStore(ctx context.Context, o Options) (*store, error) {
	switch {
	case o.PostgresDSN != "":
		return openPostgres(ctx, o)
	case o.Ephemeral:
		return openMemory()
	default:
		return openSQLite(ctx, filepath.Join(o.DataDir, "temporal.db"))
	}
}

// store is where the server keeps its state. The server opens connections of its
// own from main and visibility.
type store struct {
	main, visibility config.SQL
	close            func(context.Context) error
}

// HostPort is the address that Temporal clients and workers connect to.
func (s *Server) HostPort() string { return s.ports.frontendAddr() }

// UIURL is the address of the Web UI, without a slash at its end.
func (s *Server) UIURL() string { return "http://" + s.ports.uiAddr() }

// Namespace is the namespace the server was started with.
func (s *Server) Namespace() string { return s.namespace }

// Stop stops the Web UI and then the server, and gives the store free. It
// returns when that is done or ctx ends, whichever is first; in the second case
// the server is still stopping, and no acknowledged write is lost if the process
// ends meanwhile. Calling Stop again returns the first answer.
//
// Stop the workers first: a worker whose server is gone waits for it.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() { s.stopped = s.shutDown(ctx) })
	return s.stopped
}

func (s *Server) shutDown(ctx context.Context) error {
	s.noise.Set(changeNoise)
	if s.ui != nil {
		s.ui.stop()
	}
	done := make(chan error, 1)
	go func() {
		var errs []error
		if s.temporal != nil {
			errs = append(errs, s.temporal.Stop())
		}
		if s.store != nil {
			errs = append(errs, s.store.close(context.WithoutCancel(ctx)))
		}
		s.unlock()
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("stop temporal server: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop temporal server: %w", ctx.Err())
	}
}
