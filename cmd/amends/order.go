package main

import (
	"errors"
	"time"

	"github.com/alecthomas/kong"

	"github.com/amends-dev/amends/client"
)

type orderCommand struct {
	Place   orderPlace   `cmd:"" help:"Place an order."`
	Get     orderGet     `cmd:"" help:"Show an order, step by step, and what can be done about it."`
	Cancel  orderCancel  `cmd:"" help:"Undo everything that was done for an order, until its payment is captured."`
	Approve orderApprove `cmd:"" help:"Let an order go on that waits for a person."`
	Reject  orderReject  `cmd:"" help:"Undo an order that waits for a person."`
}

// longestWait is how long the API waits with one answer at most.
const longestWait = time.Minute

// waitFlag is how long to wait: not at all without the flag, and 30 s for one without a value.
type waitFlag time.Duration

// Decode implements [kong.MapperValue].
func (f *waitFlag) Decode(ctx *kong.DecodeContext) error {
	*f = waitFlag(30 * time.Second)
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	value, _ := ctx.Scan.Pop().Value.(string)
	d, err := time.ParseDuration(value)
	if err == nil && d < time.Second {
		err = errors.New("wait a second or more")
	}
	*f = waitFlag(d)
	return err
}

// IsBool implements [kong.BoolMapperValue].
func (f *waitFlag) IsBool() bool { return true }

type orderPlace struct {
	Connection connection `embed:""`

	File  string   `help:"The order, as JSON; - for standard input." short:"f" required:"" placeholder:"FILE" complete:"file"`
	Wait  waitFlag `help:"Wait for the order's end, 30s unless another time is given, as in --wait=5m." placeholder:"TIME" xor:"await"`
	Watch bool     `help:"Show the order as it goes, until it has ended." xor:"await"`
	Key   string   `help:"Names the order, so that the same command again is the same order. Default: a new one." name:"idempotency-key" placeholder:"KEY"`
}

func (c *orderPlace) Run(p *process) error {
	var order client.OrderRequest
	if err := readJSON(p, c.File, &order); err != nil {
		return err
	}
	api, err := c.Connection.client(p)
	if err != nil {
		return err
	}
	until := time.Now().Add(time.Duration(c.Wait))
	started, err := api.PlaceOrder(p.ctx, order, client.StartOptions{Key: c.Key, Wait: min(time.Duration(c.Wait), longestWait)})
	switch {
	case err != nil:
		return err
	case c.Watch:
		return c.Connection.watch(p, api, lastPart(started.Links.Saga))
	case c.Wait > 0:
		return c.await(p, api, started, until)
	}
	return c.Connection.print(p, started.Accepted, func() { accepted(p, &started.Accepted) })
}

// await shows the order once it has ended, or the time is over.
func (c *orderPlace) await(p *process, api *client.Client, started *client.Started[client.Receipt], until time.Time) (err error) {
	v := started.Ended
	if v == nil {
		if v, err = api.Order(p.ctx, started.ID); err != nil {
			return err
		}
	}
	for left := time.Until(until); v.EndedAt == nil && left > 0; left = time.Until(until) {
		if v, err = api.OrderNews(p.ctx, v, min(left, longestWait)); err != nil {
			return err
		}
	}
	return errors.Join(showOrder(&c.Connection, p, v), completed("order "+v.ID, v.State))
}

func showOrder(c *connection, p *process, v *client.Order) error {
	return c.print(p, v, func() { writeView(p.stdout, widthOf(p.stdout), "order", v) })
}

type orderGet struct {
	Connection connection `embed:""`

	ID string `arg:"" help:"The order's ID."`
}

func (c *orderGet) Run(p *process) error {
	api, err := c.Connection.client(p)
	if err != nil {
		return err
	}
	v, err := api.Order(p.ctx, c.ID)
	if err != nil {
		return err
	}
	return showOrder(&c.Connection, p, v)
}

type orderCancel struct {
	orderGet

	Decision decision `embed:""`
	Reason   string   `help:"Why; it stays in the history." placeholder:"TEXT"`
}

func (c *orderCancel) Run(p *process) error {
	return c.decide(p, "Cancel this order", func(api *client.Client) (*client.Accepted, error) {
		return api.CancelOrder(p.ctx, c.ID, client.CancelRequest{By: c.Decision.By, Reason: c.Reason})
	})
}

type orderApprove struct{ orderCancel }

func (c *orderApprove) Run(p *process) error { return c.approve(p, "Approve this order", true) }

type orderReject struct{ orderCancel }

func (c *orderReject) Run(p *process) error { return c.approve(p, "Reject this order", false) }

func (c *orderCancel) approve(p *process, what string, approved bool) error {
	return c.decide(p, what, func(api *client.Client) (*client.Accepted, error) {
		return api.DecideOrder(p.ctx, c.ID, client.ApprovalRequest{Approved: approved, By: c.Decision.By, Reason: c.Reason})
	})
}

// decide asks about the order as it is, where somebody can be asked, and then does it.
func (c *orderCancel) decide(p *process, what string, do func(*client.Client) (*client.Accepted, error)) error {
	return c.Decision.tell(p, &c.Connection, what, func(api *client.Client) error {
		v, err := api.Order(p.ctx, c.ID)
		if err == nil {
			writeView(p.stderr, widthOf(p.stderr), "order", v)
		}
		return err
	}, do)
}
