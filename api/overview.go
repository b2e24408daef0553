package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/compensation"
)

const (
	overviewPath = "/v1/overview"
	// overviewFor is how long an overview is shown before another one is made, however many ask. One is two dozen questions, and
	// each of Temporal's frontends takes ten a second by default.
	overviewFor = 5 * time.Second
	// overviewQueries is how many of an overview's questions Temporal gets at the same time.
	overviewQueries = 4
)

func (s *server) routeOverview(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-overview", Method: http.MethodGet, Path: overviewPath, Tags: []string{"sagas"},
		Summary: "Show how all sagas stand",
		Description: fmt.Sprintf("As Temporal's lists know them, so a moment late, and at most %s old; durations at most %s. "+
			"A schedule, `audit-books`, has a worker ask the step services whether their books balance.", overviewFor, durationsFor),
	}, []Code{codeUnavailable}, func(ctx context.Context, _ *struct{}) (*overviewOutput, error) {
		o, err := s.overviews.latest(ctx, overviewFor, s.overview)
		if err != nil {
			return nil, err
		}
		return &overviewOutput{Body: o}, nil
	})
}

type overviewOutput struct{ Body *overview }

// overview is how all sagas stand.
type overview struct {
	At           time.Time    `json:"at" doc:"When this was so."`
	Counts       []stateCount `json:"counts" nullable:"false" doc:"How many sagas there are, by type and state; ended ones as long as Temporal keeps them."`
	Started      window       `json:"started" doc:"How many started lately."`
	Ended        window       `json:"ended" doc:"How many ended lately."`
	Durations    []timing     `json:"durations" nullable:"false" doc:"How long the last completed sagas of each type took, from start to end; types of which none is completed are left out."`
	Steps        []timing     `json:"steps" nullable:"false" doc:"How long the steps of those took, in the order of the plan, with all tries and the pauses between them."`
	Books        *books       `json:"books,omitempty" doc:"Whether the step services' books balance, as far as the caller sees all sagas; missing before they were asked first."`
	OldestParked *item        `json:"oldest_parked,omitempty" doc:"The saga that waits longest for an operator."`
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
	g.Go(func() error {
		measured, err := s.durations.latest(ctx, durationsFor, s.measure)
		o.Durations, o.Steps = measured.sagas, measured.steps
		return err
	})
	if len(seenBy(callerOf(ctx))) == 0 {
		g.Go(func() (err error) {
			o.Books, err = s.books(ctx)
			return err
		})
	}
	g.Go(func() error {
		oldest, err := s.oldestParked(ctx, now, "")
		if err == nil && oldest != nil {
			o.OldestParked = &items([]*workflowpb.WorkflowExecutionInfo{oldest}, s.sagaItem)[0]
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
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

// longestPark is how long ago a saga can have been parked: longer than one lives.
const longestPark = 20 * 365 * 24 * time.Hour

// oldestParked returns the workflow of that type that has been parked longest, or nil; the type "" stands for all sagas.
// Where there are more than can be read at once, it halves the time in which the oldest one was parked until there are not.
func (s *server) oldestParked(ctx context.Context, now time.Time, workflowType string) (oldest *workflowpb.WorkflowExecutionInfo, _ error) {
	f := Filter{State: state(compensation.Parked), Type: workflowType}
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
