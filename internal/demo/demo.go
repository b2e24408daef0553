// Package demo shows a running system at work: it places a mix of orders, lets services fail for some of them, decides
// what waits for a person, and checks how every order ended and whether the books balance. It is a client like any
// other and knows the system by its HTTP interfaces only.
package demo

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

	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/examples"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/terminal"
)

// Options say what to run against, and how.
type Options struct {
	// API and Services are base URLs.
	API, Services string
	// Key is the API key of an admin; empty for an API that asks nobody.
	Key string
	// Orders is how many to place.
	Orders int
	// Seed decides the mix and its order. IDs and vouchers are new in every run.
	Seed uint64
	// Timeout is how long all orders together may take to end.
	Timeout time.Duration
	// Out gets everything that is shown.
	Out io.Writer
	// Width is how many columns Out has now, when it is a terminal: then progress is drawn in place and lines are cut.
	// nil for what is no terminal.
	Width func() int
	// Poll is the pause between two looks at an order. Default 300 ms.
	Poll time.Duration
}

// patience is how long the API may be away while orders are watched, as when it is restarted.
const patience = 15 * time.Second

// entry is one order of the demo.
type entry struct {
	scenario
	// key names the request, and decides the order's ID.
	key   string
	order order.Order
	// view is as last seen; placed is false before it is first seen.
	view   view
	placed bool
}

// demo is one run. mu guards the entries' view and placed.
type demo struct {
	Options
	client *client

	mu      sync.Mutex
	entries []*entry
}

// Run places the orders, waits until all have ended and shows what became of them. It returns an error that says why
// in one line when nothing is reachable, an order did not end as its scenario says, or books do not balance. When ctx
// ends it clears the faults that it set; orders that were placed go on without it.
func Run(ctx context.Context, o Options) error {
	if o.Orders < 1 {
		return fmt.Errorf("%d orders: place at least one", o.Orders)
	}
	if o.Poll == 0 {
		o.Poll = 300 * time.Millisecond
	}
	d := &demo{Options: o, client: newClient(o.API, o.Services, o.Key)}
	if err := d.client.ready(ctx); err != nil {
		return err
	}
	caller, err := d.client.caller(ctx)
	if err != nil {
		return err
	}
	faults, err := d.client.faults(ctx)
	if err != nil {
		return err
	}
	before, err := d.books(ctx)
	if err != nil {
		return err
	}
	if err := d.choose(caller, faults); err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "%d orders to %s, seed %d\n", o.Orders, d.client.api, o.Seed)
	if !faults {
		fmt.Fprintln(o.Out, "The services take no fault settings (amends services --faults), so none of them fails on purpose.")
	}
	if err := d.run(ctx); err != nil {
		return err
	}
	after, err := d.books(ctx)
	if err != nil {
		return err
	}
	return d.report(before, after)
}

// choose makes the entries.
func (d *demo) choose(caller string, faults bool) error {
	token := strings.ToLower(crand.Text()[:5])
	for i, s := range mix(rand.New(rand.NewPCG(d.Seed, 0)), d.Orders, faults) { //nolint:gosec // a mix need not be unpredictable
		o, err := examples.Order(s.example)
		if err != nil {
			return err
		}
		key := fmt.Sprintf("demo-%s-%02d", token, i+1)
		o.ID = order.ID(api.IDOf(caller, ordersPath, key))
		if s.voucher {
			o.Voucher = fmt.Sprintf("SPRING-%04d", 1+rand.IntN(9999)) //nolint:gosec // nor need a voucher
		}
		d.entries = append(d.entries, &entry{scenario: s, key: key, order: o})
	}
	return nil
}

// run plays every entry and shows the progress. Entries that run out of time are left as last seen.
func (d *demo) run(ctx context.Context) error {
	bounded, stop := context.WithTimeout(ctx, d.Timeout)
	defer stop()
	shown := d.showProgress()
	g, playing := errgroup.WithContext(bounded)
	for _, e := range d.entries {
		g.Go(func() error { return d.play(playing, e) })
	}
	err := g.Wait()
	shown()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: orders that were placed go on without the demo, as %s/v1/orders shows", d.client.api)
	case errors.Is(err, context.DeadlineExceeded) && bounded.Err() != nil:
		return nil // the report tells which
	}
	return err
}

