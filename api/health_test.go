package api_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.get(t, "/healthz")

	require.Equal(t, 200, a.status)
	require.JSONEq(t, `{"version":"dev"}`, a.body)
}

func TestNotReadyForTheNamespace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.temporal.lacking = "SagaCustomer"

	a := b.get(t, "/readyz")

	requireProblem(t, a, 503, "namespace_incomplete")
	require.Contains(t, a.json(t, "detail"), "search-attribute create --namespace default --name SagaCustomer --type Keyword")
}

// readyTemporal counts the requests for readiness.
type readyTemporal struct {
	*fakeTemporal
	asked atomic.Int64
}

func (r *readyTemporal) DescribeTaskQueue(
	ctx context.Context, queue string, kind enumspb.TaskQueueType,
) (*workflowservice.DescribeTaskQueueResponse, error) {
	r.asked.Add(1)
	return r.fakeTemporal.DescribeTaskQueue(ctx, queue, kind)
}

func (r *readyTemporal) OperatorService() operatorservice.OperatorServiceClient {
	r.asked.Add(1)
	return r.fakeTemporal.OperatorService()
}

// However many callers ask for readiness, and however often, Temporal is asked once a second, whatever its answer.
func TestReadyIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	description(t) // outside the bubble: other tests use it, too
	synctest.Test(t, func(t *testing.T) {
		temporal := &readyTemporal{fakeTemporal: b.temporal}
		b.handler = api.New(temporal, api.Options{Access: access.Open(), Logger: b.logger()})
		for range 1000 {
			requireProblem(t, b.get(t, "/readyz"), 503, "no_worker")
		}
		require.EqualValues(t, 2, temporal.asked.Load(), "for the search attributes, and for one kind of workers")

		<-time.After(time.Second)
		temporal.pollers = map[enumspb.TaskQueueType][]time.Time{
			enumspb.TASK_QUEUE_TYPE_WORKFLOW: {time.Now()}, enumspb.TASK_QUEUE_TYPE_ACTIVITY: {time.Now()},
		}
		for range 1000 {
			require.Equal(t, 200, b.get(t, "/readyz").status)
		}
		require.EqualValues(t, 5, temporal.asked.Load())
	})
}

// A process that stops says so before it takes no more requests.
func TestNotReadyWhenStopping(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.temporal.pollers = map[enumspb.TaskQueueType][]time.Time{
		enumspb.TASK_QUEUE_TYPE_WORKFLOW: {time.Now()}, enumspb.TASK_QUEUE_TYPE_ACTIVITY: {time.Now()},
	}
	stopping := make(chan struct{})
	b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Logger: b.logger(), Stopping: stopping})

	require.Equal(t, 200, b.get(t, "/readyz").status)
	close(stopping)
	requireProblem(t, b.get(t, "/readyz"), 503, "stopping")
	require.Equal(t, 200, b.get(t, "/healthz").status)
	b.started(t, "/v1/orders", exampleOrder)
}

func TestReady(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// Before how long workers polled.
		workflow, activities []time.Duration
		status               int
		says                 string
	}{
		{"ready", []time.Duration{0}, []time.Duration{0}, 200, `{"workers":1}`},
		{"nobody", nil, nil, 503, "Activity"},
		{"nobody runs workflows", nil, []time.Duration{0}, 503, "Workflow"},
		{"nobody runs activities", []time.Duration{0}, nil, 503, "Activity"},
		{"gone", []time.Duration{2 * time.Minute}, []time.Duration{0}, 503, "Workflow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.temporal.pollers = map[enumspb.TaskQueueType][]time.Time{}
			for kind, ages := range map[enumspb.TaskQueueType][]time.Duration{
				enumspb.TASK_QUEUE_TYPE_WORKFLOW: tt.workflow, enumspb.TASK_QUEUE_TYPE_ACTIVITY: tt.activities,
			} {
				for _, age := range ages {
					b.temporal.pollers[kind] = append(b.temporal.pollers[kind], time.Now().Add(-age))
				}
			}

			a := b.get(t, "/readyz")

			require.Equal(t, tt.status, a.status)
			require.Contains(t, a.body, tt.says)
			if tt.status == 503 {
				requireProblem(t, a, 503, "no_worker")
			}
		})
	}
}
