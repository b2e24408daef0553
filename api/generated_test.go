package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

const (
	generatedShards   = 10
	generatedRequests = 1000 // of each shard
	// generatedHeap is how much all handlers together may still hold after all requests.
	generatedHeap = 2 << 20
	// generatedPatience is how long a saga is followed, which has no end of its own.
	generatedPatience = 2 * time.Second
)

// Requests made from the description, some valid, some broken, some hostile: each is answered as the description says,
// none with a 500, and none leaves anything behind. A shard is the same every time. It is not parallel to other tests, which
// would use memory while it measures.
func TestGeneratedRequests(t *testing.T) {
	longtest.Skip(t)
	operations := describedOperations(t)
	bundles := make([]*bundle, generatedShards)
	statuses := make([]map[string]int, generatedShards)
	for i := range bundles {
		b := setup(t)
		b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Rate: 20, Burst: 20, Logger: quiet})
		b.temporal.count = func(string) int64 { return 7 }
		bundles[i], statuses[i] = b, map[string]int{}
	}
	for g, n := newGenerator(0), 0; n < generatedRequests; n++ {
		g.request(pick(g, operations)) // the generator of strings for a pattern keeps its tables
	}
	before := heap()

	t.Run("shards", func(t *testing.T) {
		for shard := range generatedShards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b, g := bundles[shard], newGenerator(uint64(shard))
					b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return g.workerAnswer() }
					for n := range generatedRequests {
						b.populate(t)
						b.populateBatch(t)
						op := pick(g, operations)
						r, text := g.request(op)
						b.see(t, r)
						a := b.doGenerated(t, r, fmt.Sprintf("request %d of shard %d: %s", n, shard, text))
						statuses[shard][fmt.Sprintf("%s %d", op.id, a.status)]++
					}
					b.forget()
				})
			})
		}
	})

	grown := int64(heap()) - int64(before)
	require.Less(t, grown, int64(generatedHeap), "bytes more than before")
	runtime.KeepAlive(bundles)
	requireAllReached(t, operations, statuses)
}

// see gives a request the ETag of its saga, in place of asSeen.
func (b *bundle) see(t *testing.T, r *http.Request) {
	t.Helper()
	if r.Header.Get("If-Match") != asSeen {
		return
	}
	if parts := strings.Split(r.URL.EscapedPath(), "/"); len(parts) > 3 {
		r.Header.Set("If-Match", b.get(t, strings.Join(parts[:4], "/")).header.Get("ETag"))
	}
}

// doGenerated serves a request, and says which one it was if its answer is not what it should be.
func (b *bundle) doGenerated(t *testing.T, r *http.Request, text string) answer {
	t.Helper()
	asExpected := false
	defer func() {
		if !asExpected {
			t.Log(text)
		}
	}()
	if strings.HasSuffix(r.URL.Path, "/events") {
		ctx, cancel := context.WithTimeout(r.Context(), generatedPatience)
		defer cancel()
		r = r.WithContext(ctx)
	}
	a := b.do(t, r)
	require.NotEqual(t, http.StatusInternalServerError, a.status, a.body)
	asExpected = true
	return a
}

// forget leaves nothing in Temporal.
func (b *bundle) forget() {
	b.temporal.sagas, b.temporal.taken = map[string]*saga{}, map[string]fakeUpdate{}
	b.temporal.updates, b.temporal.listed, b.temporal.counted = nil, nil, nil
}

// populate makes Temporal what it was before the first request: an order of every kind, and a return.
func (b *bundle) populate(t *testing.T) {
	t.Helper()
	euro := order.Money{Amount: 100, Currency: "EUR"}
	b.forget()
	for id, end := range map[string]struct {
		status enumspb.WorkflowExecutionStatus
		state  compensation.State
		result any
	}{
		"order-42":   {},
		"order-43":   {enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Completed, workflows.Receipt{Total: euro, Paid: euro}},
		"order-44":   {enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, compensation.Running, nil},
		"return-r1":  {},
		"return-r-2": {enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Completed, workflows.RefundReceipt{Refunded: euro}},
	} {
		kind := workflows.TypePlaceOrder
		if strings.HasPrefix(id, "return") {
			kind = workflows.TypeReturnOrder
		}
		_, err := b.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id}, kind, nil)
		require.NoError(t, err)
		if end.status != enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED {
			b.temporal.end(id, end.status, end.state, end.result)
		}
	}
}

// populateBatch adds a batch that runs.
func (b *bundle) populateBatch(t *testing.T) {
	t.Helper()
	batch := workflows.Batch{Name: compensation.UpdateRetry, Act: compensation.Act{By: "grace"}, Filter: json.RawMessage(`{"state":"parked"}`), StartedAt: startTime}
	_, err := b.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: workflows.BatchWorkflowID("b1"), Memo: map[string]any{workflows.MemoBatch: batch},
	}, workflows.TypeActOnSagas, nil)
	require.NoError(t, err)
}

// workerAnswer is what a worker may say to an update.
func (g *generator) workerAnswer() (any, error) {
	switch g.IntN(6) {
	case 0:
		return nil, errBusy
	case 1:
		return nil, serviceerror.NewNotFound("ended")
	case 2:
		return nil, temporal.NewApplicationError("too late", compensation.ErrTypeTooLate)
	case 3:
		return nil, temporal.NewApplicationError("the step is not parked", compensation.ErrTypeActRefused)
	default:
		return compensation.Compensating, nil
	}
}

// requireAllReached asserts that the requests are worth their name: each operation was done, and was refused.
func requireAllReached(t *testing.T, operations []operation, shards []map[string]int) {
	t.Helper()
	seen, total := map[string]int{}, 0
	for _, statuses := range shards {
		for key, n := range statuses {
			seen[key] += n
			total += n
		}
	}
	require.Equal(t, generatedShards*generatedRequests, total)
	for _, op := range operations {
		done, refused := 0, 0
		for key, n := range seen {
			var id string
			var status int
			_, err := fmt.Sscan(key, &id, &status)
			require.NoError(t, err)
			switch {
			case id != op.id:
			case status < 400:
				done += n
			default:
				refused += n
			}
		}
		require.Positive(t, refused, "%s was never refused: %v", op.id, slices.Sorted(maps.Keys(seen)))
		if op.id != "readyz" { // nobody polls the fake
			require.Positive(t, done, "%s was never done: %v", op.id, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// heap is what lives on it.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one has finalized
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// describedOperations are those of the API's own description.
func describedOperations(t *testing.T) []operation {
	t.Helper()
	_, doc := described(t)
	var all []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, operation{id: op.OperationID, method: method, path: path, Operation: op})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return all
}
