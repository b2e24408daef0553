package api_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
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
			"/v1/sagas/order-" + order + "/steps/CapturePayment/mark-happened", `{"reason":"the bank says so","reference":"T-1"}`, "order-" + order, 200,
			`act=mark-happened caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order +
				` step=CapturePayment reason="the bank says so" outcome=done request_id=r-1 remote=198.51.100.7`,
		},
		{
			"/v1/sagas/order-" + order + "/steps/CapturePayment/mark-prevented", `{"reason":"blocked","reference":"T-1"}`, "order-" + order, 200,
			`act=mark-prevented caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order +
				` step=CapturePayment reason=blocked outcome=done request_id=r-1 remote=198.51.100.7`,
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

// Acts and batches that are refused before anything is done are in the audit log once, whatever the reason.
func TestAuditOfRefused(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "operator@acme")
	order := g.placed(t, "starter@acme", "/v1/orders", exampleOrder)
	g.temporal.count = func(string) int64 { return 1 }
	saga := "/v1/sagas/order-" + order
	for _, tt := range []struct {
		path, body string
		headers    []string
		want       string
	}{
		{saga + "/steps/ReserveStock/skip", `{}`, nil, `act=skip caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step=ReserveStock reason="" outcome=invalid `},
		{saga + "/steps/ReserveStock/retry", `{`, nil, `act=retry caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step=ReserveStock reason="" outcome=malformed `},
		{saga + "/steps/ReserveStock/mark-done", `{}`, []string{"Idempotency-Key", "a b"}, ` saga=order-` + order + ` step=ReserveStock reason="" outcome=idempotency_key_required `},
		{saga + "/steps/a%1b/retry", `{}`, nil, `act=retry caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step="" reason="" outcome=bad_parameter `},
		{saga + "/steps/CapturePayment/mark-happened", `{}`, nil, `act=mark-happened caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step=CapturePayment reason="" outcome=invalid `},
		{saga + "/steps/CapturePayment/mark-prevented", `{}`, nil, `act=mark-prevented caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step=CapturePayment reason="" outcome=invalid `},
		{saga + "/extend-deadline?x=1", `{"reason":"why","deadline":"2027-01-31T12:00:00Z"}`, nil, `act=extend-deadline caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step="" reason="" outcome=bad_parameter `},
		{"/v1/orders/" + order + "/approval", `{"approved":"yes"}`, nil, `act=decide caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step="" reason="" outcome=invalid `},
		{"/v1/orders/" + order + "/cancel", `{"x":1}`, nil, `act=cancel caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=order-` + order + ` step="" reason="" outcome=malformed `},
		{"/v1/returns/7/cancel", `{"x":1}`, nil, ` saga=return-7 step="" reason="" outcome=malformed `},
		{"/v1/batches", `{"act":"melt"}`, nil, `act=batch caller=key:operator@acme by=operator@acme role=operator tenant=acme saga="" step="" reason="" outcome=invalid `},
		{"/v1/batches", `{"act":"cancel","filter":{},"by":"grace","reason":"why"}`, nil, `act="batch of cancel" caller=key:operator@acme by="grace (via operator@acme)" role=operator tenant=acme saga=batch-`},
		{"/v1/batches", `{"act":"extend-deadline","filter":{"state":"parked"},"deadline":"2020-01-01T00:00:00Z","reason":"why"}`, nil, ` reason=why outcome=invalid `},
		{"/v1/batches/7/cancel", ``, nil, `act=cancel caller=key:operator@acme by=operator@acme role=operator tenant=acme saga=batch-7 step="" reason="" outcome=not_found `},
		{"/v1/batches/7/cancel", `[]`, nil, ` saga=batch-7 step="" reason="" outcome=malformed `},
	} {
		before := len(g.log.String())
		a := g.as(t, "operator@acme", http.MethodPost, tt.path, tt.body, tt.headers...)
		require.GreaterOrEqual(t, a.status, 400, tt.path)
		var acts []string
		for line := range strings.Lines(g.log.String()[before:]) {
			if strings.Contains(line, "msg=act ") {
				acts = append(acts, line)
			}
		}
		require.Len(t, acts, 1, "%s %s", tt.path, tt.body)
		require.Contains(t, acts[0], tt.want)
	}

	before := len(g.log.String())
	g.as(t, "operator@acme", http.MethodGet, "/v1/orders?x=1", "")
	g.as(t, "starter@acme", http.MethodPost, "/v1/orders", "{")
	require.NotContains(t, g.log.String()[before:], "msg=act ", "these are no acts on a saga")
}

