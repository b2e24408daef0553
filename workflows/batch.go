package workflows

import (
	"encoding/json"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
)

// BatchInput starts ActOnSagas.
type BatchInput struct {
	// Query is the visibility query for the sagas. It must leave out sagas that have ended, so that nothing is done to one
	// twice, and those that start later, so that there is an end.
	Query string `json:"query"`
	// PerSecond is to how many sagas it is done in a second at most.
	PerSecond int `json:"per_second"`
	// PageToken and Batch are where an earlier run has left off. Whoever starts a batch sets in Batch what is to be done.
	PageToken []byte `json:"page_token,omitempty"`
	Batch     Batch  `json:"batch"`
}

// Batch is an act on many sagas, and how far it has come.
type Batch struct {
	// Name is the update's: [compensation.UpdateCancel] or one that takes an Act.
	Name string           `json:"name"`
	Act  compensation.Act `json:"act"`
	// Filter is how the sagas were asked for, for whoever looks at the batch.
	Filter    json.RawMessage `json:"filter,omitempty"`
	StartedAt time.Time       `json:"started_at"`
	// Matched is how many sagas there were when it started.
	Matched int64 `json:"matched"`
	// Done counts the sagas that took the act, Failed those that did not.
	Done   int `json:"done"`
	Failed int `json:"failed"`
	// Failures are the first [MaxFailures] of those.
	Failures []BatchFailure `json:"failures,omitempty"`
}

// BatchFailure is a saga that did not take the act.
type BatchFailure = activities.ActFailure

// MaxFailures bounds how many failures a batch tells one by one: all of them stand in its history after each page.
const MaxFailures = 1000

// ActOnSagas does the same to all sagas that a query finds. A saga that refuses is reported. It can be canceled, and then
// ends as such, with the [Batch] as the detail of its failure.
func ActOnSagas(ctx workflow.Context, in BatchInput) (Batch, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		// A page at the slowest pace, of sagas that all take as long as they may.
		StartToCloseTimeout: 30 * time.Minute,
		HeartbeatTimeout:    15 * time.Second, // longer than one saga may take
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{MaximumInterval: time.Minute},
	})
	b := in.Batch
	for {
		if err := publishBatch(ctx, b); err != nil {
			return Batch{}, err
		}
		var page activities.SagaPage
		find := activities.FindSagas{Query: in.Query, PageToken: in.PageToken}
		if err := workflow.ExecuteActivity(ctx, sagas.FindSagas, find).Get(ctx, &page); err != nil {
			return Batch{}, b.failure(ctx, err)
		}
		if err := b.actOn(ctx, page.IDs, in.PerSecond); err != nil {
			return Batch{}, b.failure(ctx, err)
		}
		in.PageToken, in.Batch = page.PageToken, b
		switch {
		case len(in.PageToken) == 0:
			return b, publishBatch(ctx, b)
		case workflow.GetInfo(ctx).GetContinueAsNewSuggested():
			return Batch{}, workflow.NewContinueAsNewError(ctx, TypeActOnSagas, in)
		}
	}
}

// actOn does it to these sagas. What an activity has not come to, since its worker stops or the batch is canceled, is for
// the next one.
func (b *Batch) actOn(ctx workflow.Context, ids []string, perSecond int) error {
	for len(ids) > 0 {
		var acted activities.Acted
		err := workflow.ExecuteActivity(ctx, sagas.ActOnSagas, activities.ActOnSagas{
			IDs: ids, Name: b.Name, Act: b.Act, UpdateID: b.updateID(ctx), PerSecond: perSecond,
		}).Get(ctx, &acted)
		if err != nil {
			return err
		}
		ids = ids[acted.Handled():]
		b.Done += acted.Done
		b.Failed += len(acted.Failures)
		room := MaxFailures - len(b.Failures)
		b.Failures = append(b.Failures, acted.Failures[:min(room, len(acted.Failures))]...)
	}
	return nil
}

// updateID makes the act on one saga one act, however often it is sent.
func (b *Batch) updateID(ctx workflow.Context) string {
	return b.Name + "-" + workflow.GetInfo(ctx).WorkflowExecution.ID
}

// failure is what the batch ends with when it does not come to its end.
func (b *Batch) failure(ctx workflow.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if err := publishBatch(ctx, *b); err != nil {
		return err
	}
	return temporal.NewCanceledError(*b)
}

// publishBatch writes how far the batch has come to where it can be read while no worker runs.
func publishBatch(ctx workflow.Context, b Batch) error {
	if err := workflow.UpsertMemo(ctx, map[string]any{MemoBatch: b}); err != nil {
		return fmt.Errorf("batch: memo: %w", err)
	}
	return nil
}
