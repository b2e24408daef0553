package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/terminal"
)

type sagaCommand struct {
	List           sagaList           `cmd:"" help:"Find sagas, newest first."`
	Get            sagaGet            `cmd:"" help:"Show a saga, step by step, and what can be done about it."`
	Watch          sagaWatch          `cmd:"" help:"Show a saga as it goes, until it has ended."`
	Cancel         sagaCancel         `cmd:"" help:"Undo everything that was done, until the saga's pivot."`
	Approve        sagaApprove        `cmd:"" help:"Let a saga go on that waits for a person."`
	Reject         sagaReject         `cmd:"" help:"Undo a saga that waits for a person."`
	Retry          sagaRetry          `cmd:"" help:"Try a parked step, or its undo, again."`
	Skip           sagaSkip           `cmd:"" help:"Go on without a parked step, or let its effect stand if its undo is parked."`
	MarkDone       sagaMarkDone       `cmd:"" help:"Go on because a parked step, or its undo, was done by hand."`
	MarkHappened   sagaMarkHappened   `cmd:"" help:"Go FORWARD: the pivot (such as the payment) DID happen. Only where undoing the pivot is parked."`
	MarkPrevented  sagaMarkPrevented  `cmd:"" help:"Undo EVERYTHING: the pivot (such as the payment) did NOT happen and never will. Only where undoing the pivot is parked."`
	ExtendDeadline sagaExtendDeadline `cmd:"" help:"Give a saga more time."`
}

type sagaList struct {
	Connection connection `embed:""`

	Type          string    `help:"Only of this type: PlaceOrder or ReturnOrder." placeholder:"TYPE" complete:"saga-type"`
	State         string    `help:"Only in this state, such as parked." placeholder:"STATE" complete:"state"`
	Customer      string    `help:"Only about the customer with this ID." placeholder:"ID"`
	Step          string    `help:"Only parked at this step, or turned back because of it." placeholder:"STEP" complete:"step"`
	StartedAfter  time.Time `help:"Only started then or later. Times are those of RFC 3339, such as 2026-01-31T12:00:00Z." placeholder:"TIME"`
	StartedBefore time.Time `help:"Only started before then." placeholder:"TIME"`
	EndedAfter    time.Time `help:"Only ended then or later." placeholder:"TIME"`
	EndedBefore   time.Time `help:"Only ended before then." placeholder:"TIME"`
	ParkedAfter   time.Time `help:"Only parked since then or later." placeholder:"TIME"`
	ParkedBefore  time.Time `help:"Only parked since before then." placeholder:"TIME"`
	LongestParked bool      `help:"Those that wait longest first; with --state=parked." name:"longest-parked-first"`
	Limit         int       `help:"How many at most; 0 is all." default:"50"`
}

// largestPage is how many sagas the API gives at once at most.
const largestPage = 200

func (c *sagaList) Run(p *process) error {
	api, err := c.Connection.client(p)
	if err != nil {
		return err
	}
	filter := client.Filter{
		Type: c.Type, State: client.State(c.State), Customer: c.Customer, Step: c.Step, StartedAfter: c.StartedAfter, StartedBefore: c.StartedBefore,
		EndedAfter: c.EndedAfter, EndedBefore: c.EndedBefore, ParkedAfter: c.ParkedAfter, ParkedBefore: c.ParkedBefore,
		LongestParkedFirst: c.LongestParked, PageSize: largestPage,
	}
	if c.Limit > 0 {
		filter.PageSize = min(c.Limit, largestPage)
	}
	items, more := []*client.Item{}, false
	for it, err := range api.Sagas(p.ctx, filter) {
		if err != nil {
			return err
		}
		if more = c.Limit > 0 && len(items) == c.Limit; more {
			break
		}
		items = append(items, it)
	}
	return c.Connection.print(p, map[string]any{"items": items}, func() {
		terminal.WriteTable(p.stdout, widthOf(p.stdout), itemColumns, itemRows(items))
		if more {
			fmt.Fprintf(p.stdout, "\nThere are more: --limit=%d, or 0 for all.\n", 10*c.Limit)
		}
	})
}

type sagaGet struct {
	Connection connection `embed:""`

	ID string `arg:"" help:"The saga's ID, such as order-42."`
}

func (c *sagaGet) Run(p *process) error {
	api, err := c.Connection.client(p)
	if err != nil {
		return err
	}
	v, err := api.Saga(p.ctx, c.ID)
	if err != nil {
		return err
	}
	return c.show(p, v)
}

func (c *sagaGet) show(p *process, v *client.Saga) error {
	return c.Connection.print(p, v, func() { writeView(p.stdout, widthOf(p.stdout), "saga", v) })
}

