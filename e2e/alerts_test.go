package e2e_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/programtest"
	"github.com/amends-dev/amends/workflows"
)

// Each alert is tried: what it is about happens, it fires, somebody does what its runbook says, with the page's own commands,
// and it ends. An hour is half a minute here (haste); thresholds are what they are.
func TestAlerts(t *testing.T) {
	t.Parallel()

	programtest.Path(t, "curl")
	changed := changedBinary(t)
	w := startMonitored(t)
	w.audits(func(h client.ScheduleHandle) error {
		return h.Pause(t.Context(), client.SchedulePauseOptions{Note: "while the database is moved"})
	})
	parked := place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true, "times": 1}})(w.system)
	w.awaitParked(parked)

	w.tryNoPollers()
	w.tryStartsRejected()
	w.tryWorkflowTasksWait()
	w.tryReplayDifference(changed)
	w.tryBooksNotAudited()
	w.tryBooksOutOfBalance()
	w.tryRecoveriesStuck()
	w.tryParked(parked)
	for _, selector := range onlyInTrouble {
		require.True(t, w.has(selector), "%s, after everything that can go wrong", selector)
	}
	w.awaitThat("an alert stays", w.audit, func() bool { return len(w.alerts()) == 0 })
}

func (w *monitored) tryNoPollers() {
	w.t.Helper()
	w.worker.stop()
	w.awaitFiring("AmendsNoPollers", nil)
	w.startWorker()
	w.awaitOver("AmendsNoPollers", nil)
	page := w.runbook("no-pollers")
	require.Contains(w.t, page.follow("curl WORKER:OPS/readyz"), `"ready"`)
	require.Contains(w.t, page.follow("curl API/readyz"), `"workers":`)
	require.Contains(w.t, page.follow("amends config show worker"), "services-url")
}

func (w *monitored) tryStartsRejected() {
	w.t.Helper()
	order := func() { w.post(w.apiURL+"/v1/orders", example(w.t, "orders/good.json")) }
	w.restartAPI("--rate", "1", "--burst", "1")
	w.awaitFiring("AmendsStartsRejected", order)
	page := w.runbook("start-rejections")
	page.follow("curl API/readyz")
	require.Contains(w.t, page.text, "| 429 `too_many_requests` |")
	require.Regexp(w.t, `msg="too many requests" caller=127\.0\.0\.1`, w.api.out.String(), "who it is")
	w.restartAPI() // the rate as it is by default
	w.awaitOver("AmendsStartsRejected", order)
}

func (w *monitored) tryWorkflowTasksWait() {
	w.t.Helper()
	var placed []string
	order := func() { placed = append(placed, w.place("orders", example(w.t, "orders/good.json"))) }
	w.setFault("inventory", "ReserveStock", settings{"latency_ms": 400})
	w.worker.stop()
	w.startWorker("--tasks", "2")
	w.awaitFiring("AmendsWorkflowTasksWait", order)
	page := w.runbook("workflow-task-latency")
	require.Contains(w.t, page.text, "| none free | idle | sagas wait for slow services")
	none := func(s *model.Sample) bool { return s.Value == 0 }
	w.awaitThat("places are free", order, func() bool { return slices.ContainsFunc(w.panel("Places for tasks"), none) })
	longest := func(a, b *model.Sample) int { return cmp.Compare(a.Value, b.Value) }
	w.awaitThat("another step is the slowest", order, func() bool {
		return slices.MaxFunc(w.panel("Step p95"), longest).Metric["step"] == "ReserveStock"
	})
	w.clearFault("inventory", "ReserveStock")
	w.worker.stop()
	w.startWorker("--tasks", "50")
	w.awaitOver("AmendsWorkflowTasksWait", order)
	// An order that goes on with the build of tryReplayDifference could not go on with this one.
	for _, path := range placed {
		require.Equal(w.t, "completed", w.awaitEnd(path).State)
	}
}

// tryReplayDifference deploys a build that has two steps in another order.
func (w *monitored) tryReplayDifference(changed string) {
	w.t.Helper()
	inFlight := place("good.json", fault{"shipping", "BookShipment", settings{"down": true}})(w.system)
	w.await(inFlight, "is not tried again", func(v saga) bool { return v.step("BookShipment").Attempts > 3 })
	w.worker.stop()
	w.runWorker(changed)
	w.clearFault("shipping", "BookShipment")
	w.awaitFiring("AmendsReplayDifference", nil)

	page := w.runbook("replay-difference")
	page.amends = changed // the build that the workers run
	require.Regexp(w.t, `PlaceOrder \S*`+workflowID(inFlight)+`\S*: event \d+, MarkerRecorded, step AuthorizePayment`,
		page.follow("amends replay --from-cluster"))
	require.Contains(w.t, w.worker.out.String(), "TMPRL1100")
	w.worker.stop()
	w.startWorker()
	require.Equal(w.t, "completed", w.awaitEnd(inFlight).State)
	w.awaitOver("AmendsReplayDifference", nil)
	page.amends = binaries.amends
	require.Contains(w.t, page.follow("amends replay --from-cluster"), "0 differ")
}

