package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/workflows"
)

// Somebody else's saga is as one that is not there, whatever is asked of it.
func TestSomebodyElsesSaga(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{},
		"starter@acme", "starter-2@acme", "viewer@acme", "operator@acme", "starter@globex", "viewer@globex", "operator@globex", "admin@globex")
	order := g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	g.temporal.end("order-"+order, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, receipt)
	returned := g.placed(t, "starter@acme", "/v1/returns", strings.Replace(exampleReturn, orderID, order, 1))
	g.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Running, nil }

	requests := []struct {
		method, path, body string
		// acts are for operators only, starts and steers not for viewers.
		may string
	}{
		{http.MethodGet, "/v1/orders/" + order, "", "starter viewer operator admin"},
		{http.MethodGet, "/v1/returns/" + returned, "", "starter viewer operator admin"},
		{http.MethodGet, "/v1/sagas/order-" + order, "", "starter viewer operator admin"},
		{http.MethodGet, "/v1/sagas/order-" + order + "/events", "", "starter viewer operator admin"},
		{http.MethodPost, "/v1/returns/" + returned + "/cancel", "{}", "starter operator admin"},
		{http.MethodPost, "/v1/returns/" + returned + "/arrival", `{"condition":"resalable"}`, "starter operator admin"},
		{http.MethodPost, "/v1/sagas/return-" + returned + "/steps/BookReturn/retry", "{}", "operator admin"},
		{http.MethodPost, "/v1/sagas/return-" + returned + "/steps/BookReturn/skip", `{"reason":"lost"}`, "operator admin"},
		{http.MethodPost, "/v1/sagas/return-" + returned + "/steps/BookReturn/mark-done", `{"reason":"lost","reference":"T-1"}`, "operator admin"},
		{http.MethodPost, "/v1/sagas/return-" + returned + "/steps/RefundPayment/mark-happened", `{"reason":"seen","reference":"T-1"}`, "operator admin"},
		{http.MethodPost, "/v1/sagas/return-" + returned + "/steps/RefundPayment/mark-prevented", `{"reason":"blocked","reference":"T-1"}`, "operator admin"},
		{http.MethodPost, "/v1/sagas/return-" + returned + "/extend-deadline", `{"reason":"lost","deadline":"2027-01-31T12:00:00Z"}`, "operator admin"},
		{http.MethodPost, "/v1/orders/" + order + "/cancel", "{}", "starter operator admin"},
		{http.MethodPost, "/v1/orders/" + order + "/approval", `{"approved":true}`, "operator admin"},
		{http.MethodPost, "/v1/sagas/order-" + order + "/cancel", "{}", "starter operator admin"},
		{http.MethodPost, "/v1/sagas/order-" + order + "/approval", `{"approved":true}`, "operator admin"},
	}
	tag := func(path string) string {
		saga := "/v1/sagas/" + strings.Split(path, "/")[3]
		return g.as(t, "admin@globex", http.MethodGet, saga, "").header.Get("ETag")
	}
	for _, r := range requests {
		for _, caller := range []string{"starter-2@acme", "starter@globex", "viewer@globex", "operator@globex"} {
			role, _, _ := strings.Cut(strings.Replace(caller, "-2", "", 1), "@")
			if !slices.Contains(strings.Fields(r.may), role) {
				continue
			}
			a := g.as(t, caller, r.method, r.path, r.body, "Prefer", "wait=30", "If-None-Match", `"x"`, "If-Match", "*")
			requireProblem(t, a, 404, "not_found")
			require.Equal(t, "Nothing has this ID.", a.json(t, "detail"), "%s by %s", r.path, caller)
			require.Nil(t, a.json(t, "state"))
		}
	}
	require.Empty(t, g.temporal.updates, "nothing reached it")
	requireProblem(t, g.as(t, "starter-2@acme", http.MethodPost, "/v1/returns", strings.Replace(exampleReturn, orderID, order, 1)),
		422, "unknown_order", "/order_id: no order has this ID")

	for _, r := range requests {
		for _, caller := range []string{"starter@acme", "viewer@acme", "operator@acme", "admin@globex"} {
			role, _, _ := strings.Cut(caller, "@")
			if !slices.Contains(strings.Fields(r.may), role) {
				continue
			}
			var headers []string
			if strings.HasPrefix(r.path, "/v1/sagas/") && r.method == http.MethodPost {
				headers = []string{"If-Match", tag(r.path)}
			}
			a := g.as(t, caller, r.method, r.path, r.body, headers...)
			require.NotContains(t, []int{401, 403, 404, 412, 428, 500}, a.status, "%s by %s: %s", r.path, caller, a.body)
		}
	}
}

