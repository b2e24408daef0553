package api_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

const exampleBatch = `{"act":"retry","filter":{"step":"ReserveStock","parked_before":"2026-05-04T10:00:00Z"},"step":"ReserveStock",` +
	`"by":"grace","reason":"the service is mended"}`

const batchKey = "b1"

// withBatch is an API that has started the example, which matched three sagas, under that ID.
func withBatch(t *testing.T) (b *bundle, a answer, id string) {
	t.Helper()
	b = setup(t)
	b.temporal.count = func(string) int64 { return 3 }
	a = b.ask(t, http.MethodPost, "/v1/batches", exampleBatch, "Idempotency-Key", batchKey)
	require.Equal(t, 202, a.status, a.body)
	id, ok := a.json(t, "id").(string)
	require.True(t, ok)
	return b, a, id
}

func TestStartBatch(t *testing.T) {
	t.Parallel()
	before := time.Now()
	b, a, id := withBatch(t)

	require.Equal(t, "/v1/batches/"+id, a.header.Get("Location"))
	started := b.temporal.sagas["batch-"+id]
	require.Equal(t, "ActOnSagas", started.kind)
	require.Equal(t, "retry of 3 sagas, by grace", started.options.StaticSummary)
	in, ok := started.input.(workflows.BatchInput)
	require.True(t, ok)
	query, until, _ := strings.Cut(in.Query, " AND StartTime <= ")
	require.Equal(t, sagasOf(" AND SagaStep = 'ReserveStock' AND ExecutionStatus = 'Running' AND SagaState = 'parked'"+
		" AND ParkedSince < '2026-05-04T10:00:00Z' AND ExecutionStatus = 'Running'"), query)
	at, err := time.Parse(time.RFC3339, strings.Trim(until, "'"))
	require.NoError(t, err)
	require.WithinRange(t, at, before, time.Now(), "later ones are not meant")
	require.Equal(t, []string{in.Query}, b.temporal.counted)
	require.Equal(t, 10, in.PerSecond)
	require.Equal(t, "retry", in.Batch.Name)
	require.Equal(t, compensation.Act{Step: "ReserveStock", By: "grace", Reason: "the service is mended"}, in.Batch.Act)
	require.EqualValues(t, 3, in.Batch.Matched)

	require.JSONEq(t, a.body, b.get(t, "/v1/batches/"+id).body)
	again := b.ask(t, http.MethodPost, "/v1/batches", exampleBatch, "Idempotency-Key", batchKey)
	require.Equal(t, 202, again.status, again.body)
	require.Equal(t, a.body, again.body)
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	other := strings.Replace(exampleBatch, "mended", "well", 1)
	requireProblem(t, b.ask(t, http.MethodPost, "/v1/batches", other, "Idempotency-Key", batchKey), 422, "idempotency_key_reused")
	require.Equal(t, "running", a.json(t, "state"))
	require.JSONEq(t, `{"step":"ReserveStock","parked_before":"2026-05-04T10:00:00Z"}`, string(encode(t, a.json(t, "filter"))))
	require.Equal(t, "/v1/batches/"+id+"/cancel", a.json(t, "links", "cancel"))
}

// A batch is shown from its memo, so also while no worker runs.
func TestShowBatch(t *testing.T) {
	t.Parallel()
	b, _, id := withBatch(t)
	started := b.temporal.sagas["batch-"+id]
	progress := started.options.Memo[workflows.MemoBatch].(workflows.Batch)
	progress.Done, progress.Failed = 1, 2
	progress.Failures = []workflows.BatchFailure{{Saga: "order-7", Reason: "it has ended"}, {Saga: "order-8", Reason: "no step is parked"}}
	started.info.Memo.Fields = payloads(map[string]any{workflows.MemoBatch: progress})

	a := b.get(t, "/v1/batches/"+id)

	require.InDelta(t, 1, a.json(t, "done"), 0)
	require.InDelta(t, 2, a.json(t, "failed"), 0)
	require.JSONEq(t, `[{"saga":"order-7","reason":"it has ended","link":"/v1/sagas/order-7"},
		{"saga":"order-8","reason":"no step is parked","link":"/v1/sagas/order-8"}]`, string(encode(t, a.json(t, "failures"))))
	for status, state := range map[enumspb.WorkflowExecutionStatus]string{
		enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:  "completed",
		enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED: "failed",
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:   "canceled",
	} {
		b.temporal.end("batch-"+id, status, "", nil)
		ended := b.get(t, "/v1/batches/"+id)
		require.Equal(t, state, ended.json(t, "state"))
		require.Equal(t, "2026-05-04T10:01:00Z", ended.json(t, "ended_at"))
		require.Nil(t, ended.json(t, "links", "cancel"))
	}
}

