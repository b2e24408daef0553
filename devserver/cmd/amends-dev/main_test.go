package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/pgtest"
)

// runsMain tells the test binary to be the command.
const runsMain = "AMENDS_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runsMain) != "" {
		main()
		return
	}
	if dir := os.Getenv(runsUI); dir != "" {
		if err := serveUI(dir); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// stores are the ways to keep state, each with the flags that choose it.
var stores = map[string]func(*testing.T) []string{
	"SQLite": func(t *testing.T) []string { return []string{"--data", t.TempDir()} },
	"PostgreSQL": func(t *testing.T) []string {
		return []string{"--data", t.TempDir(), "--postgres", pgtest.DSN(t)}
	},
}

func TestOrdersOfTheAnnouncedCurls(t *testing.T) {
	t.Parallel()

	p := spawn(t, "--ephemeral")
	for order, end := range map[string]string{"good": "completed", "card-declined": "compensated"} {
		require.Contains(t, p.announced, " -d @examples/orders/"+order+".json")
		p.awaitState(t, p.place(t, order), end)
	}

	key := p.fact(t, "API key")
	made, err := os.ReadFile(key)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(made)), p.fact(t, "made now"), "a key that was just made is printed")
	p.stop(t)
	require.NoDirExists(t, filepath.Dir(p.mails(t)), "nothing is kept")
	require.NoFileExists(t, key)
}

func TestSagaInFlightGoesOnAtTheNextStart(t *testing.T) {
	t.Parallel()

	for store, flags := range stores {
		for end, stop := range map[string]func(*process, *testing.T){"stopped": (*process).stop, "killed": (*process).kill} {
			t.Run(store+"/"+end, func(t *testing.T) {
				t.Parallel()

				flags := flags(t)
				first := spawn(t, flags...)
				id, key := first.place(t, "fraud-review"), first.apiKey(t)
				stop(first, t)

				next := spawn(t, flags...)
				next.approve(t, id)

				next.awaitState(t, id, "completed")
				require.Equal(t, key, next.apiKey(t), "the key is kept")
				next.stop(t)
			})
		}
	}
}

// A key that was revoked, or whose file was lost, is replaced by another one.
func TestLocalKeyIsMadeAnew(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	start := func() *system {
		s := newSystem(&flags{Data: dir}, io.Discard, io.Discard)
		require.NoError(t, s.startKeys(t.Context()))
		return s
	}
	key := func(s *system) string {
		text, err := os.ReadFile(s.key.path)
		require.NoError(t, err)
		c, err := s.key.callers.Authenticate(t.Context(), "Bearer "+strings.TrimSpace(string(text)))
		require.NoError(t, err)
		require.Equal(t, access.Caller{Name: "local", Tenant: "default", Role: access.Admin, How: access.ByKey}, c)
		return string(text)
	}
	first := key(start())
	require.Equal(t, first, key(start()))

	require.NoError(t, os.Remove(filepath.Join(dir, "api-key")))
	second := key(start())
	require.NotEqual(t, first, second)

	all, err := access.ListKeys(filepath.Join(dir, "keys.toml"))
	require.NoError(t, err)
	for _, k := range all {
		_, err := access.RevokeKey(t.Context(), filepath.Join(dir, "keys.toml"), k.ID)
		require.NoError(t, err)
	}
	require.NotEqual(t, second, key(start()))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys.toml"), []byte("[keys."), 0o600))
	require.ErrorContains(t, newSystem(&flags{Data: dir}, io.Discard, io.Discard).startKeys(t.Context()), "keys.toml:1: ")
}

func TestPasswordIsNotPrinted(t *testing.T) {
	t.Parallel()

	require.Equal(t, "PostgreSQL database orders on db.example", database("postgres://amends:secret@db.example/orders"))
	require.Equal(t, "PostgreSQL", database("postgres://amends:secret@db.example:port"))
}

func TestTemporalOnly(t *testing.T) {
	t.Parallel()

	p := spawn(t, "--temporal-only", "--ephemeral")

	require.Contains(t, p.announced, "Web UI")
	require.NotContains(t, p.announced, "curl")
	p.stop(t)
	require.Empty(t, p.stderr.String(), "a healthy system is quiet")
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()

	p := spawn(t, "--ephemeral")
	// A request that does not end holds the API open.
	host := strings.TrimPrefix(p.fact(t, "API"), "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte("POST /v1/orders HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + p.apiKey(t) + "\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"))
	require.NoError(t, err)
	status, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", status, "the API waits for the body")

	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	p.awaitLine(t, "Stopping. Ctrl-C again ends it at once.")
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))

	require.EqualError(t, p.wait(t), "signal: interrupt")
}

