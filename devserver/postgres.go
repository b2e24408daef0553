package devserver

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/iancoleman/strcase"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	dbschema "go.temporal.io/server/tools/common/schema"
	sqltool "go.temporal.io/server/tools/sql"
)

// The PostgreSQL schemas of the two stores. Step services have theirs beside
// them in the same database.
const (
	mainSchema       = "temporal"
	visibilitySchema = "temporal_visibility"
)

// Each of the server's four services opens pools of its own: together they stay
// below PostgreSQL's default of 100 connections and leave some to others.
const (
	mainConns       = 12
	visibilityConns = 6
)

// openPostgres creates or upgrades both schemas in the database of dsn and locks
// it against other servers until the store is closed.
func openPostgres(ctx context.Context, o Options) (_ *store, err error) {
	cfg, err := pgx.ParseConfig(o.PostgresDSN)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	defer func() {
		if err != nil {
			_ = conn.Close(context.WithoutCancel(ctx)) // err says more
		}
	}()
	if err := lockDatabase(ctx, conn); err != nil {
		return nil, err
	}
	s := &store{
		main:       postgresConfig(cfg, mainSchema, mainConns),
		visibility: postgresConfig(cfg, visibilitySchema, visibilityConns),
		close:      conn.Close,
	}
	if err := migrate(ctx, conn, s.main, mainSchema, "postgresql/v12/temporal"); err != nil {
		return nil, err
	}
	if err := migrate(ctx, conn, s.visibility, visibilitySchema, "postgresql/v12/visibility"); err != nil {
		return nil, err
	}
	if !o.StockIndexes {
		if err := thinIndexes(ctx, conn); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// lockDatabase holds until conn is closed, so a killed process leaves no lock.
func lockDatabase(ctx context.Context, conn *pgx.Conn) error {
	var locked bool
	err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('amends devserver', 0))`).Scan(&locked)
	if err != nil {
		return fmt.Errorf("postgres: lock: %w", err)
	}
	if !locked {
		return &InUseError{What: "PostgreSQL database " + conn.Config().Database, Option: "PostgresDSN"}
	}
	return nil
}

// postgresConfig makes the server connect the way cfg says, which the server's
// own fields cannot express in full, but to one schema.
func postgresConfig(cfg *pgx.ConnConfig, schema string, conns int) config.SQL {
	cfg = cfg.Copy()
	cfg.RuntimeParams["search_path"] = schema
	connector := stdlib.GetConnector(*cfg, stdlib.OptionAfterConnect(durationsAsBigint))
	return config.SQL{
		PluginName:   postgresql.PluginNamePGX,
		DatabaseName: cfg.Database,
		Connect: func(*config.SQL) (*sqlx.DB, error) {
			db := sqlx.NewDb(sql.OpenDB(connector), "pgx")
			db.SetMaxOpenConns(conns)
			db.SetMaxIdleConns(conns)
			db.MapperFunc(strcase.ToSnake)
			if err := db.Ping(); err != nil { //nolint:noctx // the server gives none
				_ = db.Close() // err says more
				return nil, err
			}
			return db, nil
		},
	}
}

// durationsAsBigint is what the server's own connections do: it stores durations
// as nanoseconds, pgx would send intervals.
func durationsAsBigint(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterDefaultPgType(time.Duration(0), "int8")
	conn.TypeMap().RegisterDefaultPgType((*time.Duration)(nil), "int8")
	return nil
}

// migrate brings a schema to the version of the files that are embedded in the
// server at dir. An upgrade that was interrupted goes on where it stopped.
func migrate(ctx context.Context, conn *pgx.Conn, cfg config.SQL, schema, dir string) error {
	if _, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize()); err != nil {
		return fmt.Errorf("postgres: schema %s: %w", schema, err)
	}
	quiet := log.NewNoopLogger()
	db, err := sqltool.NewConnection(&cfg, quiet)
	if err != nil {
		return fmt.Errorf("postgres: schema %s: %w", schema, err)
	}
	defer db.Close()
	if _, err := db.ReadSchemaVersion(); unversioned(err) {
		task := dbschema.NewSetupSchemaTask(db, &dbschema.SetupConfig{InitialVersion: "0.0"}, quiet)
		if err := task.Run(); err != nil {
			return fmt.Errorf("postgres: create schema %s: %w", schema, err)
		}
	} else if err != nil {
		return fmt.Errorf("postgres: schema %s: %w", schema, err)
	}
	if err := dbschema.NewUpdateSchemaTask(db, &dbschema.UpdateConfig{SchemaName: dir}, quiet).Run(); err != nil {
		return fmt.Errorf("postgres: upgrade schema %s: %w", schema, err)
	}
	return nil
}

//go:embed visibility_indexes.sql
var visibilityIndexes string

// thinIndexes takes out of the visibility store's indexes what they need not hold.
func thinIndexes(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+pgx.Identifier{visibilitySchema}.Sanitize()+", public"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, visibilityIndexes)
		return err
	})
	if err != nil {
		return fmt.Errorf("postgres: indexes of schema %s: %w", visibilitySchema, err)
	}
	return nil
}

// unversioned reports whether a read of the schema's version says that there is
// none yet.
func unversioned(err error) bool {
	const undefinedTable = "42P01"
	var pgErr *pgconn.PgError
	return errors.Is(err, sql.ErrNoRows) || errors.As(err, &pgErr) && pgErr.Code == undefinedTable
}
