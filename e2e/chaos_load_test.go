package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/internal/services"
)

// chaos is a run of the crash test.
type chaos struct {
	s        *system
	plan     chaosPlan
	client   *http.Client
	temporal client.Client
	began    time.Time
	workers  []*process
	// calm is set when nothing goes wrong any more: the last worker is back and the faults are cleared. harm guards it.
	harm     sync.RWMutex
	calm     bool
	calmedAt time.Time
	// slots has one place for each saga that may be in flight.
	slots chan struct{}

	accepted, ended, kills, stalls, cancels atomic.Int64
	// hit are the kills and stalls with sagas in flight.
	hit atomic.Int64

	mu       sync.Mutex
	outcomes []*outcome
	faults   map[string]int
}

// outcome is what became of an errand.
type outcome struct {
	*errand
	// canceled: a cancel was sent and may have been taken. told: it was said to be taken.
	canceled, told atomic.Bool
	// end is when it ended; zero if that took too long.
	end       time.Time
	completed bool
}

const (
	// endWithin is how long after the last fault every saga must have ended.
	endWithin = time.Minute
	// mostInFlight is more than the load keeps in flight if all goes well. Where sagas take longer, it waits for them.
	mostInFlight = 150
	// stuckAfter is how long the load waits for any saga to end.
	stuckAfter = 2 * time.Minute
)

func (c *chaos) inFlight() int64 { return c.accepted.Load() - c.ended.Load() }

// load asks for the sagas and lets the disturbances happen. It returns when the last of these is over. A saga that has
// not ended when inTime has is given up.
func (c *chaos) load(ctx, inTime context.Context, sagas *errgroup.Group, crew *crew) error {
	due := c.plan.disturbances
	for i, e := range c.plan.errands {
		if err := pause(ctx, e.wait); err != nil {
			return err
		}
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(stuckAfter):
			return fmt.Errorf("none of %d sagas ended within %s", c.inFlight(), stuckAfter)
		}
		sagas.Go(func() error {
			defer func() { <-c.slots }()
			return c.run(ctx, inTime, e)
		})
		for ; len(due) > 0 && due[0].after <= i; due = due[1:] {
			if err := c.disturb(ctx, crew, due[0]); err != nil {
				return err
			}
		}
	}
	return crew.rest(ctx)
}

