// Package load places orders at a rate, whatever becomes of those before, follows each to its end, and measures. It is
// a client of the API like any other.
package load

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/terminal"
)

// Options say what to place, and how fast.
type Options struct {
	// Rate is how many orders to start in a second.
	Rate float64
	// Duration is how long to start orders, and Settle how long to wait for their ends after that.
	Duration, Settle time.Duration
	// Mix are the orders, each as often as its share says.
	Mix []Share
	// Out gets everything that is shown. Width is how many columns it has now, when it is a terminal; otherwise nil.
	Out   io.Writer
	Width func() int
}

// Share is an order, and how many parts of the mix it is.
type Share struct {
	Order client.OrderRequest
	Parts int
}

const (
	redraw     = 250 * time.Millisecond
	plainPause = 5 * time.Second
	// longestWait is how long the API waits with one answer at most.
	longestWait = time.Minute
)

// Run places orders until the duration is over or ctx ends, and shows what came of them. Its error says how many could
// not be placed or followed, or did not end in time; that ctx ended is none.
func Run(ctx context.Context, c *client.Client, o Options) error {
	r := &run{Options: o, client: c, began: time.Now(), ended: map[client.State]int{}}
	fmt.Fprintf(o.Out, "%g orders a second for %s\n", o.Rate, o.Duration)
	stop := r.show()
	settling, cancel := context.WithTimeout(ctx, o.Duration+o.Settle)
	defer cancel()
	var orders sync.WaitGroup
	r.start(ctx, func(order client.OrderRequest) {
		orders.Go(func() { r.one(settling, order) })
	})
	orders.Wait()
	stop()
	fmt.Fprintf(o.Out, "\n%s", r.report())
	return r.verdict(ctx)
}

// run is one run. mu guards what follows it.
type run struct {
	Options
	client *client.Client
	began  time.Time

	mu sync.Mutex
	// placed are the starts that were asked for, inTime those that were answered before stopped, which is when the starts
	// ended; zero while they go on.
	placed, inTime int
	stopped        time.Time
	// inFlight are those that did not end yet, ended those that did, by state, and failed those that could not be placed
	// or followed, the last one for that reason.
	inFlight, failed int
	ended            map[client.State]int
	reason           error
	// accept is how long each start took to be answered, end how long each saga took from start to end.
	accept, end []time.Duration
}

// start calls place for each order when its time has come, however late the ones before are.
func (r *run) start(ctx context.Context, place func(client.OrderRequest)) {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stopped = time.Now()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := r.began.Add(min(time.Duration(float64(n)/r.Rate*float64(time.Second)), r.Duration))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
			if due.Sub(r.began) == r.Duration {
				return
			}
			r.mu.Lock()
			r.placed++
			r.inFlight++
			r.mu.Unlock()
			place(r.pick())
		case <-ctx.Done():
			return
		}
	}
}

// pick chooses an order at random, by the shares.
func (r *run) pick() client.OrderRequest {
	parts := 0
	for _, s := range r.Mix {
		parts += s.Parts
	}
	at := rand.IntN(parts) //nolint:gosec // a mix need not be unpredictable
	for _, s := range r.Mix {
		if at -= s.Parts; at < 0 {
			return s.Order
		}
	}
	panic("load: a mix without parts")
}

// one places an order and follows it to its end. One that has not ended when ctx does stays in flight.
func (r *run) one(ctx context.Context, order client.OrderRequest) {
	v, err := r.follow(ctx, order)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.inFlight--
		r.ended[v.State]++
		r.end = append(r.end, v.EndedAt.Sub(v.StartedAt))
	case ctx.Err() == nil:
		r.inFlight--
		r.failed++
		r.reason = err
	}
}

// follow asks for the order once, and then, with the same key, for its end. The API gets that told by Temporal; whoever
// asks for news of an order lets it be looked at twice a second, which would slow down what is measured.
func (r *run) follow(ctx context.Context, order client.OrderRequest) (*client.Order, error) {
	began, key := time.Now(), crand.Text()
	started, err := r.client.PlaceOrder(ctx, order, client.StartOptions{Key: key})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.accept = append(r.accept, time.Since(began))
	if r.stopped.IsZero() {
		r.inTime++
	}
	r.mu.Unlock()
	for started.Ended == nil {
		if started, err = r.client.PlaceOrder(ctx, order, client.StartOptions{Key: key, Wait: longestWait}); err != nil {
			return nil, err
		}
	}
	return started.Ended, nil
}

// verdict is nil if every order was placed and ended, as far as somebody wanted to know.
func (r *run) verdict(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	if r.failed > 0 {
		errs = append(errs, fmt.Errorf("%d orders could not be placed or followed, one because of: %w", r.failed, r.reason))
	}
	if r.inFlight > 0 && ctx.Err() == nil {
		errs = append(errs, fmt.Errorf("%d orders did not end within %s", r.inFlight, r.Settle))
	}
	return errors.Join(errs...)
}

// show shows the progress until stop is called: in place on a terminal, otherwise as a line every few seconds.
func (r *run) show() (stop func()) {
	if r.Width == nil {
		return terminal.Repeat(plainPause, func() { fmt.Fprintln(r.Out, strings.Join(r.lines(), "; ")) })
	}
	block := &terminal.Block{Out: r.Out, Width: r.Width}
	return terminal.Repeat(redraw, func() {
		_ = block.Draw(strings.Join(r.lines(), "\n") + "\n") // a terminal that is gone ends the program
	})
}
