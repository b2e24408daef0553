package api

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/compensation"
)

const (
	// durationsFor is how long durations are shown before they are measured anew. That reads histories.
	durationsFor = 30 * time.Second
	// sampled is how many sagas of a type its durations are taken from, and sampledSteps of how many the steps'.
	sampled      = 200
	sampledSteps = 50
)

// durations are how long sagas and their steps took lately.
type durations struct{ sagas, steps []timing }

// timing is how long sagas of a type took, or a step of them.
type timing struct {
	Type   string  `json:"type" example:"PlaceOrder"`
	Step   string  `json:"step,omitempty" example:"ReserveStock"`
	Sample int     `json:"sample" doc:"From how many sagas the figures are: those that were completed last."`
	P50    float64 `json:"p50_ms" doc:"Half of them took no longer, in milliseconds."`
	P95    float64 `json:"p95_ms" doc:"95 of 100 took no longer, in milliseconds."`
}

func durationOf(sagaType, step string, took []time.Duration) timing {
	slices.Sort(took)
	// The smallest that so many of a hundred do not exceed, to a tenth of a millisecond.
	percentile := func(p int) float64 {
		return math.Round(float64(took[(len(took)*p+99)/100-1])/float64(time.Millisecond)*10) / 10
	}
	return timing{Type: sagaType, Step: step, Sample: len(took), P50: percentile(50), P95: percentile(95)}
}

// measure tells how long the sagas took that were completed last, and their steps.
func (s *server) measure(ctx context.Context, _ time.Time) (durations, error) {
	all := durations{sagas: []timing{}, steps: []timing{}}
	for _, c := range collections {
		query, _ := Filter{Type: c.workflowType, State: state(compensation.Completed)}.visibility(callerOf(ctx))
		found, err := s.find(ctx, query, sampled, nil)
		if err != nil {
			return durations{}, err
		}
		completed := found.GetExecutions()
		if len(completed) == 0 {
			continue
		}
		took := make([]time.Duration, len(completed))
		for i, info := range completed {
			took[i] = info.GetCloseTime().AsTime().Sub(info.GetStartTime().AsTime())
		}
		all.sagas = append(all.sagas, durationOf(c.workflowType, "", took))

		statuses := make([]compensation.Status, min(len(completed), sampledSteps))
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(overviewQueries)
		for i := range statuses {
			g.Go(func() (err error) {
				saga := completed[i].GetExecution()
				statuses[i], err = compensation.ReadEndedStatus(ctx, s.temporal, c.plan, saga.GetWorkflowId(), saga.GetRunId())
				var gone *serviceerror.NotFound
				if errors.As(err, &gone) {
					return nil // lists know it a moment longer
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return durations{}, err
		}
		all.steps = append(all.steps, stepDurations(c, statuses)...)
	}
	return all, nil
}

// stepDurations tells how long the steps of these sagas took. One that ran for none of them is left out.
func stepDurations(c collection, statuses []compensation.Status) []timing {
	took := map[string][]time.Duration{}
	for _, status := range statuses {
		for _, st := range status.Steps {
			if st.Do == compensation.DoDone && !st.StartedAt.IsZero() {
				took[st.Name] = append(took[st.Name], st.EndedAt.Sub(st.StartedAt))
			}
		}
	}
	var all []timing
	for _, step := range c.plan.Steps() {
		if of := took[step.Name]; len(of) > 0 {
			all = append(all, durationOf(c.workflowType, step.Name, of))
		}
	}
	return all
}
