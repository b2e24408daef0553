package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// crew are the workers' keepers. Whichever has its worker up takes the next disturbance.
type crew struct {
	due chan disturbance
	// idle gets one from each keeper when due is closed and its worker is up.
	idle chan struct{}
}

// rest waits until every disturbance is over.
func (c *crew) rest(ctx context.Context) error {
	close(c.due)
	for range cap(c.idle) {
		select {
		case <-c.idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// startWorker starts a worker and waits until it polls.
func (c *chaos) startWorker(ctx context.Context) (*process, error) {
	p, err := launch(c.s.t, "worker", binaries.amends, c.s.temporalEnv(), c.s.workerArgs()...)
	if err != nil {
		return nil, err
	}
	for !strings.Contains(p.out.String(), "worker polls") {
		err := pause(ctx, 10*time.Millisecond)
		if err == nil && !p.alive() {
			err = fmt.Errorf("a worker did not start; it printed:\n%s", p.out)
		}
		if err != nil {
			p.kill()
			return nil, err
		}
	}
	return p, nil
}

// keep lets the disturbances happen to the i-th worker, until ctx ends. The worker must not end by itself.
func (c *chaos) keep(ctx context.Context, i int, crew *crew) error {
	due := crew.due
	for {
		worker := c.workers[i]
		select {
		case <-worker.done:
			return fmt.Errorf("worker %d ended by itself: %w; it printed:\n%s", i+1, worker.err, worker.out)
		case <-ctx.Done():
			return nil
		case d, more := <-due:
			if !more {
				due = nil
				crew.idle <- struct{}{}
				continue
			}
			if c.inFlight() > 0 {
				c.hit.Add(1)
			}
			var err error
			if d.stall > 0 {
				err = c.stall(ctx, worker, d)
			} else {
				err = c.replace(ctx, i, d)
			}
			if err != nil {
				return err
			}
		}
	}
}

// stall stops the process and lets it go on later, when others have taken over what it was doing.
func (c *chaos) stall(ctx context.Context, p *process, d disturbance) error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := pause(ctx, d.stall); err != nil {
		return err
	}
	c.stalls.Add(1)
	return p.cmd.Process.Signal(syscall.SIGCONT)
}

// replace kills the i-th worker and starts another one.
func (c *chaos) replace(ctx context.Context, i int, d disturbance) error {
	c.workers[i].kill()
	c.kills.Add(1)
	if err := flawless(c.workers[i]); err != nil {
		return err
	}
	if err := pause(ctx, d.down); err != nil {
		return err
	}
	p, err := c.startWorker(ctx)
	if err == nil {
		c.workers[i] = p
	}
	return err
}

// flawless looks for what a worker never prints, whatever happens to it.
func flawless(p *process) error {
	for _, flaw := range []string{"DATA RACE", "panic:", "TMPRL1100"} {
		if strings.Contains(p.out.String(), flaw) {
			return fmt.Errorf("a %s printed %q:\n%s", p.name, flaw, p.out)
		}
	}
	return nil
}
