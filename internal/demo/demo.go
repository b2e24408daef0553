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
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/examples"
	"github.com/amends-dev/amends/internal/terminal"
)

// Options say what to run against, and how.
type Options struct {
	// API is the API, as an admin.
	API *client.Client
	// Services is the base URL of the step services.
	Services string
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

// entry is one order of the demo.
type entry struct {
	scenario
	// key names the request, and decides the order's ID.
	key, id string
	order   client.OrderRequest
	// view is as last seen; placed is false before it is first seen.
	view   client.Order
	placed bool
}

// demo is one run. mu guards the entries' view and placed.
type demo struct {
	Options
	services *stepServices

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
	d := &demo{Options: o, services: newStepServices(o.Services)}
	if err := d.ready(ctx); err != nil {
		return err
	}
	caller, err := d.caller(ctx)
	if err != nil {
		return err
	}
	faults, err := d.services.takeFaults(ctx)
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
	fmt.Fprintf(o.Out, "%d orders to %s, seed %d\n", o.Orders, d.url(), o.Seed)
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

// url is the API's.
func (d *demo) url() string { return strings.TrimRight(d.API.URL("/"), "/") }

// ready tells whether the API and the services answer, and can work.
func (d *demo) ready(ctx context.Context) error {
	_, err := d.API.Ready(ctx)
	if errors.Is(err, client.ErrUnreachable) {
		return nothingAnswers(d.url())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.url(), err)
	}
	err = d.services.ready(ctx)
	if _, answered := errors.AsType[*refusal](err); err != nil && !answered {
		return nothingAnswers(d.services.base)
	}
	return err
}

func nothingAnswers(url string) error {
	return fmt.Errorf("nothing answers at %s: type \"make run\" in another terminal first, or \"make up\", or name a running system with --api and --services", url)
}

// caller is the ID under which the API knows the demo.
func (d *demo) caller(ctx context.Context) (string, error) {
	caller, err := d.API.Caller(ctx)
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusUnauthorized {
		return "", fmt.Errorf("the API at %s does not know the demo: give it a key with --api-key, or run it in the folder of make run", d.url())
	}
	if err != nil {
		return "", err
	}
	return caller.ID, nil
}

// choose makes the entries.
func (d *demo) choose(caller string, faults bool) error {
	token := strings.ToLower(crand.Text()[:5])
	for i, s := range mix(rand.New(rand.NewPCG(d.Seed, 0)), d.Orders, faults) { //nolint:gosec // a mix need not be unpredictable
		o, err := examples.Request(s.example)
		if err != nil {
			return err
		}
		key := fmt.Sprintf("demo-%s-%02d", token, i+1)
		if s.voucher {
			o.Voucher = fmt.Sprintf("SPRING-%04d", 1+rand.IntN(9999)) //nolint:gosec // nor need a voucher
		}
		d.entries = append(d.entries, &entry{scenario: s, key: key, id: api.IDOf(caller, "/v1/orders", key), order: o})
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
		return fmt.Errorf("interrupted: orders that were placed go on without the demo, as %s/v1/orders shows", d.url())
	case errors.Is(err, context.DeadlineExceeded) && bounded.Err() != nil:
		return nil // the report tells which
	}
	return err
}

// play places one order, with its fault, and stays with it to its end.
func (d *demo) play(ctx context.Context, e *entry) (err error) {
	if e.fault != nil {
		f := *e.fault
		f.Match = "order-" + e.id + ":"
		if err := ctx.Err(); err != nil {
			return err
		}
		// Also after Ctrl-C. Setting it is not cut off either: what was cut off could come after what clears it.
		defer func() {
			if e := whole(ctx, d.services.clearFault, f); e != nil {
				err = errors.Join(err, fmt.Errorf("clear the fault of %s: %w", f.Step, e))
			}
		}()
		if err := whole(ctx, d.services.setFault, f); err != nil {
			return fmt.Errorf("set a fault of %s: %w", f.Step, err)
		}
	}
	if _, err := d.API.PlaceOrder(ctx, e.order, client.StartOptions{Key: e.key}); err != nil {
		return fmt.Errorf("place order %s: %w", e.id, err)
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
	for decided := false; ; {
		v, err := d.API.Order(ctx, e.id)
		if err != nil {
			return fmt.Errorf("order %s: %w", e.id, err)
		}
		d.note(e, *v)
		if v.State.Ended() {
			return nil
		}
		if v.Links.Approval != "" && !decided {
			if err := d.decide(ctx, e); err != nil {
				return fmt.Errorf("order %s: %w", e.id, err)
			}
			decided = true
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *demo) note(e *entry, v client.Order) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.view, e.placed = v, true
}

// person is who decides in the demo's name.
const person = "the demo"

func (d *demo) decide(ctx context.Context, e *entry) (err error) {
	switch e.decision {
	case approve, reject:
		_, err = d.API.DecideOrder(ctx, e.id, client.ApprovalRequest{Approved: e.decision == approve, By: person})
	case cancel:
		_, err = d.API.CancelOrder(ctx, e.id, client.CancelRequest{By: person})
	case none:
	}
	return err
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
		fmt.Fprintf(d.Out, "%s (%s) %s\n", terminal.Printable(e.id), e.name, terminal.Printable(text))
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