func TestTakenPortIsOneLine(t *testing.T) {
	t.Parallel()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	addr := l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)

	for flag, tt := range map[string]struct{ value, part string }{
		"--api-addr":      {addr, ""},
		"--services-addr": {addr, ""},
		"--temporal-port": {port, "Temporal: "},
		"--ui-port":       {port, "Temporal: "},
	} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()

			err := tryRun(t, append(freePorts(), "--ephemeral", flag, tt.value)...)

			require.EqualError(t, err, tt.part+"port "+port+" is taken: choose another with "+flag)
		})
	}
}

func TestStoreInUseIsOneLine(t *testing.T) {
	t.Parallel()

	for store, tt := range map[string]struct{ flag, what string }{
		"SQLite":     {"--data", "data folder "},
		"PostgreSQL": {"--postgres", "PostgreSQL database "},
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()

			flags := stores[store](t)
			spawn(t, append(flags, "--temporal-only")...)

			if store == "PostgreSQL" {
				flags[1] = t.TempDir() // another folder, so that only the database is shared
			}
			err := tryRun(t, append(freePorts(), flags...)...)

			require.ErrorContains(t, err, "Temporal: "+tt.what)
			require.ErrorContains(t, err, " is in use by another server: stop that, or choose another with "+tt.flag)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestPartThatFailsIsNamed(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "services"), nil, 0o600)) // where their folder goes

	err := tryRun(t, append(freePorts(), "--data", dir)...)

	require.ErrorContains(t, err, "step services: ")
	require.NotContains(t, err.Error(), "\n")
}

func TestErrorIsOneLine(t *testing.T) {
	t.Parallel()

	p := exec.CommandContext(t.Context(), os.Args[0], append(freePorts(), "--data", t.TempDir(), "--postgres", "postgres://amends:secret@127.0.0.1:1/orders")...)
	p.Env = append(os.Environ(), runsMain+"=1")
	out, err := p.CombinedOutput()

	require.EqualError(t, err, "exit status 1")
	require.Regexp(t, `^amends-dev: Temporal: postgres: failed to connect .*connection refused\n$`, string(out))
	require.NotContains(t, string(out), "secret")
}

func TestFlagsFromTheEnvironment(t *testing.T) {
	t.Parallel()

	env := map[string]string{"AMENDS_TEMPORAL_PORT": "7001", "AMENDS_API_ADDR": "127.0.0.1:7002", "AMENDS_UI_PORT": "7003"}
	f, err := parse([]string{"--ui-port", "7004"}, func(name string) string { return env[name] }, nil, nil)

	require.NoError(t, err)
	require.Equal(t, 7001, f.TemporalPort)
	require.Equal(t, "127.0.0.1:7002", f.APIAddr)
	require.Equal(t, 7004, f.UIPort, "the flag wins")
	require.Equal(t, "127.0.0.1:8090", f.ServicesAddr)
}

func TestHelp(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--help"}, noEnv, &out, &out))
	for _, flag := range []string{
		"--data", "--ephemeral", "--postgres", "--api-addr", "--temporal-port", "--ui-port", "--services-addr", "--temporal-only", "--log-level",
	} {
		require.Contains(t, out.String(), flag)
	}
}

func TestContradictingFlagsAreRefused(t *testing.T) {
	t.Parallel()

	require.Error(t, tryRun(t, "--ephemeral", "--postgres", "postgres://localhost"))
}

func noEnv(string) string { return "" }

// freePorts are flags that let a system listen beside any other.
func freePorts() []string {
	return []string{"--api-addr=127.0.0.1:0", "--services-addr=127.0.0.1:0", "--temporal-port=0", "--ui-port=0"}
}

// tryRun runs the command in this process, for starts that fail; one that does not
// ends when it is ready.
func tryRun(t *testing.T, args ...string) error {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	return run(ctx, args, noEnv, writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "Amends is ready.") {
			cancel()
		}
		return out.Write(p)
	}), &out)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
