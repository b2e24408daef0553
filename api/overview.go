package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/amends-dev/amends/compensation"
)

const (
	overviewPath = "/v1/overview"
	// overviewFor is how long an overview is shown before another one is made, however many ask.
	overviewFor = 2 * time.Second
	// overviewQueries is how many of an overview's questions Temporal gets at the same time.
	overviewQueries = 4
	// sampled is how many sagas of a type its durations are taken from.
	sampled = 200
)

func (s *server) routeOverview(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-overview", Method: http.MethodGet, Path: overviewPath, Tags: []string{"sagas"},
		Summary: "Show how all sagas stand",
		Description: fmt.Sprintf("As Temporal's lists know them, so a moment late, and at most %s old. "+
			"Whether books balance only the step services know, at their own `/audit`; the API does not ask them.", overviewFor),
	}, []Code{codeUnavailable}, func(ctx context.Context, _ *struct{}) (*overviewOutput, error) {
		o, err := s.overviews.latest(ctx, strings.Join(seenBy(callerOf(ctx)), " AND "), s.overview)
		if err != nil {
			return nil, err
		}
		return &overviewOutput{Body: o}, nil
	})
}

type overviewOutput struct{ Body *overview }

// overview is how all sagas stand.
type overview struct {
	At           time.Time      `json:"at" doc:"When this was so."`
	Counts       []stateCount   `json:"counts" nullable:"false" doc:"How many sagas there are, by type and state; ended ones as long as Temporal keeps them."`
	Started      window         `json:"started" doc:"How many started lately."`
	Ended        window         `json:"ended" doc:"How many ended lately."`
	Durations    []typeDuration `json:"durations" nullable:"false" doc:"How long the last completed sagas of each type took, from start to end; types of which none is completed are left out."`
	OldestParked *item          `json:"oldest_parked,omitempty" doc:"The saga that waits longest for an operator."`
}

// stateCount is how many sagas of a type are in a state.
type stateCount struct {
	Type  string `json:"type" example:"PlaceOrder"`
	State state  `json:"state"`
	Count int64  `json:"count"`
	Link  string `json:"link" format:"uri-reference" doc:"The list of them."`
}

// window is how often something happened up to now.
type window struct {
	Minute int64 `json:"last_minute"`
	Hour   int64 `json:"last_hour"`
	Day    int64 `json:"last_day"`
}

// typeDuration is how long sagas of a type took.
type typeDuration struct {
	Type   string `json:"type" example:"PlaceOrder"`
	Sample int    `json:"sample" doc:"From how many sagas the figures are: those that were completed last."`
	P50    int64  `json:"p50_ms" doc:"Half of them took no longer, in milliseconds."`
	P95    int64  `json:"p95_ms" doc:"95 of 100 took no longer, in milliseconds."`
}

// overviews keeps the last overview of each scope: what callers see who see the same.
type overviews struct {
	making singleflight.Group
	last   sync.Map
}

