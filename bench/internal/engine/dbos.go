package engine

import (
	"context"
	"encoding/gob"
	"errors"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/amends-dev/amends/bench/internal/steps"
)

// dbosEngine is a saga in DBOS Transact with its defaults: a workflow that runs in this process and records each call,
// of a step or of a compensation, as a step of its own.
type dbosEngine struct {
	ctx   dbos.Context // what DBOS calls its runtime
	steps *steps.Client
}

func openDBOS(ctx context.Context, o Config) (Engine, error) {
	runtime, err := dbos.NewContext(ctx, dbos.Config{AppName: "amends-bench", DatabaseURL: o.Postgres, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	gob.Register(&steps.Refusal{}) // DBOS stores errors with gob
	e := &dbosEngine{runtime, steps.NewClient(o.Steps)}
	dbos.RegisterWorkflow(runtime, e.saga)
	if err := dbos.Launch(runtime); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// order is the input of the workflow.
type order struct {
	ID   string
	Case Case
}

func (e *dbosEngine) Run(_ context.Context, id string, c Case) error {
	handle, err := dbos.RunWorkflow(e.ctx, e.saga, order{id, c}, dbos.WithWorkflowID(id))
	if err != nil {
		return err
	}
	references, err := handle.GetResult()
	return checkEnd(c, references, err, func(err error) bool {
		var refusal *steps.Refusal
		return errors.As(err, &refusal)
	})
}

// History is none: what DBOS keeps is no history of events.
func (*dbosEngine) History(context.Context, string) (History, error) { return History{}, nil }

func (e *dbosEngine) Close() error { return dbos.Shutdown(e.ctx, 5*time.Second) }

// saga returns the references of all steps.
func (e *dbosEngine) saga(ctx dbos.Context, o order) (references []string, err error) {
	for n := range steps.Count {
		step := steps.Name(n + 1)
		key := keyOf(o.ID, step)
		result, doErr := dbos.RunAsStep(ctx, func(ctx context.Context) (steps.Result, error) {
			return e.steps.Do(ctx, step, key, inputOf(o.ID, step, o.Case))
		}, dbos.WithStepName(step))
		if doErr != nil {
			return nil, doErr
		}
		references = append(references, result.Reference)
		defer func() { //nolint:gocritic // the compensations run when the saga ends, the last one first
			if err == nil {
				return
			}
			if _, undoErr := dbos.RunAsStep(ctx, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, e.steps.Undo(ctx, step, key)
			}, dbos.WithStepName("undo "+step)); undoErr != nil {
				err = errors.Join(err, undoErr)
			}
		}()
	}
	return references, nil
}