// disturb hands the disturbance to a worker that is up.
func (c *chaos) disturb(ctx context.Context, crew *crew, d disturbance) error {
	if err := pause(ctx, d.wait); err != nil {
		return err
	}
	select {
	case crew.due <- d:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clear ends all faults and counts those that were met.
func (c *chaos) clear(ctx context.Context) error {
	c.harm.Lock()
	defer c.harm.Unlock()
	for _, name := range serviceNames {
		url := c.s.servicesURL + "/" + name + "/faults"
		var left []services.Fault
		if err := c.call(ctx, http.MethodGet, url, nil, &left, http.StatusOK); err != nil {
			return err
		}
		if err := c.call(ctx, http.MethodDelete, url, nil, nil, http.StatusNoContent); err != nil {
			return err
		}
		for _, f := range left {
			c.count(f, -f.Times)
		}
	}
	c.calm, c.calmedAt = true, time.Now()
	return nil
}

func (c *chaos) count(f services.Fault, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[kindOfFault(f)] += times
}

// run asks for the saga, does to it what its errand says and waits for its end; then it runs the errand that follows.
func (c *chaos) run(ctx, inTime context.Context, e *errand) error {
	o := &outcome{errand: e}
	if err := c.setFaults(ctx, e); err != nil {
		return err
	}
	if err := c.ask(inTime, e); err != nil {
		return err
	}
	c.accepted.Add(1)

	inFlight, end := context.WithCancel(ctx)
	defer end()
	var others errgroup.Group
	for _, after := range e.cancels {
		others.Go(func() error { return c.cancel(ctx, inFlight, o, after) })
	}
	if e.message != nil {
		others.Go(func() error { return c.tell(ctx, inFlight, e) })
	}
	err := c.awaitEnd(inTime, o)
	end()
	if err := errors.Join(err, others.Wait()); err != nil {
		return err
	}
	c.mu.Lock()
	c.outcomes = append(c.outcomes, o)
	c.mu.Unlock()
	if e.then == nil || !o.completed || c.isCalm() {
		return nil
	}
	return c.run(ctx, inTime, e.then)
}

func (c *chaos) isCalm() bool {
	c.harm.RLock()
	defer c.harm.RUnlock()
	return c.calm
}

// setFaults sets the errand's faults, unless all faults have been cleared.
func (c *chaos) setFaults(ctx context.Context, e *errand) error {
	c.harm.RLock()
	defer c.harm.RUnlock()
	if c.calm {
		return nil
	}
	for _, p := range participants[e.collection] {
		for _, f := range e.faults {
			if f.Step != p.step {
				continue
			}
			url := c.s.servicesURL + "/" + p.service + "/faults/" + p.step
			if err := c.call(ctx, http.MethodPut, url, f, nil, http.StatusNoContent); err != nil {
				return err
			}
			c.count(f, f.Times)
		}
	}
	return nil
}

// ask asks for the saga until it is accepted: the same request is the same saga.
func (c *chaos) ask(ctx context.Context, e *errand) error {
	return c.insist(ctx, c.s.apiURL+"/v1/"+e.collection, e.request, func(status int, _ []byte) bool { return status == http.StatusAccepted })
}

// cancel cancels the saga, if it is in flight at that time. It asks again when no worker answered.
func (c *chaos) cancel(ctx, inFlight context.Context, o *outcome, after time.Duration) error {
	_ = pause(inFlight, after) // its end shows in inFlight
	if over(inFlight) {
		return nil
	}
	o.canceled.Store(true)
	return c.insist(ctx, c.s.apiURL+o.path()+"/cancel", byAda, func(status int, answer []byte) bool {
		if status == http.StatusAccepted && !bytes.Contains(answer, []byte(`"undecided":true`)) {
			c.cancels.Add(1)
			o.told.Store(true)
		}
		return status == http.StatusAccepted || status == http.StatusConflict || over(inFlight)
	})
}

// tell tells the saga what it waits for, as soon as it waits for it, unless it ends before.
func (c *chaos) tell(ctx, inFlight context.Context, e *errand) error {
	return c.insist(ctx, c.s.apiURL+e.path()+e.tell, e.message, func(status int, _ []byte) bool {
		return status == http.StatusAccepted || over(inFlight)
	}, http.StatusConflict)
}

// insist posts until it is done. What is not the caller's fault is asked again after a while; so is what was answered
// with that status.
func (c *chaos) insist(ctx context.Context, url string, body any, done func(status int, answer []byte) bool, again ...int) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	key := keyOf(body)
	for {
		status, answer, err := exchange(ctx, c.client, http.MethodPost, url, key, encoded)
		switch {
		case err != nil:
			return err
		case status == http.StatusConflict && bytes.Contains(answer, []byte(`"in_flight"`)):
		case done(status, answer):
			return nil
		case status < 500 && !slices.Contains(again, status):
			return fmt.Errorf("POST %s: %d %s", url, status, answer)
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

// awaitEnd waits for the end of the workflow, but no longer than ctx lasts.
func (c *chaos) awaitEnd(ctx context.Context, o *outcome) error {
	err := c.temporal.GetWorkflow(ctx, workflowID(o.path()), "").Get(ctx, nil)
	if over(ctx) {
		return nil
	}
	var closed *temporal.WorkflowExecutionError
	if err != nil && !errors.As(err, &closed) {
		return fmt.Errorf("wait for %s: %w", o.path(), err)
	}
	o.end, o.completed = time.Now(), err == nil
	c.ended.Add(1)
	return nil
}

// call sends a request and requires that status; it decodes the answer into out unless that is nil.
func (c *chaos) call(ctx context.Context, method, url string, in, out any, want int) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	status, answer, err := exchange(ctx, c.client, method, url, "", body)
	switch {
	case err != nil:
		return err
	case status != want:
		return fmt.Errorf("%s %s: %d %s", method, url, status, answer)
	case out == nil:
		return nil
	}
	return json.Unmarshal(answer, out)
}

// pause returns after d, or with ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func over(ctx context.Context) bool { return ctx.Err() != nil }
