package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const sagasPath = "/v1/sagas"

// Filter chooses sagas; the zero value chooses all. Its conditions are joined by "and", and a zero time is none.
type Filter struct {
	// Type is PlaceOrder or ReturnOrder.
	Type  string
	State State
	// Customer is the ID of the customer whom the saga is about.
	Customer string
	// Step is the one at which it is parked, or because of which it turned back.
	Step                        string
	StartedAfter, StartedBefore time.Time
	EndedAfter, EndedBefore     time.Time
	ParkedAfter, ParkedBefore   time.Time
	// LongestParkedFirst is for the state [Parked] only. Otherwise the newest come first.
	LongestParkedFirst bool
	// PageSize is how many are asked for at once, at most 200. Default: the API chooses.
	PageSize int
}

func (f Filter) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("type", f.Type)
	set("state", string(f.State))
	set("customer", f.Customer)
	set("step", f.Step)
	for name, at := range map[string]time.Time{
		"started_after": f.StartedAfter, "started_before": f.StartedBefore,
		"ended_after": f.EndedAfter, "ended_before": f.EndedBefore,
		"parked_after": f.ParkedAfter, "parked_before": f.ParkedBefore,
	} {
		if !at.IsZero() {
			set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if f.LongestParkedFirst {
		set("sort", "parked_since")
	}
	if f.PageSize > 0 {
		set("page_size", strconv.Itoa(f.PageSize))
	}
	return q
}

// Item is a saga in a list.
type Item struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	State State  `json:"state"`
	// Cause is why it turned back, in one sentence.
	Cause string `json:"cause,omitempty"`
	// Step is the one at which it is parked, or because of which it turned back.
	Step        string     `json:"step,omitempty"`
	Customer    string     `json:"customer,omitempty"`
	ParkedSince *time.Time `json:"parked_since,omitempty"`
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	Links       Links      `json:"links"`
}

type page struct {
	Items         []*Item `json:"items"`
	NextPageToken string  `json:"next_page_token,omitempty"`
}

// Sagas lists the sagas that match. It asks for the next page when that is needed, and ends after the first error.
func (c *Client) Sagas(ctx context.Context, f Filter) iter.Seq2[*Item, error] {
	return c.items(ctx, sagasPath, f.query())
}

func (c *Client) items(ctx context.Context, path string, query url.Values) iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		for {
			p, err := get[page](ctx, c, path, query)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, it := range p.Items {
				if !yield(it, nil) {
					return
				}
			}
			if p.NextPageToken == "" {
				return
			}
			query.Set("page_token", p.NextPageToken)
		}
	}
}

// Saga shows any saga by its workflow ID, such as order-42.
func (c *Client) Saga(ctx context.Context, id string) (*Saga, error) {
	return show[json.RawMessage](ctx, c, sagasPath, id, "", 0)
}

// SagaNews waits until a saga is no longer as seen, at most that long, and shows it; nothing new is seen itself.
func (c *Client) SagaNews(ctx context.Context, seen *Saga, wait time.Duration) (*Saga, error) {
	return news(ctx, c, sagasPath, seen, wait)
}

// CancelSaga turns a saga back, whatever it is about. Possible until its pivot.
func (c *Client) CancelSaga(ctx context.Context, id string, r CancelRequest) (*Accepted, error) {
	return c.tell(ctx, sagasPath, id, "/cancel", r.Key, r)
}

// DecideSaga approves or rejects what a saga waits for.
func (c *Client) DecideSaga(ctx context.Context, id string, r ApprovalRequest) (*Accepted, error) {
	return c.tell(ctx, sagasPath, id, "/approval", r.Key, r)
}

