package pgtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a server to test on. If we started it, lifeline is the input of the script that runs it:
// without a reference the garbage collector would close it, and end the server.
type server struct {
	url      *url.URL
	lifeline io.Closer
	log      *os.File
}

var errNotInstalled = errors.New("no PostgreSQL server is installed here")

// script runs the server until it ends or the script's standard input does, then removes its folder.
// The test process holds the other end of that input, so the server ends with it, however it ends.
const script = `
"$1/postgres" -D "$2/data" -k "$2" -p "$3" \
	-c listen_addresses=127.0.0.1 -c max_connections=1000 -c shared_buffers=32MB \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off &
server=$!
exec 3<&0 # a command in the background gets an empty standard input
{ while read -r line; do :; done; kill -QUIT $server; } <&3 &
watcher=$!
wait $server
kill $watcher
rm -rf "$2"
`

// startServer starts a server on a free port. Somebody may take the port first, so it tries thrice.
func startServer(ctx context.Context) (*server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	var failures error
	for range 3 {
		s, err := startOn(ctx, bin, owner)
		if err == nil {
			return s, nil
		}
		failures = errors.Join(failures, err)
	}
	return nil, failures
}

// startOn makes a database cluster in a temporary folder and runs a server on it.
func startOn(ctx context.Context, bin string, owner account) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	if err := initialize(bin, dir, password, owner); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &server{url: &url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", password),
		Host: net.JoinHostPort("127.0.0.1", port), Path: "/postgres", RawQuery: "sslmode=disable",
	}}
	if err := s.launch(bin, dir, port, owner); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.awaitReady(ctx, dir); err != nil {
		return nil, errors.Join(err, s.lifeline.Close())
	}
	return s, nil
}

func initialize(bin, dir, password string, owner account) error {
	pwfile := filepath.Join(dir, "password")
	if err := os.WriteFile(pwfile, []byte(password), 0o600); err != nil {
		return err
	}
	if err := owner.own(dir, pwfile); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres",
		"--auth=password", "--pwfile="+pwfile, "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr = owner.attributes()
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// launch starts the script and leaves it running: it ends after this process, so nobody waits for it.
func (s *server) launch(bin, dir, port string, owner account) error {
	var err error
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", script, "pgtest", bin, dir, port)
	// Not the test's own output: go test waits until nobody holds that any more.
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = owner.attributes()
	cmd.Dir = dir
	if s.lifeline, err = cmd.StdinPipe(); err != nil {
		return err
	}
	return cmd.Start()
}

func (s *server) awaitReady(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url.String())
		if err == nil {
			return conn.Close(ctx)
		}
		_, ended := os.Stat(dir)
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = ctx.Err()
		}
		if ended != nil {
			said, readErr := io.ReadAll(io.NewSectionReader(s.log, 0, 1<<16))
			return errors.Join(fmt.Errorf("the server does not answer: %w\n%s", err, said), readErr)
		}
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// binaries returns the folder of initdb and postgres: the one pg_config names, else that of the
// newest version where Debian puts them, else the one in PATH.
func binaries() (string, error) {
	var candidates []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	candidates = append(candidates, newest("/usr/lib/postgresql/*/bin")...)
	if initdb, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(initdb))
	}
	for _, dir := range candidates {
		_, noInitdb := os.Stat(filepath.Join(dir, "initdb"))
		_, noPostgres := os.Stat(filepath.Join(dir, "postgres"))
		if noInitdb == nil && noPostgres == nil {
			return dir, nil
		}
	}
	return "", errNotInstalled
}

// newest returns the folders that match pattern, the highest version first.
func newest(pattern string) []string {
	dirs, _ := filepath.Glob(pattern) // only a malformed pattern is an error
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // another name counts as 0
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return dirs
}
