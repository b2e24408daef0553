// Package postgres runs a private PostgreSQL server whose commits are durable: fsync is on and every setting that
// matters to durability or speed is PostgreSQL's default. It knows nothing of what is stored there.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/amends-dev/amends/internal/pgserver"
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

// readyLimit limits a server's start.
const readyLimit = time.Minute

// Facts are what a server's user has to know.
type Facts struct {
	// DSN is the URL of the server's database postgres, for a user who may do everything.
	DSN string `json:"dsn"`
}

// Serve runs a server until ctx ends. It calls ready with its [Facts]. When it returns, nothing is left of the server.
func Serve(ctx context.Context, c Config, ready func(any) error) (err error) {
	server, err := pgserver.Make(ctx, c.Dir, "amends-bench-postgres-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Remove()) }()
	run, err := launch(server, c.Settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.stop()) }()
	if err := server.AwaitReady(ctx, readyLimit, run.hasEnded); err != nil {
		return err
	}
	if err := ready(Facts{DSN: server.URL.String()}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-run.ended:
		return errors.New("the server ended by itself")
	}
}

// A postmaster is a server's process.
type postmaster struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func launch(server *pgserver.Server, settings []string) (*postmaster, error) {
	command := server.Command(append([]string{fmt.Sprintf("max_connections=%d", maxConnections), "fsync=on"}, settings...)...)
	p := &postmaster{cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	server.Prepare(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // its log shows how it ends
		close(p.ended)
	}()
	return p, nil
}

func (p *postmaster) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop ends the server: in good order if it can within ten seconds.
func (p *postmaster) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGINT) // fast shutdown; it may have ended
	select {
	case <-p.ended:
		return nil
	case <-time.After(10 * time.Second):
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT) // immediate shutdown
	select {
	case <-p.ended:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the server (process %d) does not end", p.cmd.Process.Pid)
	}
}
