package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/bench/internal/steps"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/connect"
	amendsworker "github.com/amends-dev/amends/worker"
	"github.com/amends-dev/amends/workflows"
)

// amends is package compensation as a user of the library writes a saga with it.
type amends struct {
	client client.Client
	worker worker.Worker
	queue  string
	eager  bool
}

func openAmends(ctx context.Context, o Config) (Engine, error) {
	dial := connect.Dial
	if o.Gzip {
		dial = client.DialContext
	}
	c, err := dial(ctx, clientOptions(o))
	if err != nil {
		return nil, err
	}
	options := amendsworker.Tuning(amendsworker.DefaultTasks, !o.Queued)
	if err := tryOptions(&options, o.Worker); err != nil {
		c.Close()
		return nil, err
	}
	a := &amends{c, worker.New(c, o.Queue, options), o.Queue, !o.Queued}
	a.worker.RegisterWorkflow(amendsSaga)
	a.worker.RegisterActivity(&participant{steps.NewClient(o.Steps), o.ResultBytes})
	if err := a.worker.Start(); err != nil {
		c.Close()
		return nil, fmt.Errorf("start polling: %w", err)
	}
	return a, nil
}

// tryOptions sets the named fields of options.
func tryOptions(options *worker.Options, fields map[string]any) error {
	if len(fields) == 0 {
		return nil
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	into := json.NewDecoder(bytes.NewReader(text))
	into.DisallowUnknownFields()
	if err := into.Decode(options); err != nil {
		return fmt.Errorf("worker options: %w", err)
	}
	return nil
}

func (a *amends) Run(ctx context.Context, id string, c Case) error {
	run, err := a.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                    id,
		TaskQueue:             a.queue,
		WorkflowTaskTimeout:   workflows.TaskTimeout,
		EnableEagerStart:      a.eager,
		TypedSearchAttributes: temporal.NewSearchAttributes(compensation.SearchAttributeState.ValueSet(string(compensation.Running))),
	}, amendsSaga, id, c)
	if err != nil {
		return err
	}
	var references []string
	err = run.Get(ctx, &references)
	return checkEnd(c, references, err, isRefusal)
}

func (a *amends) History(ctx context.Context, id string) (History, error) {
	return historyOf(ctx, a.client, id)
}

func (a *amends) Close() error {
	a.worker.Stop()
	a.client.Close()
	return nil
}

type step = compensation.Step[steps.Input, steps.Result]

var (
	amendsSteps = makeSteps()
	amendsPlan  = makePlan()
)

// makeSteps has nine compensatable steps and the pivot. They share a participant, which tells them apart by the key.
func makeSteps() []step {
	made := make([]step, steps.Count)
	for n := range made {
		made[n] = step{Name: steps.Name(n + 1), Do: (*participant)(nil).Do, Undo: (*participant)(nil).Undo}
	}
	made[steps.Count-1].Kind = compensation.Pivot
	return made
}

func makePlan() *compensation.Plan {
	s := amendsSteps
	return compensation.MustPlan("TenSteps", s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9]).RequirePivot()
}

// amendsSaga returns the references of all steps.
func amendsSaga(ctx workflow.Context, id string, c Case) ([]string, error) {
	return compensation.Run(ctx, amendsPlan, func(ctx workflow.Context) ([]string, error) {
		var references []string
		for _, s := range amendsSteps {
			result, err := s.Run(ctx, inputOf(id, s.Name, c))
			if err != nil {
				return nil, err
			}
			references = append(references, result.Reference)
		}
		return references, nil
	})
}

// participant does and undoes every step.
type participant struct {
	steps *steps.Client
	// filler is by how many bytes each result is made larger.
	filler int
}

// noise is text of so many bytes that no compression makes much shorter, and never the same.
func noise(size int) string {
	raw := make([]byte, size)
	_, _ = rand.Read(raw) // it never fails
	return base64.StdEncoding.EncodeToString(raw)[:size]
}

func (p *participant) Do(ctx context.Context, key compensation.Key, in steps.Input) (steps.Result, error) {
	result, err := p.steps.Do(ctx, key.Step, key.String(), in)
	var refusal *steps.Refusal
	if errors.As(err, &refusal) {
		return result, compensation.Refuse(ctx, "refused", refusal.Error(), nil)
	}
	result.Filler = noise(p.filler)
	return result, err
}

func (p *participant) Undo(ctx context.Context, key compensation.Key) error {
	err := p.steps.Undo(ctx, key.Step, key.String())
	if errors.Is(err, steps.ErrIrreversible) {
		return compensation.Irreversible(err.Error(), nil)
	}
	return err
}
