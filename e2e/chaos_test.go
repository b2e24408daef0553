package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/pgtest"
)

var (
	chaosSagas = flag.Int("chaos.sagas", 300, "how many orders TestChaos places")
	chaosKills = flag.Int("chaos.kills", 10, "how often TestChaos kills a worker")
	chaosSeed  = flag.Uint64("chaos.seed", 0, "what TestChaos draws its plan from; 0 for any")
)

// TestChaos places orders on two workers while these are killed and stalled at random moments, replies get lost, calls
// arrive late and customers cancel. Every saga that was accepted ends, done or undone, within a minute of the last
// fault; then each service has of each saga what its end says, and all books balance.
//
// The seed decides what is asked for and what goes wrong, but not what happens at the same time as what.
func TestChaos(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	require.Positive(t, *chaosKills)
	require.LessOrEqual(t, *chaosSagas, 9_999, "there are no more vouchers")
	t.Logf("again: go test ./e2e -count=1 -run '^TestChaos$' -v -timeout 60m -chaos.sagas=%d -chaos.kills=%d -chaos.seed=%d",
		*chaosSagas, *chaosKills, seed)

	c := startChaos(t, newChaosPlan(t, seed, *chaosSagas, *chaosKills))
	require.NoError(t, c.play(t.Context()))
	l, err := c.examine(t.Context())
	require.NoError(t, err)
	c.report(l)
	if len(l.astray) > 0 {
		t.Logf("%d sagas went astray:\n%s", len(l.astray), strings.Join(l.astray[:min(len(l.astray), 20)], "\n"))
	}
	audits := c.s.requireNothingHalfDone()
	require.Equal(t, l.orders, audits["invoicing"].Figures["invoices"])
	require.Equal(t, l.returns, audits["invoicing"].Figures["credit_notes"])
	require.Equal(t, l.vouchers, audits["vouchers"].Figures["standing_redemptions"])
	require.Empty(t, l.astray)
	require.EqualValues(t, *chaosKills, c.kills.Load())
	require.Greater(t, c.hit.Load(), int64(*chaosKills*9/10), "too few of the kills and stalls had anything to hit")
	for _, p := range append(c.workers, c.s.api, c.s.services) {
		require.NoError(t, flawless(p))
		p.stop()
	}
}

// startChaos starts the system: everything on PostgreSQL, and two workers.
func startChaos(t *testing.T, plan chaosPlan) *chaos {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), temporalDSN: pgtest.DSN(t), servicesDSN: pgtest.DSN(t), temporalPort: freePort(t)}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = mostInFlight
	t.Cleanup(transport.CloseIdleConnections)
	c := &chaos{
		s: s, plan: plan, client: &http.Client{Transport: transport, Timeout: endWithin}, temporal: s.dial(), began: time.Now(),
		slots: make(chan struct{}, mostInFlight), faults: map[string]int{},
	}
	for range 2 {
		worker, err := c.startWorker(t.Context())
		require.NoError(t, err)
		c.workers = append(c.workers, worker)
	}
	t.Cleanup(func() {
		for _, worker := range c.workers {
			worker.kill()
			if t.Failed() {
				t.Logf("a worker printed at last:\n%s", worker.out.tail())
			}
		}
	})
	s.apiURL, s.api = s.startAPI(time.Hour)
	return c
}

// play runs the plan, and returns when every saga has ended, or has not ended in time, and when the last late call has
// arrived.
func (c *chaos) play(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	watched, over := context.WithCancel(ctx)
	defer over()
	crew := &crew{due: make(chan disturbance), idle: make(chan struct{}, len(c.workers))}
	for i := range c.workers {
		g.Go(func() error { return c.keep(watched, i, crew) })
	}
	g.Go(func() error { return c.tick(watched) })
	g.Go(func() error {
		defer over()
		if err := c.playSagas(ctx, crew); err != nil {
			return err
		}
		return pause(ctx, time.Until(c.calmedAt.Add(lastCall+time.Second)))
	})
	return g.Wait()
}

func (c *chaos) playSagas(ctx context.Context, crew *crew) error {
	sagas, ctx := errgroup.WithContext(ctx)
	inTime, giveUp := context.WithCancel(ctx)
	defer giveUp()
	sagas.Go(func() error {
		if err := c.load(ctx, inTime, sagas, crew); err != nil {
			return err
		}
		if err := c.clear(ctx); err != nil {
			return err
		}
		time.AfterFunc(endWithin, giveUp)
		return nil
	})
	return sagas.Wait()
}

// tick tells every few seconds how far it is.
func (c *chaos) tick(ctx context.Context) error {
	for pause(ctx, 5*time.Second) == nil {
		c.s.t.Logf("%3.0f s: %d sagas accepted, %d in flight, %d kills, %d stalls, %d cancels",
			time.Since(c.began).Seconds(), c.accepted.Load(), c.inFlight(), c.kills.Load(), c.stalls.Load(), c.cancels.Load())
	}
	return nil
}

// report prints the figures.
func (c *chaos) report(l *ledger) {
	last, returns := c.calmedAt, 0
	for _, o := range c.outcomes {
		if o.end.After(last) {
			last = o.end
		}
		if o.collection == "returns" {
			returns++
		}
	}
	c.s.t.Logf("%d orders and %d returns%s", len(c.outcomes)-returns, returns, counted(l.ends))
	c.s.t.Logf("%d kills, %d stalls; %d of them with sagas in flight", c.kills.Load(), c.stalls.Load(), c.hit.Load())
	c.s.t.Logf("%d cancels taken; calls that met a fault%s", c.cancels.Load(), counted(c.faults))
	c.s.t.Logf("%.1f s from the last fault to the last end; %.0f s in all", last.Sub(c.calmedAt).Seconds(), time.Since(c.began).Seconds())
}