// RetryRequest tries what is parked again.
type RetryRequest struct {
	// Step and, for a step that is repeated, Item name what is parked.
	Step, Item string `json:"-"`
	By         string `json:"by,omitempty"`
	// Reason is needed with an Input.
	Reason string `json:"reason,omitempty"`
	// Input is what to ask the step for instead. Possible after the pivot only.
	Input json.RawMessage `json:"input,omitempty"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// RetryStep tries a parked step, or its undo, again. As all acts it is about the saga as it was seen: if that has
// changed, the answer is a [*Problem] with [CodePreconditionFailed]. It returns the saga as it is then.
func (c *Client) RetryStep(ctx context.Context, seen *Saga, r RetryRequest) (*Saga, error) {
	return c.act(ctx, seen, stepPath(r.Step, "/retry"), r.Item, r.Key, r)
}

// SkipRequest goes on without what is parked.
type SkipRequest struct {
	// Step and, for a step that is repeated, Item name what is parked.
	Step, Item string `json:"-"`
	By         string `json:"by,omitempty"`
	Reason     string `json:"reason"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// SkipStep goes on without a parked step, or lets its effect stand if it is its undo that is parked.
func (c *Client) SkipStep(ctx context.Context, seen *Saga, r SkipRequest) (*Saga, error) {
	return c.act(ctx, seen, stepPath(r.Step, "/skip"), r.Item, r.Key, r)
}

// MarkDoneRequest goes on because what is parked was done by hand.
type MarkDoneRequest struct {
	// Step and, for a step that is repeated, Item name what is parked.
	Step, Item string `json:"-"`
	By         string `json:"by,omitempty"`
	Reason     string `json:"reason"`
	// Reference is where it is written down.
	Reference string `json:"reference"`
	// Result is the step's, if later steps use it. Default: the empty one.
	Result json.RawMessage `json:"result,omitempty"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// MarkStepDone continues a saga because a parked step, or its undo, was done by hand. It is refused for a pivot's undo:
// see [Client.MarkPivotHappened] and [Client.MarkPivotPrevented].
func (c *Client) MarkStepDone(ctx context.Context, seen *Saga, r MarkDoneRequest) (*Saga, error) {
	return c.act(ctx, seen, stepPath(r.Step, "/mark-done"), r.Item, r.Key, r)
}

// MarkHappenedRequest records that a pivot happened.
type MarkHappenedRequest struct {
	// Step and, for a step that is repeated, Item name the pivot.
	Step, Item string `json:"-"`
	By         string `json:"by,omitempty"`
	// Reason explains how that is known, Reference names its record.
	Reason    string `json:"reason"`
	Reference string `json:"reference"`
	// Result is the pivot's result, if later steps use it. Default: the empty one.
	Result json.RawMessage `json:"result,omitempty"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// MarkPivotHappened records that a pivot whose undo is parked happened. Nothing is undone, and the saga goes forward.
func (c *Client) MarkPivotHappened(ctx context.Context, seen *Saga, r MarkHappenedRequest) (*Saga, error) {
	return c.act(ctx, seen, stepPath(r.Step, "/mark-happened"), r.Item, r.Key, r)
}

// MarkPreventedRequest records that a pivot has not happened and never will.
type MarkPreventedRequest struct {
	// Step and, for a step that is repeated, Item name the pivot.
	Step, Item string `json:"-"`
	By         string `json:"by,omitempty"`
	// Reason explains how that is known, Reference names its record.
	Reason    string `json:"reason"`
	Reference string `json:"reference"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// MarkPivotPrevented records that a pivot whose undo is parked has not happened and never will. The saga undoes
// everything that was done.
func (c *Client) MarkPivotPrevented(ctx context.Context, seen *Saga, r MarkPreventedRequest) (*Saga, error) {
	return c.act(ctx, seen, stepPath(r.Step, "/mark-prevented"), r.Item, r.Key, r)
}

// ExtendDeadlineRequest gives a saga more time.
type ExtendDeadlineRequest struct {
	By       string    `json:"by,omitempty"`
	Reason   string    `json:"reason"`
	Deadline time.Time `json:"deadline"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// ExtendDeadline gives a saga more time; one that its deadline has parked goes on.
func (c *Client) ExtendDeadline(ctx context.Context, seen *Saga, r ExtendDeadlineRequest) (*Saga, error) {
	return c.act(ctx, seen, "/extend-deadline", "", r.Key, r)
}

func stepPath(step, act string) string { return "/steps/" + url.PathEscape(step) + act }

// act acts on the saga as it was seen.
func (c *Client) act(ctx context.Context, seen *Saga, path, item, key string, body any) (*Saga, error) {
	r := request{method: http.MethodPost, path: sagasPath + "/" + url.PathEscape(seen.ID) + path, body: body}
	if item != "" {
		r.query = url.Values{"item": {item}}
	}
	if seen.ETag != "" {
		r.set("If-Match", seen.ETag)
	}
	r.name(key)
	now, a, err := ask[Saga](ctx, c, r)
	if now != nil {
		now.ETag = a.etag()
	}
	return now, err
}
