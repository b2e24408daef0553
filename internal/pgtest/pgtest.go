// Package pgtest gives tests a PostgreSQL database of their own.
//
// It knows how to choose or start a server, which ends with the process, and how to make and drop a database. It does not
// know what is stored there.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/pgserver"
)

// Env names the environment variable that holds the DSN of a server to use, as a postgres:// URL
// whose user may create databases.
const Env = "AMENDS_TEST_POSTGRES"

// DSN returns the postgres:// URL of a new, empty database, which is dropped when t ends.
//
// The server is the one that [Env] names. Without it, each test process starts a private one, on
// 127.0.0.1 and a free port, which ends with the process. If PostgreSQL is not installed the test is
// skipped, unless CI=true is set: then it fails, since nothing is skipped there.
func DSN(t testing.TB) string {
	t.Helper()
	server, err := theServer(t.Context())
	if errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skipf("skipped, because %s; install PostgreSQL, or name a server in %s", err, Env)
	}
	require.NoError(t, err, "a PostgreSQL server for tests")

	name := "test_" + strings.ToLower(rand.Text())
	require.NoError(t, execute(t.Context(), server.url, "CREATE DATABASE "+name))
	t.Cleanup(func() {
		// The test's own context has ended. FORCE closes connections that the test left open.
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, execute(ctx, server.url, "DROP DATABASE "+name+" WITH (FORCE)"))
	})
	database := *server.url
	database.Path = "/" + name
	return database.String()
}

// Program is the path of a program of PostgreSQL, such as pg_dump, beside the server's. Without it the test is skipped, or
// fails, as in [DSN].
func Program(t testing.TB, name string) string {
	t.Helper()
	bin, err := pgserver.Binaries()
	if errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skipf("skipped, because %s, and with it %s", err, name)
	}
	require.NoError(t, err)
	return filepath.Join(bin, name)
}

var (
	find     sync.Once
	found    *server
	notFound error
)

// theServer finds or starts the server, once for the process.
func theServer(ctx context.Context) (*server, error) {
	find.Do(func() {
		// The server outlives the test that comes first.
		found, notFound = findServer(context.WithoutCancel(ctx))
	})
	return found, notFound
}

func findServer(ctx context.Context) (*server, error) {
	dsn := os.Getenv(Env)
	if dsn == "" {
		return startServer(ctx)
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return nil, fmt.Errorf("%s must be a postgres:// URL", Env)
	}
	return &server{url: u}, nil
}

func execute(ctx context.Context, server *url.URL, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server.String())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