// A saga from before there were tenants is for admins.
func TestSagaWithoutATenant(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "viewer@acme", "operator@acme", "admin@acme")
	order := g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	s := g.temporal.end("order-"+order, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, receipt)
	s.info.SearchAttributes = attributes(compensation.Running)

	for _, caller := range []string{"starter@acme", "viewer@acme", "operator@acme"} {
		requireProblem(t, g.as(t, caller, http.MethodGet, "/v1/orders/"+order, ""), 404, "not_found")
	}
	require.Equal(t, 200, g.as(t, "admin@acme", http.MethodGet, "/v1/orders/"+order, "").status)
	g.placed(t, "admin@acme", "/v1/returns", strings.Replace(exampleReturn, orderID, order, 1))
}

// The return of an order is its tenant's, whoever asks for it.
func TestReturnIsTheOrdersTenants(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "viewer@acme", "admin@support", "viewer@support")
	order := g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	g.temporal.end("order-"+order, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, receipt)

	returned := g.placed(t, "admin@support", "/v1/returns", strings.Replace(exampleReturn, orderID, order, 1))
	require.Equal(t, 200, g.as(t, "viewer@acme", http.MethodGet, "/v1/returns/"+returned, "").status)
	require.Equal(t, 404, g.as(t, "viewer@support", http.MethodGet, "/v1/returns/"+returned, "").status)
	require.Equal(t, 404, g.as(t, "starter@acme", http.MethodGet, "/v1/returns/"+returned, "").status, "it did not start it")
}

func TestListsShowWhatTheCallerSees(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "viewer@acme", "operator@acme", "admin@acme")
	for caller, want := range map[string]string{
		"starter@acme":  " AND SagaTenant = 'acme' AND SagaStarter = 'key:starter@acme'",
		"viewer@acme":   " AND SagaTenant = 'acme'",
		"operator@acme": " AND SagaTenant = 'acme'",
		"admin@acme":    "",
	} {
		g.temporal.listed = nil
		require.Equal(t, 200, g.as(t, caller, http.MethodGet, "/v1/returns", "").status)
		require.Equal(t, 200, g.as(t, caller, http.MethodGet, "/v1/returns?state=terminated", "").status)
		require.Equal(t, "WorkflowType = 'ReturnOrder'"+want, g.temporal.listed[0].GetQuery())
		require.True(t, strings.HasSuffix(g.temporal.listed[1].GetQuery(), "))"+strings.TrimPrefix(")"+want, ")")), g.temporal.listed[1].GetQuery())
	}
}

// A batch acts on what its caller sees, is its tenant's, and is on record.
func TestBatchIsTheTenants(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "operator@acme", "viewer@acme", "operator@globex", "admin@globex")
	g.temporal.count = func(string) int64 { return 3 }
	batch := g.placed(t, "operator@acme", "/v1/batches", exampleBatch)

	require.Contains(t, g.temporal.counted[0], " AND SagaTenant = 'acme' AND ")
	in, ok := g.temporal.sagas["batch-"+batch].input.(workflows.BatchInput)
	require.True(t, ok)
	require.Equal(t, g.temporal.counted[0], in.Query)
	require.Equal(t, "grace (via operator@acme)", in.Batch.Act.By)
	for _, caller := range []string{"operator@acme", "viewer@acme", "admin@globex"} {
		require.Equal(t, 200, g.as(t, caller, http.MethodGet, "/v1/batches/"+batch, "").status, caller)
	}
	requireProblem(t, g.as(t, "operator@globex", http.MethodGet, "/v1/batches/"+batch, ""), 404, "not_found")
	requireProblem(t, g.as(t, "operator@globex", http.MethodPost, "/v1/batches/"+batch+"/cancel", ""), 404, "not_found")
	require.Equal(t, "running", g.as(t, "viewer@acme", http.MethodGet, "/v1/batches/"+batch, "").json(t, "state"))
	require.Equal(t, 202, g.as(t, "operator@acme", http.MethodPost, "/v1/batches/"+batch+"/cancel", "").status)

	require.Contains(t, g.log.String(), `act="batch of retry" caller=key:operator@acme by="grace (via operator@acme)" role=operator tenant=acme saga=batch-`+batch)
	require.Contains(t, g.log.String(), `act=cancel caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=batch-`+batch)
}

// An overview counts what its caller sees, and callers who see the same share it.
func TestOverviewIsTheTenants(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "viewer@acme", "operator@acme", "viewer@globex", "admin@acme")
	g.temporal.count = func(query string) int64 {
		switch {
		case strings.HasSuffix(query, " AND SagaTenant = 'acme'"):
			return 1
		case strings.HasSuffix(query, " AND SagaTenant = 'globex'"):
			return 2
		}
		return 3
	}
	for _, caller := range []string{"viewer@acme", "operator@acme", "viewer@globex", "admin@acme"} {
		a := g.as(t, caller, http.MethodGet, "/v1/overview", "")
		want := map[string]float64{"viewer@acme": 1, "operator@acme": 1, "viewer@globex": 2, "admin@acme": 3}[caller]
		require.InDelta(t, want, a.json(t, "started", "last_day"), 0, caller)
		for _, list := range g.temporal.listed {
			if caller != "admin@acme" {
				require.Contains(t, list.GetQuery(), " AND SagaTenant = '", caller)
			}
		}
	}
	require.Len(t, g.temporal.counted, 3*20, "one overview for each of what is seen: 14 states, 6 windows")
}

