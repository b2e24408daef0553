package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/devserver"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/workflows"
)

// listed is how many sagas BenchmarkListSagas has.
const listed = 20_000

// multiply makes one order that runs many sagas: a tenth are returns; of ten, six are completed, two compensated, one is
// parked and one runs, a minute apart, for a thousand customers. Of two, one is of the tenant acme and one of globex, but for a
// thousandth that is of the tenant few; of four, one was started by shop.
const multiply = `
INSERT INTO temporal_visibility.executions_visibility
	(namespace_id, run_id, start_time, execution_time, workflow_id, workflow_type_name, status, close_time, history_length,
	 history_size_bytes, execution_duration, state_transition_count, memo, encoding, task_queue, root_workflow_id, root_run_id, search_attributes)
SELECT e.namespace_id, gen_random_uuid()::text, at, at, kind || '-' || n, CASE kind WHEN 'order' THEN 'PlaceOrder' ELSE 'ReturnOrder' END,
	CASE WHEN n % 10 < 6 THEN 2 WHEN n % 10 < 8 THEN 3 ELSE 1 END,
	CASE WHEN n % 10 < 8 THEN at + interval '2 seconds' END, 15, 9000, 2000000000, 5, e.memo, e.encoding, e.task_queue, '', '',
	jsonb_build_object($1::text, CASE WHEN n % 10 < 6 OR n % 10 = 9 THEN 'running' WHEN n % 10 < 8 THEN 'compensated' ELSE 'parked' END,
		$2::text, 'c-' || (n % 1000), $6::text, CASE WHEN n % 1000 = 517 THEN 'few' WHEN n % 2 = 0 THEN 'acme' ELSE 'globex' END,
		$7::text, CASE WHEN n % 4 = 0 THEN 'key:shop' ELSE 'key:other' END)
	|| CASE WHEN n % 10 IN (6, 7) THEN jsonb_build_object($3::text, CASE WHEN n % 20 < 10 THEN 'ReserveStock' ELSE 'ApproveReturn' END)
		WHEN n % 10 = 8 THEN jsonb_build_object($3::text, 'NotifyCustomer', $4::text, to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
		ELSE '{}' END
FROM temporal_visibility.executions_visibility e,
	LATERAL (SELECT n, e.start_time - n * interval '1 minute' AS at, CASE WHEN n / 10 % 10 = 0 THEN 'return' ELSE 'order' END AS kind
		FROM generate_series(1, $5::int) n) saga
WHERE e.workflow_id = 'order-template'`

// callers are who asks for lists, by what they see.
var callers = map[string]access.Key{
	"all":     {Name: "root", Tenant: "acme", Role: access.Admin},
	"acme":    {Name: "desk", Tenant: "acme", Role: access.Operator},
	"few":     {Name: "desk", Tenant: "few", Role: access.Viewer},
	"nothing": {Name: "desk", Tenant: "initech", Role: access.Viewer},
	"own":     {Name: "shop", Tenant: "acme", Role: access.Starter},
}

// BenchmarkListSagas asks for 50 of 20,000 sagas in PostgreSQL, over HTTP, by each filter, and as callers who don't see all.
func BenchmarkListSagas(b *testing.B) {
	l := sagasToList(b)
	var first struct {
		Items []struct {
			StartedAt time.Time `json:"started_at"`
		}
	}
	require.NoError(b, json.Unmarshal(l.fetch(b, "all", "page_size=1"), &first))
	daysAgo := func(days int) string { return first.Items[0].StartedAt.AddDate(0, 0, -days).Format(time.RFC3339) }
	for _, query := range []string{
		"", "type=PlaceOrder", "type=ReturnOrder", "state=running", "state=compensating", "state=parked", "state=completed", "state=compensated",
		"state=compensated_with_exceptions", "state=terminated", "customer=c-517", "customer=nobody", "step=ReserveStock", "step=NotifyCustomer",
		"step=BookShipment", "started_after=" + daysAgo(1), "started_before=" + daysAgo(13), "ended_after=" + daysAgo(1),
		"ended_before=" + daysAgo(13), "parked_after=" + daysAgo(1), "parked_before=" + daysAgo(13),
		"type=ReturnOrder&state=compensated&step=ApproveReturn&started_after=" + daysAgo(7) + "&started_before=" + daysAgo(6),
		"state=parked&sort=parked_since&parked_before=" + daysAgo(11),
	} {
		b.Run(cmp.Or(query, "all"), func(b *testing.B) { l.measure(b, "all", query) })
	}
	for _, sees := range []string{"acme", "few", "nothing", "own"} {
		for _, query := range []string{"", "state=running", "state=parked", "ended_after=" + daysAgo(1)} {
			b.Run("who sees "+sees+"/"+cmp.Or(query, "all"), func(b *testing.B) { l.measure(b, sees, query) })
		}
	}
}

