package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/amends-dev/amends/fence"
)

// maxConns bounds the connections of one service, so that nine of them in one process leave room
// in PostgreSQL's default of 100.
const maxConns = 6

// parseDSN is [pgx.ParseConfig] with an error that has nothing of dsn in it: pgx's quotes it, and knows the password in a
// well-formed one only.
func parseDSN(dsn string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err == nil {
		return cfg, nil
	}
	const text = "the DSN is no connection string of PostgreSQL, such as postgres://user:password@host/database?sslmode=verify-full"
	cause := errors.Unwrap(err)
	if _, malformed := url.Parse(dsn); cause == nil || malformed != nil {
		return nil, errors.New(text + "; in a password @ is written as %40, and so on")
	}
	return nil, fmt.Errorf("%s: %w", text, cause)
}

// CheckDSN tells why dsn is none of PostgreSQL.
func CheckDSN(dsn string) error {
	_, err := parseDSN(dsn)
	return err
}

// Ping tells why there is no connection with the PostgreSQL of dsn. It writes nothing there.
func Ping(ctx context.Context, dsn string) error {
	cfg, err := parseDSN(dsn)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// openPostgreSQL connects with the schema called name as the only one of the search path, and takes the
// lock under which it is migrated.
func openPostgreSQL(ctx context.Context, c Config, name string) (*DB, func() error, error) {
	cfg, err := parseDSN(c.DSN)
	if err != nil {
		return nil, nil, err
	}
	cfg.RuntimeParams["search_path"] = name
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)

	unlock, err := lockSchema(ctx, db, name)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return &DB{DB: db, Dialect: fence.PostgreSQL}, unlock, nil
}

// lockSchema holds an advisory lock on a connection of its own; it ends with the connection, so a
// process that dies does not keep it.
func lockSchema(ctx context.Context, db *sql.DB, name string) (func() error, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	h := fnv.New64a()
	h.Write([]byte("amends migrates " + name))
	key := int64(h.Sum64()) // any 64 bits do
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", key); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for another process's migration: %w", err), conn.Close())
	}
	return func() error {
		// A lock must be given back also when the caller has given up.
		_, err := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", key)
		return errors.Join(err, conn.Close())
	}, nil
}

// lacksRights tells whether the role may not use the schema or one of its tables. Whoever has one right to a table has
// all that grant gives.
func lacksRights(ctx context.Context, db *sql.DB, name, role string) (lacks bool, err error) {
	err = db.QueryRowContext(ctx, `SELECT NOT has_schema_privilege($1, n.oid, 'USAGE') OR EXISTS (
			SELECT FROM pg_class t WHERE t.relnamespace = n.oid AND t.relkind = 'r' AND NOT has_table_privilege($1, t.oid, 'UPDATE'))
		FROM pg_namespace n WHERE n.nspname = $2`, role, name).Scan(&lacks)
	if err != nil {
		return false, fmt.Errorf("look at the rights of %s: %w", role, err)
	}
	return lacks, nil
}

// grant lets the role use the tables that are in the schema now.
func grant(ctx context.Context, db *sql.DB, name, role string) error {
	role = pgx.Identifier{role}.Sanitize()
	for _, rights := range []string{"USAGE ON SCHEMA ", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "} {
		if _, err := db.ExecContext(ctx, "GRANT "+rights+name+" TO "+role); err != nil {
			return fmt.Errorf("grant %s%s to %s: %w", rights, name, role, err)
		}
	}
	return nil
}