type sagaWatch struct{ sagaGet }

func (c *sagaWatch) Run(p *process) error {
	api, err := c.Connection.client(p)
	if err != nil {
		return err
	}
	return c.Connection.watch(p, api, c.ID)
}

// sagaAct is what every act on a saga has.
type sagaAct struct {
	sagaGet

	Decision decision `embed:""`
}

// act looks at the saga, asks where somebody can be asked, and does it to the saga as it was seen.
func (c *sagaAct) act(p *process, what string, do func(*client.Client, *client.Saga) (*client.Saga, error)) error {
	api, err := c.Connection.client(p)
	if err != nil {
		return err
	}
	seen, err := api.Saga(p.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.Decision.asks(p) {
		writeView(p.stderr, widthOf(p.stderr), "saga", seen)
	}
	if err := c.Decision.confirm(p, what); err != nil {
		return err
	}
	now, err := do(api, seen)
	var problem *client.Problem
	if errors.As(err, &problem) && problem.Code == client.CodePreconditionFailed {
		return fmt.Errorf("%s has changed since you saw it, and nothing was done; look at it again: amends saga get %s: %w", c.ID, c.ID, err)
	}
	if err != nil {
		return err
	}
	return c.show(p, now)
}

type sagaCancel struct {
	sagaAct

	Reason string `help:"Why; it stays in the history." placeholder:"TEXT"`
}

func (c *sagaCancel) Run(p *process) error {
	return c.decide(p, "Cancel this saga", func(api *client.Client) (*client.Accepted, error) {
		return api.CancelSaga(p.ctx, c.ID, client.CancelRequest{By: c.Decision.By, Reason: c.Reason})
	})
}

type sagaApprove struct{ sagaCancel }

func (c *sagaApprove) Run(p *process) error { return c.approve(p, "Approve this saga", true) }

type sagaReject struct{ sagaCancel }

func (c *sagaReject) Run(p *process) error { return c.approve(p, "Reject this saga", false) }

func (c *sagaCancel) approve(p *process, what string, approved bool) error {
	return c.decide(p, what, func(api *client.Client) (*client.Accepted, error) {
		return api.DecideSaga(p.ctx, c.ID, client.ApprovalRequest{Approved: approved, By: c.Decision.By, Reason: c.Reason})
	})
}

// decide asks about the saga as it is, where somebody can be asked, and then does it.
func (c *sagaCancel) decide(p *process, what string, do func(*client.Client) (*client.Accepted, error)) error {
	return c.Decision.tell(p, &c.Connection, what, func(api *client.Client) error {
		v, err := api.Saga(p.ctx, c.ID)
		if err == nil {
			writeView(p.stderr, widthOf(p.stderr), "saga", v)
		}
		return err
	}, do)
}

// sagaStepAct is an act on a step of a saga.
type sagaStepAct struct {
	sagaAct

	Step string `arg:"" help:"The parked step." complete:"step"`
	Item string `help:"Which of the step's repeats." placeholder:"ITEM"`
}

type sagaRetry struct {
	sagaStepAct

	Input  string `help:"File with what to ask the step for instead, as JSON; - for standard input. Only after the pivot." placeholder:"FILE" complete:"file"`
	Reason string `help:"Why; needed with --input." placeholder:"TEXT"`
}

// Validate implements kong's interface.
func (c *sagaRetry) Validate() error {
	if c.Input != "" && c.Reason == "" {
		return errors.New("--input needs a --reason")
	}
	return nil
}

func (c *sagaRetry) Run(p *process) error {
	input, err := rawJSON(p, c.Input)
	if err != nil {
		return err
	}
	return c.act(p, "Retry "+c.Step, func(api *client.Client, seen *client.Saga) (*client.Saga, error) {
		return api.RetryStep(p.ctx, seen, client.RetryRequest{Step: c.Step, Item: c.Item, By: c.Decision.By, Reason: c.Reason, Input: input})
	})
}

type sagaSkip struct {
	sagaStepAct

	Reason string `help:"Why; it stays in the history." required:"" placeholder:"TEXT"`
}

func (c *sagaSkip) Run(p *process) error {
	return c.act(p, "Skip "+c.Step, func(api *client.Client, seen *client.Saga) (*client.Saga, error) {
		return api.SkipStep(p.ctx, seen, client.SkipRequest{Step: c.Step, Item: c.Item, By: c.Decision.By, Reason: c.Reason})
	})
}

type sagaMarkDone struct {
	sagaSkip

	Reference string `help:"Where it is written down, such as a ticket." required:"" placeholder:"TEXT"`
	Result    string `help:"File with the step's result as JSON, if later steps use it; - for standard input." placeholder:"FILE" complete:"file"`
}

func (c *sagaMarkDone) Run(p *process) error {
	result, err := rawJSON(p, c.Result)
	if err != nil {
		return err
	}
	return c.act(p, "Mark "+c.Step+" as done by hand", func(api *client.Client, seen *client.Saga) (*client.Saga, error) {
		return api.MarkStepDone(p.ctx, seen, client.MarkDoneRequest{
			Step: c.Step, Item: c.Item, By: c.Decision.By, Reason: c.Reason, Reference: c.Reference, Result: result,
		})
	})
}

type sagaMarkHappened struct {
	sagaAct

	Step      string `arg:"" help:"The pivot whose undo is parked, such as CapturePayment." complete:"step"`
	Reason    string `help:"How you know that it happened; it stays in the history." required:"" placeholder:"TEXT"`
	Reference string `help:"Where that is written down, such as a ticket or the bank's transaction." required:"" placeholder:"TEXT"`
	Result    string `help:"File with what the pivot returned as JSON, if later steps use it; - for standard input." placeholder:"FILE" complete:"file"`
}

// Help implements kong's interface.
func (*sagaMarkHappened) Help() string {
	return "Say this when the pivot's own service or its books show that it took effect, as a charge on the bank's statement. " +
		"The saga keeps it, undoes nothing and goes forward to its end: an order is shipped. " +
		"If it did not happen, the customer gets goods that nobody paid for; then it is mark-prevented."
}

func (c *sagaMarkHappened) Run(p *process) error {
	result, err := rawJSON(p, c.Result)
	if err != nil {
		return err
	}
	return c.act(p, c.Step+" DID happen: keep it and go forward", func(api *client.Client, seen *client.Saga) (*client.Saga, error) {
		return api.MarkPivotHappened(p.ctx, seen, client.MarkHappenedRequest{
			Step: c.Step, By: c.Decision.By, Reason: c.Reason, Reference: c.Reference, Result: result,
		})
	})
}

type sagaMarkPrevented struct {
	sagaAct

	Step      string `arg:"" help:"The pivot whose undo is parked, such as CapturePayment." complete:"step"`
	Reason    string `help:"How you know that it did not happen, and why it cannot happen later; it stays in the history." required:"" placeholder:"TEXT"`
	Reference string `help:"Where that is written down, such as a ticket." required:"" placeholder:"TEXT"`
}

// Help implements kong's interface.
func (*sagaMarkPrevented) Help() string {
	return "Say this when the pivot's own service or its books show that it took no effect, and somebody made sure that a late request cannot " +
		"have one any more. The saga undoes everything that was done before it: an order is canceled. " +
		"If it did happen, the customer has paid for nothing; then it is mark-happened."
}

func (c *sagaMarkPrevented) Run(p *process) error {
	return c.act(p, c.Step+" did NOT happen and never will: undo everything", func(api *client.Client, seen *client.Saga) (*client.Saga, error) {
		return api.MarkPivotPrevented(p.ctx, seen, client.MarkPreventedRequest{
			Step: c.Step, By: c.Decision.By, Reason: c.Reason, Reference: c.Reference,
		})
	})
}

// rawJSON reads a file with a JSON value; nil for no file.
func rawJSON(p *process, path string) (value json.RawMessage, err error) {
	if path == "" {
		return nil, nil
	}
	err = readJSON(p, path, &value)
	return value, err
}

type sagaExtendDeadline struct {
	sagaAct

	Until  deadline `arg:"" help:"The new deadline: how long from now, such as 24h, or a time, such as 2026-01-31T12:00:00Z."`
	Reason string   `help:"Why; it stays in the history." required:"" placeholder:"TEXT"`
}

// deadline is a time that can be given as a duration from now.
type deadline struct{ time.Time }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *deadline) UnmarshalText(text []byte) error {
	if after, err := time.ParseDuration(string(text)); err == nil {
		d.Time = time.Now().Add(after).UTC().Truncate(time.Second)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a duration, such as 24h, nor a time, such as 2026-01-31T12:00:00Z", text)
	}
	d.Time = at.UTC()
	return nil
}

func (c *sagaExtendDeadline) Run(p *process) error {
	return c.act(p, "Extend the deadline to "+clock(c.Until.Time), func(api *client.Client, seen *client.Saga) (*client.Saga, error) {
		return api.ExtendDeadline(p.ctx, seen, client.ExtendDeadlineRequest{By: c.Decision.By, Reason: c.Reason, Deadline: c.Until.Time})
	})
}
