// Package process runs parts of this program as processes of their own, so that the processor time of each can be told.
// A part is a role: the same binary, started with the role's name. It reads its configuration, one JSON value, from its
// standard input and answers on its standard output with one JSON value when it is ready. It ends when its standard
// input does, so it never outlives the process that started it. It knows nothing of what the roles do.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// RoleArg is the first of the two arguments with which a role's process is started; the second is the role.
const RoleArg = "role"

// Process is a role that runs.
type Process struct {
	role     string
	cmd      *exec.Cmd
	lifeline io.Closer
	// ended is closed when the process has ended; err is how.
	ended chan struct{}
	err   error
}

// Start starts a role with a configuration and reads into ready what it answers when it is ready. env is added to this
// process's environment. The caller must stop what was started.
func Start(ctx context.Context, role string, config, ready any, env []string, stderr io.Writer) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{role: role, cmd: exec.Command(self, RoleArg, role), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = stderr
	// A group of its own, where Ctrl-C does not reach it: it ends after us, in its own way.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.lifeline = stdin
	// Not StdoutPipe: Wait would close that while it is still read.
	stdout, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdout.Close() }() // only read from
	p.cmd.Stdout = out
	err = p.cmd.Start()
	_ = out.Close() // the process has its own
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	if err := p.awaitReady(ctx, stdin, stdout, config, ready); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", role, err), p.Stop(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// startLimit bounds how long a role may take to get ready.
const startLimit = 2 * time.Minute

func (p *Process) awaitReady(ctx context.Context, stdin io.Writer, stdout io.ReadCloser, config, ready any) error {
	if err := json.NewEncoder(stdin).Encode(config); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	// A read that waits ends when its file is closed.
	stop := context.AfterFunc(ctx, func() { _ = stdout.Close() })
	defer stop()
	if err := json.NewDecoder(stdout).Decode(ready); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("it ended before it was ready: %w", err)
	}
	return nil
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// stopLimit bounds how long a role may take to end in its own way.
const stopLimit = 30 * time.Second

// Stop ends the process and waits until it has ended. A process that does not end in its own way is killed.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.lifeline.Close() // closed already when it is stopped twice
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	select {
	case <-p.ended:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill() // it may have ended meanwhile
		<-p.ended
		return fmt.Errorf("%s did not end by itself and was killed", p.role)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.role, p.err)
	}
	return nil
}