func (w *monitored) tryBooksNotAudited() {
	w.t.Helper()
	w.awaitFiring("AmendsBooksNotAudited", nil)
	page := w.runbook("books-out-of-balance")
	require.Contains(w.t, page.text, "`temporal schedule describe --schedule-id "+workflows.AuditScheduleID+"`")
	w.audits(func(h client.ScheduleHandle) error {
		said, err := h.Describe(w.t.Context())
		require.NoError(w.t, err)
		require.True(w.t, said.Schedule.State.Paused)
		return h.Unpause(w.t.Context(), client.ScheduleUnpauseOptions{Note: "moved"})
	})
	w.awaitOver("AmendsBooksNotAudited", w.audit)
}

func (w *monitored) tryBooksOutOfBalance() {
	w.t.Helper()
	w.alterBooks(1)
	w.worker.stop()
	w.startWorker() // one that has audited nothing yet
	w.audit()
	require.Equal(w.t, "payment", w.awaitFiring("AmendsBooksOutOfBalance", nil).Labels["service"])
	page := w.runbook("books-out-of-balance")
	w.awaitThat("the overview has not heard of the audit", nil, func() bool { // lists follow a moment later
		_, overview := w.send(http.MethodGet, w.apiURL+"/v1/overview", nil)
		return strings.Contains(string(overview), `"state":"unbalanced"`)
	})
	require.Contains(w.t, page.follow(`curl -H "Authorization: Bearer $KEY" API/v1/overview`), `"state":"unbalanced"`)
	require.Contains(w.t, page.follow("curl SERVICES/payment/audit"), "the sum of the journal: 1 is not 0")
	w.alterBooks(-1)
	require.Contains(w.t, page.text, "`temporal schedule trigger --schedule-id "+workflows.AuditScheduleID+"`")
	w.audit()
	require.Contains(w.t, page.follow("curl SERVICES/payment/audit"), `"balanced":true`)
	w.awaitOver("AmendsBooksOutOfBalance", nil)
}

// tryRecoveriesStuck terminates a saga, and its recovery each time that a sweep starts it.
func (w *monitored) tryRecoveriesStuck() {
	w.t.Helper()
	c := w.dial()
	stuck := place("fraud-review.json", fault{"shipping", "BookShipment", settings{"on": "undo", "refuse": true}})(w.system)
	w.awaitWait(stuck)
	require.NoError(w.t, c.TerminateWorkflow(w.t.Context(), workflowID(stuck), "", "by mistake"))
	recovery := workflows.RecoveryWorkflowID(workflowID(stuck))
	known := func(sweep workflows.Sweep) bool { return sweep.Known == 1 }
	w.sweepUntil(known)
	fired := w.awaitFiring("AmendsRecoveriesStuck", func() {
		require.NoError(w.t, c.TerminateWorkflow(w.t.Context(), recovery, w.awaitParkedRecovery(recovery), "by mistake, too"))
		w.sweepUntil(known)
	})
	require.Equal(w.t, "repeated", fired.Labels["outcome"])
	page := w.runbook("recoveries")
	require.Contains(w.t, page.text, "`temporal schedule trigger --schedule-id "+workflows.SweepScheduleID+"`")
	require.Contains(w.t, page.text, `WorkflowType = "RecoverSaga"`)
	w.clearFault("shipping", "BookShipment")
	w.awaitParkedRecovery(recovery)
	handle, err := c.UpdateWorkflow(w.t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: recovery, UpdateName: compensation.UpdateRetry, WaitForStage: client.WorkflowUpdateStageCompleted,
		Args: []any{compensation.Act{By: "grace"}},
	})
	require.NoError(w.t, err)
	require.NoError(w.t, handle.Get(w.t.Context(), nil))
	require.NoError(w.t, c.GetWorkflow(w.t.Context(), recovery, "").Get(w.t.Context(), nil))
	w.awaitOver("AmendsRecoveriesStuck", func() { w.sweepUntil(known) })
}

