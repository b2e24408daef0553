// Package pgserver makes private PostgreSQL servers from the programs that are installed here: for tests, which need them
// fast, and for measurements, which need them durable. It knows how to find the programs, lay out a server's folder and
// check whether the server answers. It does not know what is stored there, and leaves starting and ending the process to
// its callers.
package pgserver

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
	"time"

	"github.com/jackc/pgx/v5"
)

// A Server is a PostgreSQL server with a folder, a port of 127.0.0.1 and a superuser of its own.
type Server struct {
	// URL is the postgres:// URL of its database postgres, for the superuser.
	URL *url.URL
	// Dir is the folder of all its files. The process of Command works in it.
	Dir string
	// Log is the file for the output of its process.
	Log *os.File

	bin, port string
	owner     account
}

// Make lays out a new server in a new folder of parent, os.TempDir() if that is empty, whose name begins with prefix. The
// arguments are added to those of initdb. It returns ErrNotInstalled without PostgreSQL. The caller must Remove the server.
func Make(ctx context.Context, parent, prefix string, initdb ...string) (*Server, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	s := &Server{Dir: dir, bin: bin, port: port, owner: owner, URL: &url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", password),
		Host: net.JoinHostPort("127.0.0.1", port), Path: "/postgres", RawQuery: "sslmode=disable",
	}}
	if err := s.initialize(ctx, password, initdb); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

func (s *Server) initialize(ctx context.Context, password string, args []string) (err error) {
	if s.Log, err = os.Create(filepath.Join(s.Dir, "log")); err != nil {
		return err
	}
	pwfile := filepath.Join(s.Dir, "password")
	if err := os.WriteFile(pwfile, []byte(password), 0o600); err != nil {
		return err
	}
	if err := s.owner.own(s.Dir, pwfile); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), append([]string{
		"-D", s.data(), "-U", "postgres", "--auth=password", "--pwfile=" + pwfile, "--encoding=UTF8", "--locale=C",
	}, args...)...)
	cmd.SysProcAttr = s.owner.attributes()
	cmd.Dir = s.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// Command returns the server's command line, with settings such as "fsync=on".
func (s *Server) Command(settings ...string) []string {
	args := []string{filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.Dir, "-p", s.port, "-c", "listen_addresses=127.0.0.1"}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// Prepare sets up the process, which runs the command line of Command, to write to Log and to run as a user that
// PostgreSQL accepts, in a process group of its own, where Ctrl-C does not reach it.
func (s *Server) Prepare(cmd *exec.Cmd) {
	cmd.Stdout, cmd.Stderr = s.Log, s.Log
	cmd.SysProcAttr = s.owner.attributes()
	cmd.Dir = s.Dir
}

// AwaitReady waits until the server answers, limit at most. The error has the server's log. It returns at once when ended
// reports that the process has ended.
func (s *Server) AwaitReady(ctx context.Context, limit time.Duration, ended func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL.String())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
			if !ended() {
				continue
			}
		case <-ctx.Done():
		}
		said, readErr := io.ReadAll(io.NewSectionReader(s.Log, 0, 1<<16))
		return errors.Join(fmt.Errorf("the server does not answer: %w\n%s", err, said), readErr)
	}
}

// Remove deletes the server's folder. Its process must have ended.
func (s *Server) Remove() error {
	if s.Log != nil {
		_ = s.Log.Close() // only the server writes to it
	}
	return os.RemoveAll(s.Dir)
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
