package pgtest_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/pgtest"
)

func TestDSN(t *testing.T) { //nolint:tparallel // its subtest has to end before it goes on
	t.Parallel()

	var first string
	t.Run("fresh", func(t *testing.T) {
		first = pgtest.DSN(t)
		second := pgtest.DSN(t)
		require.NotEqual(t, first, second)

		for _, dsn := range []string{first, second} {
			conn, err := pgx.Connect(t.Context(), dsn)
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), "CREATE TABLE mine (n BIGINT)") // fails if it is shared
			require.NoError(t, err)
			// conn stays open: the database is dropped all the same.
		}
	})
	if first == "" {
		t.Skip("skipped, because no PostgreSQL server is installed here")
	}
	_, err := pgx.Connect(t.Context(), first)
	require.ErrorContains(t, err, "does not exist")
}

// TestServerEndsWithProcess kills a test process in which a server runs.
func TestServerEndsWithProcess(t *testing.T) {
	t.Parallel()

	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), "PGTEST_HELPER=1", pgtest.Env+"=") // a server of its own
	// The helper waits on its input.
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer input.Close()
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(output)
	if !lines.Scan() && os.Getenv("CI") != "true" {
		t.Skip("skipped, because no PostgreSQL server is installed here")
	}
	dsn := lines.Text()
	connect := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	require.NoError(t, connect())

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	require.Eventually(t, func() bool { return connect() != nil }, 10*time.Second, 20*time.Millisecond, "the server goes on")
}

// TestHelperProcess is no test: it is the process that TestServerEndsWithProcess kills.
func TestHelperProcess(t *testing.T) {
	t.Parallel()

	if os.Getenv("PGTEST_HELPER") == "" {
		return
	}
	_, err := os.Stdout.WriteString(pgtest.DSN(t) + "\n")
	require.NoError(t, err)
	_, err = os.Stdin.Read(make([]byte, 1)) // until the parent ends
	require.Error(t, err)
}