// A stream ends when its caller is known no more.
func TestStreamOfARevokedKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(dir, "keys.toml")
		key, text, err := access.CreateKey(t.Context(), file, access.Key{Name: "shop", Tenant: "acme", Role: access.Starter})
		require.NoError(t, err)
		ring, err := access.OpenKeyRing(t.Context(), file, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		b := setup(t)
		b.handler = api.New(b.temporal, api.Options{Access: access.New(ring, nil), Logger: b.logger()})
		order, ok := b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Authorization", "Bearer "+text).json(t, "id").(string)
		require.True(t, ok)

		ended := make(chan time.Time)
		go func() {
			r := httptest.NewRequest(http.MethodGet, "/v1/sagas/order-"+order+"/events", nil)
			r.Header.Set("Authorization", "Bearer "+text)
			b.handler.ServeHTTP(httptest.NewRecorder(), r)
			ended <- time.Now()
		}()
		<-time.After(10 * time.Minute)
		select {
		case <-ended:
			require.Fail(t, "the stream ended")
		default:
		}
		_, err = access.RevokeKey(t.Context(), file, key.ID)
		require.NoError(t, err)
		revoked := time.Now()
		select {
		case at := <-ended:
			require.Less(t, at.Sub(revoked), 62*time.Second)
		case <-time.After(time.Hour):
			b.temporal.end("order-"+order, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, receipt)
			<-ended
			require.Fail(t, "the stream goes on")
		}
	})
}

// A caller whose key is revoked while they wait gets nothing that they could not have had before.
func TestWaitsOfARevokedKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	description(t) // outside the bubble: other tests use it, too
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(dir, "keys.toml")
		key, text, err := access.CreateKey(t.Context(), file, access.Key{Name: "shop", Tenant: "acme", Role: access.Starter})
		require.NoError(t, err)
		ring, err := access.OpenKeyRing(t.Context(), file, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		b := setup(t)
		b.handler = api.New(b.temporal, api.Options{Access: access.New(ring, nil), Logger: b.logger()})
		authorization := []string{"Authorization", "Bearer " + text}
		order, ok := b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, authorization...).json(t, "id").(string)
		require.True(t, ok)
		var waiting sync.WaitGroup
		for _, path := range []string{"/v1/orders/" + order, "/v1/sagas/order-" + order} {
			tag := b.ask(t, http.MethodGet, path, "", authorization...).header.Get("ETag")
			waiting.Go(func() {
				a := b.ask(t, http.MethodGet, path, "", append(authorization, "If-None-Match", tag, "Prefer", "wait=60")...)
				requireProblem(t, a, 401, "unauthenticated")
			})
		}
		waiting.Go(func() {
			a := b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, append(authorization, "Prefer", "wait=60")...)
			require.Equal(t, 202, a.status, "it was taken before; how it ended is not told")
			require.Equal(t, "running", a.json(t, "state"))
		})
		<-time.After(10 * time.Second)
		_, err = access.RevokeKey(t.Context(), file, key.ID)
		require.NoError(t, err)
		<-time.After(10 * time.Second)
		b.temporal.end("order-"+order, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, compensation.Running, receipt)
		waiting.Wait()
	})
}

// Callers behind one address have a limit each, and one has the same from everywhere.
func TestLimitsAreTheCallers(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{Rate: 0.001, Burst: 2}, "viewer@acme", "viewer@globex")
	from := func(addr, caller string) int {
		r := httptest.NewRequest(http.MethodGet, "/v1/saga-types", nil)
		r.RemoteAddr = addr
		if caller != "" {
			r.Header.Set("Authorization", "Bearer "+g.keys[caller])
		}
		return g.do(t, r).status
	}
	require.Equal(t, 200, from("192.0.2.1:1", "viewer@acme"))
	require.Equal(t, 200, from("192.0.2.2:1", "viewer@acme"))
	require.Equal(t, 429, from("192.0.2.3:1", "viewer@acme"))
	require.Equal(t, 200, from("192.0.2.1:1", "viewer@globex"))
	require.Equal(t, []int{401, 401, 429}, []int{from("192.0.2.1:1", ""), from("192.0.2.1:2", ""), from("192.0.2.1:3", "")}, "guesses count for their address")
}

// Two callers with the same Idempotency-Key ask for two things.
func TestKeysCountWithinTheCaller(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "starter@globex")
	ours := g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	require.Equal(t, ours, g.placed(t, "starter@acme", "/v1/orders", exampleOrder))
	require.Equal(t, api.IDOf("acme/key:starter@acme", "/v1/orders", orderKey), ours)
	require.NotEqual(t, ours, g.placed(t, "starter@globex", "/v1/orders", exampleOrder))
}
