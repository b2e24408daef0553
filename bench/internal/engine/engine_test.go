package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/amends-dev/amends/bench/internal/steps"
	"github.com/amends-dev/amends/compensation"
)

// fake is an engine whose sagas do nothing.
type fake struct {
	mu   sync.Mutex
	ran  map[string]Case
	fail string
}

func (f *fake) Run(_ context.Context, id string, c Case) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, again := f.ran[id]; again {
		return fmt.Errorf("%s runs twice", id)
	}
	f.ran[id] = c
	if f.fail != "" && strings.Contains(id, f.fail) {
		return errors.New("an effect stands")
	}
	return nil
}

func (f *fake) History(_ context.Context, id string) (History, error) {
	if id == "unknown" {
		return History{}, errors.New("no such saga")
	}
	return History{Events: float64(len(id)), Bytes: 100}, nil
}

func (*fake) Close() error { return nil }

func newFake(t *testing.T) (*fake, Client) {
	t.Helper()

	f := &fake{ran: make(map[string]Case)}
	server := httptest.NewServer(NewHandler(f))
	t.Cleanup(server.Close)
	return f, Client{URL: server.URL}
}

func TestEachClientRunsAtLeastOneSaga(t *testing.T) {
	t.Parallel()

	f, c := newFake(t)
	out, err := c.Run(t.Context(), Load{Prefix: "p", Case: Failing, Clients: 30})

	require.NoError(t, err)
	require.Len(t, out.Latencies, 30)
	require.Positive(t, out.PerSecond)
	require.Len(t, f.ran, 30)
	require.Equal(t, Failing, f.ran["p-29-0"])
	require.Len(t, out.Sample, maxSample)
	require.Subset(t, keys(f.ran), out.Sample)
}

func TestProcessesShareALoad(t *testing.T) {
	t.Parallel()

	first, a := newFake(t)
	second, b := newFake(t)
	third, c := newFake(t)
	out, err := Clients{a, b, c}.Run(t.Context(), Load{Prefix: "p", Case: Success, Clients: 20})

	require.NoError(t, err)
	require.Equal(t, []int{6, 7, 7}, []int{len(first.ran), len(second.ran), len(third.ran)})
	require.Len(t, out.Latencies, 20)
	require.Len(t, out.Sample, maxSample)
	require.Contains(t, third.ran, "p-2-6-0", "each names its sagas differently")
	require.Positive(t, out.PerSecond)

	out, err = Clients{a, b, c}.Run(t.Context(), Load{Prefix: "r", Case: Success, Clients: 1})
	require.NoError(t, err)
	require.Len(t, out.Latencies, 1, "not one for each process")

	third.fail = "s-2-"
	_, err = Clients{a, b, c}.Run(t.Context(), Load{Prefix: "s", Case: Success, Clients: 20})
	require.ErrorContains(t, err, "an effect stands")
}

func TestClientsGoOnUntilTheTimeIsOver(t *testing.T) {
	t.Parallel()

	f, c := newFake(t)
	out, err := c.Run(t.Context(), Load{Prefix: "p", Case: Success, Clients: 2, For: 20 * time.Millisecond})

	require.NoError(t, err)
	require.Greater(t, len(out.Latencies), 2)
	require.Len(t, f.ran, len(out.Latencies))
}

func TestSagaThatEndsWronglyEndsTheLoad(t *testing.T) {
	t.Parallel()

	f, c := newFake(t)
	f.fail = "p-3-"
	_, err := c.Run(t.Context(), Load{Prefix: "p", Case: Success, Clients: 5})

	require.EqualError(t, err, "saga p-3-0: an effect stands")
}

func TestHistoryIsTheMean(t *testing.T) {
	t.Parallel()

	_, c := newFake(t)
	h, err := c.History(t.Context(), []string{"1", "333"})
	require.NoError(t, err)
	require.Equal(t, History{Events: 2, Bytes: 100}, h)

	_, err = c.History(t.Context(), []string{"unknown"})
	require.EqualError(t, err, "no such saga")
}

func keys(m map[string]Case) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	return all
}

func TestCheckEnd(t *testing.T) {
	t.Parallel()

	refusal, other := &steps.Refusal{Step: steps.Pivot, Detail: "no"}, errors.New("out of time")
	isRefusal := func(err error) bool { return errors.Is(err, refusal) }
	all := make([]string, steps.Count)
	for name, tt := range map[string]struct {
		c          Case
		references []string
		err        error
		want       string
	}{
		"completed":              {Success, all, nil, ""},
		"completed with too few": {Success, all[1:], nil, "completed with 9 references"},
		"failed":                 {Success, nil, refusal, "Step10 refused: no"},
		"refused":                {Failing, nil, fmt.Errorf("saga: %w", refusal), ""},
		"did not fail":           {Failing, all, nil, "although its last step refuses"},
		"failed otherwise":       {Failing, nil, other, "not because its last step refused: out of time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := checkEnd(tt.c, tt.references, tt.err, isRefusal)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}

// Each Temporal engine leaves the books as they must be, by its workflow alone.
func TestTemporalSagas(t *testing.T) {
	t.Parallel()

	for name, tt := range map[Name]struct {
		saga     any
		activity func(*steps.Client) any
	}{
		Plain:  {plainSaga, func(c *steps.Client) any { return &plainActivities{c} }},
		Amends: {amendsSaga, func(c *steps.Client) any { return &participant{steps: c} }},
	} {
		for _, c := range Cases {
			t.Run(string(name)+"/"+string(c), func(t *testing.T) {
				t.Parallel()

				server := httptest.NewServer(steps.NewHandler())
				t.Cleanup(server.Close)
				books := steps.NewClient(server.URL)
				var suite testsuite.WorkflowTestSuite
				env := suite.NewTestWorkflowEnvironment()
				env.SetWorkerOptions(worker.Options{Plugins: []worker.Plugin{compensation.NewPlugin()}})
				env.RegisterActivity(tt.activity(books))
				env.ExecuteWorkflow(tt.saga, "saga-1", c)

				var references []string
				err := env.GetWorkflowError()
				if err == nil {
					require.NoError(t, env.GetWorkflowResult(&references))
				}
				require.NoError(t, checkEnd(c, references, err, isRefusal))
				left, err := books.Books(t.Context())
				require.NoError(t, err)
				require.NoError(t, left.Check(1, c == Failing))
			})
		}
	}
}