// play places one order, with its fault, and stays with it to its end.
func (d *demo) play(ctx context.Context, e *entry) (err error) {
	if e.fault != nil {
		f := *e.fault
		f.Match = "order-" + string(e.order.ID) + ":"
		if err := ctx.Err(); err != nil {
			return err
		}
		// Also after Ctrl-C. Setting it is not cut off either: what was cut off could come after what clears it.
		defer func() {
			if e := whole(ctx, d.client.clearFault, f); e != nil {
				err = errors.Join(err, fmt.Errorf("clear the fault of %s: %w", f.Step, e))
			}
		}()
		if err := whole(ctx, d.client.setFault, f); err != nil {
			return fmt.Errorf("set a fault of %s: %w", f.Step, err)
		}
	}
	if err := d.client.place(ctx, e.key, e.order); err != nil {
		return fmt.Errorf("place order %s: %w", e.order.ID, err)
	}
	return d.watch(ctx, e)
}

// whole lets the request about the fault come to its end, though ctx may end meanwhile.
func whole(ctx context.Context, request func(context.Context, fault) error, f fault) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	return request(ctx, f)
}

// watch looks at the order until it has ended, and decides it when it waits for that.
func (d *demo) watch(ctx context.Context, e *entry) error {
	pause := time.NewTicker(d.Poll)
	defer pause.Stop()
	for decided, seen := false, time.Now(); ; {
		v, err := d.client.order(ctx, e.order.ID)
		if err == nil {
			seen = time.Now()
			d.note(e, v)
			if v.ended() {
				return nil
			}
			if v.Links.Approval != "" && !decided {
				err = d.decide(ctx, e)
				decided = err == nil
			}
		}
		if err != nil && ctx.Err() == nil && (!away(err) || time.Since(seen) > patience) {
			return fmt.Errorf("order %s: %w", e.order.ID, err)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *demo) note(e *entry, v view) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.view, e.placed = v, true
}

func (d *demo) decide(ctx context.Context, e *entry) error {
	switch e.decision {
	case approve, reject:
		return d.client.decide(ctx, e.order.ID, e.decision == approve)
	case cancel:
		return d.client.cancel(ctx, e.order.ID)
	case none:
	}
	return nil
}

// report shows the table and the books, and sums up what is wrong.
func (d *demo) report(before, after []account) error {
	width := 0
	if d.Width != nil {
		width = d.Width()
	}
	fmt.Fprintln(d.Out)
	terminal.WriteTable(d.Out, width, orderColumns, d.rows())
	fmt.Fprintln(d.Out)

	var astray int
	for _, e := range d.entries {
		text := e.astray()
		if text != "" {
			astray++
		} else if text = e.unharmed(); text == "" {
			continue
		}
		fmt.Fprintf(d.Out, "%s (%s) %s\n", e.order.ID, e.name, terminal.Printable(text))
	}
	if astray == 0 {
		fmt.Fprintf(d.Out, "All %d orders ended as they should.\n", len(d.entries))
	}
	if link := d.link(); link != "" {
		fmt.Fprintf(d.Out, "One that was undone: %s\n", terminal.Printable(link))
	}
	books := d.compare(before, after)
	writeBooks(d.Out, width, books)

	var wrong []string
	if astray > 0 {
		wrong = append(wrong, fmt.Sprintf("%d of %d orders did not end as their scenario says", astray, len(d.entries)))
	}
	if len(books.findings) > 0 {
		wrong = append(wrong, "the books do not balance")
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// link leads to the order of which most was undone; empty if there is none, or no Web UI.
func (d *demo) link() (link string) {
	most := 0
	for _, e := range d.entries {
		if _, undone := e.counted(); undone > most && e.view.Links.WebUI != "" {
			most, link = undone, e.view.Links.WebUI
		}
	}
	return link
}