// latest is the last overview of the scope, or a new one if that is too old. Only one is made at a time, for all who ask
// meanwhile.
func (c *overviews) latest(ctx context.Context, scope string, ask func(context.Context, time.Time) (*overview, error)) (*overview, error) {
	if kept, ok := c.last.Load(scope); ok {
		if last, _ := kept.(*overview); time.Since(last.At) < overviewFor {
			return last, nil
		}
	}
	made := c.making.DoChan(scope, func() (any, error) {
		// The one who asked first may go, and the others stay.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		o, err := ask(ctx, time.Now().UTC())
		if err == nil {
			c.last.Store(scope, o)
		}
		return o, err
	})
	select {
	case r := <-made:
		o, _ := r.Val.(*overview)
		return o, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// overview asks Temporal how all sagas stand now.
func (s *server) overview(ctx context.Context, now time.Time) (*overview, error) {
	o := &overview{At: now}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(overviewQueries)
	count := func(f Filter, into *int64) {
		g.Go(func() (err error) {
			*into, err = s.count(ctx, f)
			return err
		})
	}

	o.Counts = make([]stateCount, 0, len(collections)*len(states))
	for _, c := range collections {
		for _, st := range states {
			o.Counts = append(o.Counts, stateCount{
				Type: c.workflowType, State: state(st), Link: fmt.Sprintf("%s?type=%s&state=%s", sagasPath, c.workflowType, st),
			})
			last := &o.Counts[len(o.Counts)-1]
			count(Filter{Type: c.workflowType, State: last.State}, &last.Count)
		}
	}
	for ago, into := range map[time.Duration][2]*int64{
		time.Minute:    {&o.Started.Minute, &o.Ended.Minute},
		time.Hour:      {&o.Started.Hour, &o.Ended.Hour},
		24 * time.Hour: {&o.Started.Day, &o.Ended.Day},
	} {
		since := now.Add(-ago).Format(time.RFC3339Nano)
		count(Filter{StartedAfter: since}, into[0])
		count(Filter{EndedAfter: since}, into[1])
	}
	durations := make([]typeDuration, len(collections))
	for i, c := range collections {
		g.Go(func() (err error) {
			durations[i], err = s.durations(ctx, c)
			return err
		})
	}
	g.Go(func() error {
		oldest, err := s.oldestParked(ctx, now)
		if err == nil && oldest != nil {
			o.OldestParked = &items([]*workflowpb.WorkflowExecutionInfo{oldest}, s.sagaItem)[0]
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	o.Durations = slices.DeleteFunc(durations, func(d typeDuration) bool { return d.Sample == 0 })
	return o, nil
}

// count is how many sagas match.
func (s *server) count(ctx context.Context, f Filter) (int64, error) {
	query, faults := f.visibility(callerOf(ctx))
	if len(faults) > 0 {
		return 0, badQuery(faults...)
	}
	return s.countMatching(ctx, query)
}

func (s *server) countMatching(ctx context.Context, query string) (int64, error) {
	found, err := s.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return 0, fmt.Errorf("count sagas, %s: %w", query, err)
	}
	return found.GetCount(), nil
}

// durations tells how long the sagas took that were completed last.
//
// How long each of their steps took is in no history: that of an express step says when it was done, and not when it began.
func (s *server) durations(ctx context.Context, c collection) (typeDuration, error) {
	query, _ := Filter{Type: c.workflowType, State: state(compensation.Completed)}.visibility(callerOf(ctx))
	found, err := s.find(ctx, query, sampled, nil)
	if err != nil {
		return typeDuration{}, err
	}
	var took []int64
	for _, info := range found.GetExecutions() {
		took = append(took, info.GetCloseTime().AsTime().Sub(info.GetStartTime().AsTime()).Milliseconds())
	}
	if len(took) == 0 {
		return typeDuration{}, nil
	}
	slices.Sort(took)
	// The smallest that so many of a hundred do not exceed.
	percentile := func(p int) int64 { return took[(len(took)*p+99)/100-1] }
	return typeDuration{Type: c.workflowType, Sample: len(took), P50: percentile(50), P95: percentile(95)}, nil
}

// longestPark is how long ago a saga can have been parked: longer than one lives.
const longestPark = 20 * 365 * 24 * time.Hour

// oldestParked is the saga that is parked longest; nil if none is. Where there are more than can be read at once, it halves
// the time in which the oldest one was parked until there are not.
func (s *server) oldestParked(ctx context.Context, now time.Time) (oldest *workflowpb.WorkflowExecutionInfo, _ error) {
	f := Filter{State: state(compensation.Parked)}
	early, late := now.Add(-longestPark), now
	for at := now; ; at = early.Add(late.Sub(early) / 2) {
		if !at.Equal(now) {
			f.ParkedBefore = at.Format(time.RFC3339Nano)
		}
		query, _ := f.visibility(callerOf(ctx))
		found, err := s.find(ctx, query, maxSorted, nil)
		if err != nil {
			return nil, err
		}
		parked := found.GetExecutions()
		if len(parked) > 0 {
			oldest = slices.MinFunc(parked, func(a, b *workflowpb.WorkflowExecutionInfo) int {
				return cmp.Compare(parkedKey(a), parkedKey(b))
			})
		}
		switch {
		case len(parked) >= maxSorted:
			late = at
		case len(parked) > 0 || at.Equal(now):
			return oldest, nil
		default:
			early = at
		}
		if late.Sub(early) < time.Second {
			return oldest, nil
		}
	}
}
