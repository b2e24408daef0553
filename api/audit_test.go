package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// The history has who acted, and by which key.
func TestActor(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "operator@acme")
	order := g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	g.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Running, nil }
	decide := func(by string) any {
		a := g.as(t, "operator@acme", http.MethodPost, "/v1/orders/"+order+"/approval", `{"approved":true`+by+`}`)
		require.Equal(t, 202, a.status, a.body)
		return g.temporal.updates[len(g.temporal.updates)-1].Args[0]
	}

	require.Equal(t, workflows.Approval{Approved: true, By: "operator@acme"}, decide(""))
	require.Equal(t, workflows.Approval{Approved: true, By: "operator@acme"}, decide(`,"by":" "`))
	require.Equal(t, workflows.Approval{Approved: true, By: "grace (via operator@acme)"}, decide(`,"by":"grace"`))
}

// What people do to sagas is logged: also what was refused, and where it came from.
func TestAudit(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, "starter@acme", "operator@acme")
	order := g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	g.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Running, nil }

	for _, tt := range []struct {
		path, body string
		// seen is the saga that the operator has seen.
		seen   string
		status int
		want   string
	}{
		{
			"/v1/sagas/order-" + order + "/steps/ReserveStock/skip", `{"by":"grace","reason":"lost"}`, "order-" + order, 200,
			`act=skip caller=key:operator@acme by="grace (via operator@acme)" role=operator tenant=acme saga=order-` + order +
				` step=ReserveStock reason=lost outcome=done request_id=r-1 remote=198.51.100.7`,
		},
		{
			"/v1/sagas/order-" + order + "/steps/ReserveStock/mark-done", `{"reason":"lost","reference":"T-1"}`, "", 428,
			`act=mark-done caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order +
				` step=ReserveStock reason=lost outcome=precondition_required request_id=r-1 remote=198.51.100.7`,
		},
		{
			"/v1/sagas/order-" + order + "/extend-deadline", `{"reason":"mending","deadline":"2027-01-31T12:00:00Z"}`, "order-" + order, 200,
			`act=extend-deadline caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order +
				` step="" reason=mending outcome=done `,
		},
		{"/v1/sagas/order-1/steps/ReserveStock/retry", `{}`, "", 404, `act=retry caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-1 step=ReserveStock reason="" outcome=not_found `},
		{"/v1/orders/" + order + "/approval", `{"approved":false,"reason":"odd"}`, "", 202, `act=reject caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step="" reason=odd outcome=done `},
		{"/v1/orders/" + order + "/approval", `{"approved":true}`, "", 202, `act=approve caller=key:operator@acme `},
		{"/v1/orders/" + order + "/cancel", `{"reason":"twice"}`, "", 202, `act=cancel caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step="" reason=twice outcome=done `},
		{"/v1/sagas/order-" + order + "/approval", `{"approved":true,"by":"grace"}`, "", 202, `act=approve caller=key:operator@acme by="grace (via operator@acme)" role=operator tenant=acme saga=order-` + order + ` step="" reason="" outcome=done `},
		{"/v1/sagas/order-" + order + "/cancel", `{"reason":"twice"}`, "", 202, `act=cancel caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step="" reason=twice outcome=done `},
		{"/v1/sagas/none/cancel", `{}`, "", 404, `act=cancel caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=none step="" reason="" outcome=not_found `},
		{"/v1/returns/1/arrival", `{"condition":"damaged"}`, "", 404, `act=arrival caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=return-1 step="" reason="" outcome=not_found `},
	} {
		// httptest's requests come from 192.0.2.1.
		headers := []string{"X-Request-Id", "r-1", "X-Forwarded-For", "203.0.113.1, 198.51.100.7, 192.0.2.9"}
		if tt.seen != "" {
			headers = append(headers, "If-Match", g.as(t, "operator@acme", http.MethodGet, "/v1/sagas/"+tt.seen, "").header.Get("ETag"))
		}
		before := len(g.log.String())
		require.Equal(t, tt.status, g.as(t, "operator@acme", http.MethodPost, tt.path, tt.body, headers...).status)
		var acts []string
		for line := range strings.Lines(g.log.String()[before:]) {
			if strings.Contains(line, "msg=act ") {
				acts = append(acts, line)
			}
		}
		require.Len(t, acts, 1, tt.path)
		require.Contains(t, acts[0], tt.want)
	}

	require.Equal(t, 403, g.as(t, "starter@acme", http.MethodPost, "/v1/sagas/order-"+order+"/steps/ReserveStock/skip", `{}`).status)
	require.Contains(t, g.log.String(), `msg=refused method=POST route=/v1/sagas/{id}/steps/{step}/skip reason="forbidden: `)
	require.Contains(t, g.log.String(), "caller=key:starter@acme tenant=acme")
}

// Where a request says that it comes from counts only if a proxy that is trusted says so.
func TestForwardedForIsNotTrusted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/orders/none/cancel", nil)
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	r.Header.Set("Idempotency-Key", "k")
	require.Equal(t, 404, b.do(t, r).status)
	require.Contains(t, b.log.String(), "outcome=not_found")
	require.Contains(t, b.log.String(), "remote=192.0.2.1\n")
}
