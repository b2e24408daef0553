package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

const batchesPath = "/v1/batches"

// BatchState is where a batch stands.
type BatchState string

// The states of a batch.
const (
	BatchRunning   BatchState = "running"
	BatchCompleted BatchState = "completed" // every saga was asked
	BatchCanceled  BatchState = "canceled"  // stopped by somebody
	BatchFailed    BatchState = "failed"    // ended from outside, or by a defect
)

// BatchFilter chooses the sagas of a batch, as [Filter] does those of a list. It must choose.
type BatchFilter struct {
	Type          string     `json:"type,omitempty"`
	State         State      `json:"state,omitempty"`
	Customer      string     `json:"customer,omitempty"`
	Step          string     `json:"step,omitempty"`
	StartedAfter  *time.Time `json:"started_after,omitempty"`
	StartedBefore *time.Time `json:"started_before,omitempty"`
	EndedAfter    *time.Time `json:"ended_after,omitempty"`
	EndedBefore   *time.Time `json:"ended_before,omitempty"`
	ParkedAfter   *time.Time `json:"parked_after,omitempty"`
	ParkedBefore  *time.Time `json:"parked_before,omitempty"`
}

// BatchRequest does the same to many sagas.
type BatchRequest struct {
	// Act is cancel, retry, skip, mark-done or extend-deadline.
	Act    string      `json:"act"`
	Filter BatchFilter `json:"filter"`
	// Step and Item name what is parked. Default: whatever is, in sagas where only one thing is.
	Step string `json:"step,omitempty"`
	Item string `json:"item,omitempty"`
	// By is who decides. Default: the caller, who is named in any case.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason"`
	// Reference is needed for mark-done, Deadline for extend-deadline.
	Reference string     `json:"reference,omitempty"`
	Deadline  *time.Time `json:"deadline,omitempty"`
	// PerSecond is to how many sagas a second at most. Default 10.
	PerSecond int `json:"per_second,omitempty"`

	// Key is the Idempotency-Key. Default: a new one for each call.
	Key string `json:"-"`
}

// Batch is an act on many sagas, and how far it has come.
type Batch struct {
	ID        string      `json:"id"`
	State     BatchState  `json:"state"`
	Act       string      `json:"act"`
	Filter    BatchFilter `json:"filter"`
	Step      string      `json:"step,omitempty"`
	Item      string      `json:"item,omitempty"`
	By        string      `json:"by"`
	Reason    string      `json:"reason"`
	Reference string      `json:"reference,omitempty"`
	Deadline  *time.Time  `json:"deadline,omitempty"`
	// Matched is how many sagas matched when it started; Done took the act so far, Failed did not.
	Matched int64 `json:"matched"`
	Done    int   `json:"done"`
	Failed  int   `json:"failed"`
	// Failures are the first thousand of those.
	Failures  []BatchFailure `json:"failures"`
	StartedAt time.Time      `json:"started_at"`
	EndedAt   *time.Time     `json:"ended_at,omitempty"`
	Links     BatchLinks     `json:"links"`

	// Replayed: an equal request with the key was taken before.
	Replayed bool `json:"-"`
}

// BatchFailure is a saga that did not take the act.
type BatchFailure struct {
	Saga   string `json:"saga"`
	Reason string `json:"reason"`
	Link   string `json:"link"`
}

// BatchLinks are where to go from a batch.
type BatchLinks struct {
	Self   string `json:"self"`
	Cancel string `json:"cancel,omitempty"`
	WebUI  string `json:"web_ui,omitempty"`
}

// StartBatch starts a batch.
func (c *Client) StartBatch(ctx context.Context, r BatchRequest) (*Batch, error) {
	q := request{method: http.MethodPost, path: batchesPath, body: r}
	q.name(r.Key)
	b, a, err := ask[Batch](ctx, c, q)
	if b != nil {
		b.Replayed = a.replayed()
	}
	return b, err
}

// BatchCount is how many sagas a batch would be for.
type BatchCount struct {
	Matched int64 `json:"matched"`
}

// CountBatch tells how many sagas the batch would be for now, and does nothing.
func (c *Client) CountBatch(ctx context.Context, r BatchRequest) (*BatchCount, error) {
	q := request{method: http.MethodPost, path: batchesPath, body: struct {
		BatchRequest

		DryRun bool `json:"dry_run"`
	}{r, true}}
	q.name(r.Key)
	n, _, err := ask[BatchCount](ctx, c, q)
	return n, err
}

// Batch shows how far a batch has come.
func (c *Client) Batch(ctx context.Context, id string) (*Batch, error) {
	return get[Batch](ctx, c, batchesPath+"/"+url.PathEscape(id), nil)
}

// CancelBatch stops a batch. What it has done stays done.
func (c *Client) CancelBatch(ctx context.Context, id string) (*Batch, error) {
	q := request{method: http.MethodPost, path: batchesPath + "/" + url.PathEscape(id) + "/cancel"}
	q.name("")
	b, _, err := ask[Batch](ctx, c, q)
	return b, err
}