// lists is the list of an API.
type lists struct {
	url string
	// keys are those of the callers.
	keys map[string]string
}

// measure asks for the list as the caller again and again.
func (l *lists) measure(b *testing.B, caller, query string) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		l.fetch(b, caller, query)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// sagasToList starts Temporal on PostgreSQL and an API on it.
func sagasToList(b *testing.B) *lists {
	b.Helper()
	dsn := pgtest.DSN(b)
	server, err := devserver.Start(b.Context(), devserver.Options{
		PostgresDSN: dsn, SearchAttributes: devserver.SearchAttributes(workflows.SearchAttributes()), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Stop(context.WithoutCancel(b.Context()))) })
	c, err := client.DialContext(b.Context(), client.Options{
		HostPort: server.HostPort(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(b, err)
	b.Cleanup(c.Close)
	_, err = c.ExecuteWorkflow(b.Context(), client.StartWorkflowOptions{
		ID: "order-template", TaskQueue: workflows.TaskQueue, Memo: map[string]any{workflows.MemoFingerprint: "of the request"},
		TypedSearchAttributes: temporal.NewSearchAttributes(compensation.SearchAttributeState.ValueSet("running")),
	}, workflows.TypePlaceOrder)
	require.NoError(b, err)
	require.Eventually(b, func() bool { return count(b, c) == 1 }, time.Minute, 50*time.Millisecond)

	namespace, err := c.WorkflowService().DescribeNamespace(b.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: server.Namespace()})
	require.NoError(b, err)
	columns := map[string]string{}
	for column, name := range namespace.GetConfig().GetCustomSearchAttributeAliases() {
		columns[name] = column
	}
	db, err := pgx.Connect(b.Context(), dsn)
	require.NoError(b, err)
	defer func() { require.NoError(b, db.Close(b.Context())) }()
	_, err = db.Exec(b.Context(), multiply,
		columns["SagaState"], columns["SagaCustomer"], columns["SagaStep"], columns["ParkedSince"], listed,
		columns["SagaTenant"], columns["SagaStarter"])
	require.NoError(b, err)
	_, err = db.Exec(b.Context(), "ANALYZE temporal_visibility.executions_visibility")
	require.NoError(b, err)
	require.Equal(b, listed+1, count(b, c))

	file, keys := filepath.Join(b.TempDir(), "keys.toml"), map[string]string{}
	for name, key := range callers {
		_, keys[name], err = access.CreateKey(b.Context(), file, key)
		require.NoError(b, err)
	}
	ring, err := access.OpenKeyRing(b.Context(), file, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	served := httptest.NewServer(api.New(c, api.Options{Access: access.New(ring, nil), Logger: slog.New(slog.DiscardHandler)}))
	b.Cleanup(served.Close)
	return &lists{served.URL + "/v1/sagas", keys}
}

// count is how many workflows lists have.
func count(b *testing.B, c client.Client) int {
	b.Helper()
	found, err := c.CountWorkflow(b.Context(), &workflowservice.CountWorkflowExecutionsRequest{})
	require.NoError(b, err)
	return int(found.GetCount())
}

func (l *lists) fetch(b *testing.B, caller, query string) []byte {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, l.url+"?"+query, nil)
	require.NoError(b, err)
	request.Header.Set("Authorization", "Bearer "+l.keys[caller])
	answer, err := http.DefaultClient.Do(request)
	require.NoError(b, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(b, err)
	require.NoError(b, answer.Body.Close())
	require.Equal(b, http.StatusOK, answer.StatusCode, "%s", body)
	return body
}
