// Package postgres runs a private PostgreSQL server whose commits are durable: fsync is on and every setting that
// matters to durability or speed is PostgreSQL's default. It knows nothing of what is stored there.
package postgres

import (
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
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config says how to run a server.
type Config struct {
	// Dir is where the server's files go, in a folder that is removed again. It must be on a disk.
	Dir string `json:"dir"`
	// Settings are added to the server's command line, such as "commit_delay=100".
	Settings []string `json:"settings"`
}

// maxConnections is more than PostgreSQL's 100: several servers and engines keep pools.
const maxConnections = 400

// Facts are what a server's user has to know.
type Facts struct {
	// DSN is the URL of the server's database postgres, for a user who may do everything.
	DSN string `json:"dsn"`
}

// Serve runs a server until ctx ends. It calls ready with its [Facts]. When it returns, nothing is left of the server.
func Serve(ctx context.Context, c Config, ready func(any) error) (err error) {
	bin, err := Binaries()
	if err != nil {
		return err
	}
	owner, err := serverUser()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "amends-bench-postgres-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	password := rand.Text()
	if err := initialize(ctx, bin, dir, password, owner); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	server, err := launch(bin, dir, port, c.Settings, owner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	dsn := &url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", password),
		Host: net.JoinHostPort("127.0.0.1", port), Path: "/postgres", RawQuery: "sslmode=disable",
	}
	if err := server.awaitReady(ctx, dsn.String()); err != nil {
		return err
	}
	if err := ready(Facts{DSN: dsn.String()}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-server.ended:
		return errors.New("the server ended by itself")
	}
}

func initialize(ctx context.Context, bin, dir, password string, owner *syscall.Credential) error {
	pwfile := filepath.Join(dir, "password")
	if err := os.WriteFile(pwfile, []byte(password), 0o600); err != nil {
		return err
	}
	if owner != nil {
		for _, path := range []string{dir, pwfile} {
			if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres",
		"--auth=password", "--pwfile="+pwfile, "--encoding=UTF8", "--locale=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// server is a postmaster that runs.
type server struct {
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{}
}

func launch(bin, dir, port string, settings []string, owner *syscall.Credential) (*server, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	args := []string{
		"-D", filepath.Join(dir, "data"), "-k", dir, "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", fmt.Sprintf("max_connections=%d", maxConnections), "-c", "fsync=on",
	}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	s := &server{cmd: exec.Command(filepath.Join(bin, "postgres"), args...), log: log, ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Dir = dir
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		_ = s.cmd.Wait() // how it ends is in its log
		close(s.ended)
	}()
	return s, nil
}

// stop ends the server: in good order if it can within ten seconds.
func (s *server) stop() error {
	defer func() { _ = s.log.Close() }()     // only written to by the server
	_ = s.cmd.Process.Signal(syscall.SIGINT) // fast shutdown; it may have ended
	select {
	case <-s.ended:
		return nil
	case <-time.After(10 * time.Second):
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // immediate shutdown
	select {
	case <-s.ended:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the server (process %d) does not end", s.cmd.Process.Pid)
	}
}

// readyLimit bounds a server's start.
const readyLimit = time.Minute

func (s *server) awaitReady(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
			continue
		case <-s.ended:
		case <-ctx.Done():
		}
		said, readErr := io.ReadAll(io.NewSectionReader(s.log, 0, 1<<16))
		return errors.Join(fmt.Errorf("the server does not answer: %w\n%s", err, said), readErr)
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