// A request's line says who did it and to which saga, where that is known; never by which key.
func TestRequestsTellWhoAndWhat(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, api.Options{}, "starter@acme", "starter@globex")
	line := func(caller, method, path, body string) string {
		before := len(g.log.String())
		g.as(t, caller, method, path, body)
		for line := range strings.Lines(g.log.String()[before:]) {
			if strings.Contains(line, "msg=request ") {
				return line
			}
		}
		require.Fail(t, "no line")
		return ""
	}

	started := line("starter@acme", http.MethodPost, "/v1/orders", exampleOrder)
	require.Regexp(t, ` caller=key:starter@acme tenant=acme saga=order-\S+\n$`, started)
	saga := strings.TrimSpace(started[strings.Index(started, "saga=order-")+len("saga=order-"):])
	require.Contains(t, line("starter@acme", http.MethodGet, "/v1/sagas/order-"+saga, ""), " caller=key:starter@acme tenant=acme saga=order-"+saga+"\n")

	others := line("starter@globex", http.MethodGet, "/v1/orders/"+saga, "")
	require.Contains(t, others, " status=404 ")
	require.Contains(t, others, " caller=key:starter@globex tenant=globex\n", "it is not theirs")
	nobodys := line("", http.MethodGet, "/v1/orders", "")
	require.Contains(t, nobodys, " status=401 ")
	require.NotContains(t, nobodys, "caller=")
	for _, key := range g.keys {
		require.NotContains(t, g.log.String(), key)
	}
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

// Acts are in the process's log whatever its level.
func TestAuditWhateverTheLevel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.handler = api.New(b.temporal, api.Options{
		Access: access.Open(), Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelError})),
	})

	require.Equal(t, 404, b.ask(t, http.MethodPost, "/v1/orders/none/cancel", `{}`).status)

	require.Equal(t, 1, strings.Count(b.log.String(), "\n"), b.log)
	require.Contains(t, b.log.String(), "level=INFO msg=act act=cancel ")
}

// brokenDisk is an audit log that can be written as long as it has room for so many lines.
type brokenDisk struct {
	room int
	text strings.Builder
}

func (d *brokenDisk) Write(line []byte) (int, error) {
	if d.room == 0 {
		return 0, errors.New("no space left")
	}
	d.room--
	return d.text.Write(line)
}

// What cannot be written down is an error in the log, makes the process not ready, and is written as soon as that works again: by
// whoever asks whether it is ready, or with the next act, in the order in which people acted.
func TestAuditLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.temporal.pollers = map[enumspb.TaskQueueType][]time.Time{
		enumspb.TASK_QUEUE_TYPE_WORKFLOW: {time.Now()}, enumspb.TASK_QUEUE_TYPE_ACTIVITY: {time.Now()},
	}
	disk := &brokenDisk{room: 1}
	b.handler = api.New(b.temporal, api.Options{
		Access: access.Open(), Logger: b.logger(), Audit: api.NewAuditLog(slog.NewTextHandler(disk, nil)),
	})
	act := func(order string) {
		require.Equal(t, 404, b.ask(t, http.MethodPost, "/v1/orders/"+order+"/cancel", `{}`).status)
	}
	written := func() (sagas []string) {
		for _, m := range regexp.MustCompile(`saga=(\S+)`).FindAllStringSubmatch(disk.text.String(), -1) {
			sagas = append(sagas, m[1])
		}
		return sagas
	}

	act("a")
	require.Equal(t, 200, b.get(t, "/readyz").status)
	require.NotContains(t, b.log.String(), "level=ERROR")
	act("b")
	act("c")
	require.Equal(t, []string{"order-a"}, written())
	for _, saga := range []string{"order-b", "order-c"} {
		require.Regexp(t, `level=ERROR msg="an act is not in the audit log" act=cancel .*saga=`+saga+` .*error="no space left"`, b.log.String())
	}
	refused := b.get(t, "/readyz")
	requireProblem(t, refused, 503, "audit_unwritten")
	require.NotContains(t, refused.body, "no space left")

	disk.room = 1
	requireProblem(t, b.get(t, "/readyz"), 503, "audit_unwritten")
	disk.room = 1
	require.Equal(t, 200, b.get(t, "/readyz").status)
	require.Equal(t, []string{"order-a", "order-b", "order-c"}, written())
	act("d")
	disk.room = 2
	act("e")
	require.Equal(t, []string{"order-a", "order-b", "order-c", "order-d", "order-e"}, written())
	require.Equal(t, 200, b.get(t, "/readyz").status)
}

// A log that is never written again does not fill the memory.
func TestAuditLogWaitsForSoMany(t *testing.T) {
	t.Parallel()
	b := setup(t)
	disk := &brokenDisk{}
	log := api.NewAuditLog(slog.NewTextHandler(disk, nil))
	b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Logger: slog.New(slog.DiscardHandler), Audit: log})
	for range api.MaxUnwritten + 1 {
		require.Equal(t, 404, b.ask(t, http.MethodPost, "/v1/orders/none/cancel", `{}`).status)
	}

	disk.room = api.MaxUnwritten + 1
	require.NoError(t, log.Ready(t.Context()))
	require.Equal(t, 1, disk.room)
}
