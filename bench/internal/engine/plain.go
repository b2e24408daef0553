package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/bench/internal/steps"
)

const plainQueue = "plain"

// plain is a saga written the way Temporal's sample for Go writes one: an ordinary activity for each step, a deferred
// compensation after each that was done, and the defaults of client, worker and retry policy. Unlike the sample's, the
// compensations run in a context that a cancel does not reach, as Temporal's documentation has it.
type plain struct {
	client client.Client
	worker worker.Worker
}

func openPlain(ctx context.Context, o Config) (Engine, error) {
	c, err := client.DialContext(ctx, clientOptions(o))
	if err != nil {
		return nil, err
	}
	p := &plain{c, worker.New(c, plainQueue, worker.Options{})}
	p.worker.RegisterWorkflow(plainSaga)
	p.worker.RegisterActivity(&plainActivities{steps.NewClient(o.Steps)})
	if err := p.worker.Start(); err != nil {
		c.Close()
		return nil, fmt.Errorf("start polling: %w", err)
	}
	return p, nil
}

func (p *plain) Run(ctx context.Context, id string, c Case) error {
	run, err := p.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: plainQueue}, plainSaga, id, c)
	if err != nil {
		return err
	}
	var references []string
	err = run.Get(ctx, &references)
	return checkEnd(c, references, err, isRefusal)
}

func (p *plain) History(ctx context.Context, id string) (History, error) {
	return historyOf(ctx, p.client, id)
}

func (p *plain) Close() error {
	p.worker.Stop()
	p.client.Close()
	return nil
}

func isRefusal(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.Type() == typeRefused
}

// plainSaga returns the references of all steps.
func plainSaga(ctx workflow.Context, id string, c Case) (references []string, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	var activities *plainActivities
	for n := range steps.Count {
		step := steps.Name(n + 1)
		var result steps.Result
		if err := workflow.ExecuteActivity(ctx, activities.Do, step, keyOf(id, step), inputOf(id, step, c)).Get(ctx, &result); err != nil {
			return nil, err
		}
		references = append(references, result.Reference)
		defer func() { //nolint:gocritic // the compensations run when the saga ends, the last one first
			if err == nil {
				return
			}
			ctx, _ := workflow.NewDisconnectedContext(ctx)
			if undoErr := workflow.ExecuteActivity(ctx, activities.Undo, step, keyOf(id, step)).Get(ctx, nil); undoErr != nil {
				err = errors.Join(err, undoErr)
			}
		}()
	}
	return references, nil
}

type plainActivities struct{ steps *steps.Client }

func (a *plainActivities) Do(ctx context.Context, step, key string, in steps.Input) (steps.Result, error) {
	result, err := a.steps.Do(ctx, step, key, in)
	var refusal *steps.Refusal
	if errors.As(err, &refusal) {
		return result, temporal.NewApplicationErrorWithOptions(refusal.Error(), typeRefused, temporal.ApplicationErrorOptions{
			NonRetryable: true,
			Category:     temporal.ApplicationErrorCategoryBenign, // without it, every refusal would be logged as an error
		})
	}
	return result, err
}

func (a *plainActivities) Undo(ctx context.Context, step, key string) error {
	return a.steps.Undo(ctx, step, key)
}