// tryParked looks after a saga that was parked long ago.
func (w *monitored) tryParked(path string) {
	w.t.Helper()
	id := workflowID(path)
	require.Equal(w.t, "PlaceOrder", w.awaitFiring("AmendsSagasParked", nil).Labels["type"])
	w.awaitFiring("AmendsSagaParkedLong", nil)
	page := w.runbook("parked-sagas")
	require.Contains(w.t, page.follow("amends saga list --state=parked --longest-parked-first"), id)
	require.Contains(w.t, page.follow("amends saga list --state=parked --step=ReserveStock"), id)
	require.Contains(w.t, page.follow("amends saga get order-42", "order-42", id), "amends saga retry "+id+" ReserveStock")
	page.follow("amends saga retry ID STEP", "ID", id, "STEP", "ReserveStock")
	require.Equal(w.t, "compensated", w.awaitEnd(path).State)
	w.awaitOver("AmendsSagasParked", nil)
	w.awaitOver("AmendsSagaParkedLong", nil)
	require.NotContains(w.t, page.follow("amends saga list --state=parked --longest-parked-first"), id)
}

// restartAPI gives the API other flags.
func (w *monitored) restartAPI(flags ...string) {
	w.t.Helper()
	w.api.stop()
	w.apiURL, w.api = w.startAPI(time.Hour, append(flags, "--ops-addr", w.apiAddr)...)
}

// panel is what a panel of the dashboard shows now, of its first question.
func (w *monitored) panel(title string) model.Vector {
	w.t.Helper()
	all := panels(w.t)
	i := slices.IndexFunc(all, func(p panel) bool { return p.title == title })
	require.GreaterOrEqual(w.t, i, 0, title)
	return w.query(all[i].expr)
}

// alert is one that is pending or fires.
type alert struct {
	Labels, Annotations map[string]string
	State               string
}

func (w *monitored) alerts() []alert {
	w.t.Helper()
	var answer struct{ Alerts []alert }
	w.read("/api/v1/alerts", nil, &answer)
	return answer.Alerts
}

// firing is the alert, if it fires.
func (w *monitored) firing(name string) (found alert, fires bool) {
	w.t.Helper()
	all := w.alerts()
	i := slices.IndexFunc(all, func(a alert) bool { return a.Labels["alertname"] == name && a.State == "firing" })
	if i < 0 {
		return found, false
	}
	return all[i], true
}

// awaitFiring waits until the alert fires, and returns it. Meanwhile something else goes on, unless it is nil.
func (w *monitored) awaitFiring(name string, meanwhile func()) (found alert) {
	w.t.Helper()
	w.awaitThat(name+" does not fire", meanwhile, func() (fires bool) {
		found, fires = w.firing(name)
		return fires
	})
	return found
}

// awaitOver waits until the alert has ended. Meanwhile something else goes on, unless it is nil.
func (w *monitored) awaitOver(name string, meanwhile func()) {
	w.t.Helper()
	w.awaitThat(name+" does not end", meanwhile, func() bool {
		_, fires := w.firing(name)
		return !fires
	})
}

func (w *monitored) awaitThat(otherwise string, meanwhile func(), done func() bool) {
	w.t.Helper()
	began := time.Now()
	require.Eventually(w.t, func() bool {
		if meanwhile != nil {
			meanwhile()
		}
		return done()
	}, 2*time.Minute, 100*time.Millisecond, otherwise)
	w.t.Logf("%5.1f s: not %q any more, after %.1f s", time.Since(w.began).Seconds(), otherwise, time.Since(began).Seconds())
}

// runbook is a page of docs/runbooks.
type runbook struct {
	w          *monitored
	name, text string
	// amends is the binary that the commands run.
	amends string
}

func (w *monitored) runbook(name string) *runbook {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "runbooks", name+".md"))
	require.NoError(w.t, err)
	return &runbook{w, name, string(text), binaries.amends}
}

// commands are those of a page: lines to type, and code in a sentence.
var commands = regexp.MustCompile("(?m)^\\$ (.+)$|`([^`\n]+)`")

// follow runs the command of the page that begins so, with what the page's words stand for here, and returns what it printed.
func (r *runbook) follow(begins string, words ...string) string {
	r.w.t.Helper()
	for _, found := range commands.FindAllStringSubmatch(r.text, -1) {
		command := found[1] + found[2]
		if !strings.HasPrefix(command, begins) {
			continue
		}
		here := strings.NewReplacer(append([]string{
			" API/", " " + r.w.apiURL + "/", " SERVICES/", " " + r.w.servicesURL + "/", " WORKER:OPS/", " " + r.w.workerAddr + "/",
		}, words...)...)
		code, said := r.w.command("/bin/sh", "-c", fmt.Sprintf(`
			amends() { '%s' "$@"; }
			curl() { command curl --silent --show-error "$@"; }
			export AMENDS_API='%s' AMENDS_BY=grace KEY=none
			%s`, r.amends, r.w.apiURL, here.Replace(command)))
		require.Contains(r.w.t, []int{0, 7}, code, "%s\n%s", command, said) // 7 says that histories differ
		r.w.t.Logf("%s: %s\n%s", r.name, command, said)
		return said
	}
	require.Fail(r.w.t, "no such command", "%s has none that begins with %q", r.name, begins)
	return ""
}