func TestCancelBatch(t *testing.T) {
	t.Parallel()
	b, _, id := withBatch(t)

	for range 2 {
		a := b.post(t, "/v1/batches/"+id+"/cancel", "")
		require.Equal(t, 202, a.status, a.body)
		require.Equal(t, "canceled", a.json(t, "state"))
	}

	// It takes no body, so no two requests with one key are different ones.
	require.Equal(t, 202, b.post(t, "/v1/batches/"+id+"/cancel", "{}").status)
	requireProblem(t, b.post(t, "/v1/batches/"+id+"/cancel", `{"reason":"why"}`), 400, "malformed")
	requireProblem(t, b.post(t, "/v1/batches/"+id+"/cancel", `["x"]`), 400, "malformed")

	for _, unknown := range []string{"43", "order-" + orderID, "a%20b"} {
		requireProblem(t, b.get(t, "/v1/batches/"+unknown), 404, "not_found")
		requireProblem(t, b.post(t, "/v1/batches/"+unknown+"/cancel", ""), 404, "not_found")
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.temporal.count = func(string) int64 { return 7 }

	a := b.post(t, "/v1/batches", strings.Replace(exampleBatch, `"act"`, `"dry_run":true,"act"`, 1))

	require.Equal(t, 200, a.status, a.body)
	require.JSONEq(t, `{"matched":7}`, a.body)
	require.Empty(t, b.temporal.sagas)
	require.NotContains(t, b.log.String(), "msg=act ", "nobody did anything")

	// Nothing was done with its key; but a key with which something was done is not free for a dry run.
	dry := strings.Replace(exampleBatch, `"act"`, `"dry_run":true,"act"`, 1)
	require.Equal(t, 200, b.ask(t, http.MethodPost, "/v1/batches", dry, "Idempotency-Key", "k").status)
	require.Equal(t, 202, b.ask(t, http.MethodPost, "/v1/batches", exampleBatch, "Idempotency-Key", "k").status)
	requireProblem(t, b.ask(t, http.MethodPost, "/v1/batches", dry, "Idempotency-Key", "k"), 422, "idempotency_key_reused")
}

// A batch that is repeated gets the answer of the first one, even when a new one would come too late.
func TestBatchAgainAfterItsDeadline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	description(t) // outside the bubble: other tests use it, too
	synctest.Test(t, func(t *testing.T) {
		b.temporal.count = func(string) int64 { return 1 }
		body := `{"act":"extend-deadline","filter":{"state":"parked"},"reason":"why","deadline":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
		ask := func(key string) answer {
			return b.ask(t, http.MethodPost, "/v1/batches", body, "Idempotency-Key", key)
		}
		first := ask("k")
		require.Equal(t, 202, first.status, first.body)
		<-time.After(2 * time.Hour)
		again := ask("k")
		require.Equal(t, 202, again.status, again.body)
		require.Equal(t, first.body, again.body)
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
		requireProblem(t, ask("l"), 422, "invalid", "/deadline: must be in the future")
	})
}

// Temporal would silently shorten a deadline in the year 9999 to a hundred years from now.
func TestDeadlineBeyondWhatTemporalKeeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.started(t, "/v1/orders", exampleOrder)
		latest := time.Now().UTC().Add(100 * 365 * 24 * time.Hour)
		fault := "/deadline: must be before " + latest.Format(time.RFC3339) + ", the latest that Temporal keeps"
		for _, far := range []string{"9999-12-31T23:59:59Z", latest.Add(time.Second).Format(time.RFC3339)} {
			one := `{"by":"grace","reason":"why","deadline":"` + far + `"}`
			requireProblem(t, b.ask(t, http.MethodPost, "/v1/sagas/order-"+orderID+"/extend-deadline", one, "If-Match", "*"), 422, "invalid", fault)
			many := `{"act":"extend-deadline","filter":{"state":"parked"},"by":"grace","reason":"why","deadline":"` + far + `"}`
			requireProblem(t, b.post(t, "/v1/batches", many), 422, "invalid", fault)
		}
		require.Empty(t, b.temporal.updates)
	})
}

func TestBatchIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, fault string }{
		{"everything", `{"act":"cancel","filter":{},"by":"grace","reason":"why"}`, "/filter: chooses every saga there is"},
		{"no filter", `{"act":"cancel","by":"grace","reason":"why"}`, "/filter: is missing"},
		{"filter", `{"act":"cancel","filter":{"step":"BakeCake"},"by":"grace","reason":"why"}`, "/filter/step: is no step of these sagas"},
		{
			"time", `{"act":"cancel","filter":{"started_after":"1900-01-01T00:00:00Z"},"by":"grace","reason":"why"}`,
			"/filter/started_after: must be a time of RFC 3339 from 1970 to 2199",
		},
		{
			"customer", `{"act":"cancel","filter":{"customer":" o'hara"},"by":"grace","reason":"why"}`,
			"/filter/customer: must be a customer's ID: 1 to 120 printable characters, with no space at either end",
		},
		{
			"step of a cancel", `{"act":"cancel","filter":{"state":"parked"},"step":"BookShipment","by":"grace","reason":"why"}`,
			"/step: cancel is about the saga and not about a step",
		},
		{"unknown step", `{"act":"skip","filter":{"state":"parked"},"step":"BakeCake","by":"grace","reason":"why"}`, "/step: is no step of any saga"},
		{"no reference", `{"act":"mark-done","filter":{"state":"parked"},"by":"grace","reason":"why"}`, "/reference: is missing"},
		{
			"of a pivot", `{"act":"mark-happened","filter":{"state":"parked"},"by":"grace","reason":"why","reference":"T-1"}`,
			`/act: expected value to be one of "cancel, retry, skip, mark-done, extend-deadline"`,
		},
		{"no deadline", `{"act":"extend-deadline","filter":{"state":"parked"},"by":"grace","reason":"why"}`, "/deadline: must be in the future"},
		{
			"deadline", `{"act":"extend-deadline","filter":{"state":"parked"},"deadline":"2020-01-01T00:00:00Z","by":"grace","reason":"why"}`,
			"/deadline: must be in the future",
		},
		{
			"too fast", `{"act":"cancel","filter":{"state":"parked"},"per_second":101,"by":"grace","reason":"why"}`,
			"/per_second: expected number <= 100",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			requireProblem(t, b.post(t, "/v1/batches", tt.body), 422, "invalid", tt.fault)
			require.Empty(t, b.temporal.sagas)
		})
	}
}
