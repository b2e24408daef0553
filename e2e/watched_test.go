package e2e_test

import (
	"encoding/json"
	"math"
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

	"github.com/amends-dev/amends/workflows"
)

// onlyInTrouble are what the dashboard and the alerts ask for that a run without trouble does not have. TestAlerts makes each
// of them happen.
var onlyInTrouble = []string{
	`temporal_workflow_task_execution_failed_total`,
	`temporal_workflow_task_execution_failed_total{failure_reason="NonDeterminismError"}`,
	`amends_api_request_duration_seconds_count{method="POST",route=~"/v1/(orders|returns)",status=~"429|5.."}`,
}

// Each panel of the dashboard has something to show of a run in which everything happens that sagas are for, and each alert's
// rule can be evaluated. What they select is there, also where a zero stands in for an answer.
func TestDashboard(t *testing.T) {
	t.Parallel()

	w := startMonitored(t)
	w.requireExemplars(place("good.json")(w.system))
	parked := place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true, "times": 1}})
	fellBack := place("good.json", fault{"shipping", "BookShipment", settings{"down": true, "times": 4}})
	for range 2 { // what is counted once has not increased yet
		for _, path := range []string{place("good.json")(w.system), place("card-declined.json")(w.system), fellBack(w.system)} {
			w.awaitEnd(path)
		}
		w.awaitParked(parked(w.system))
		w.act(place("fraud-review.json")(w.system)+"/cancel", byAda)
		status, _ := w.send(http.MethodGet, w.apiURL+"/v1/orders/none", nil)
		require.Equal(t, http.StatusNotFound, status)
		w.audit()
		w.scraped()
	}
	w.sweepUntil(func(workflows.Sweep) bool { return true })
	w.scraped()

	selected := map[string]string{}
	for _, p := range panels(t) {
		if selectors(p.expr)[0] != onlyInTrouble[0] {
			require.Eventually(t, func() bool { return w.answers(p.expr) }, time.Minute, 100*time.Millisecond, "%s is empty: %s", p.title, p.expr)
			for _, label := range p.legend {
				require.Contains(t, w.query(p.expr)[0].Metric, model.LabelName(label), p.title)
			}
		}
		if p.exemplars {
			require.NotEmpty(t, w.traces(p.expr), "%s leads to no trace", p.title)
		}
		for _, s := range selectors(p.expr) {
			selected[s] = p.title
		}
	}
	rules := w.rules()
	require.Len(t, rules, strings.Count(deployed(t, "prometheus/alerts.yml"), "- alert: "))
	for _, r := range rules {
		require.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
		w.query(r.Query)
		for _, s := range selectors(r.Query) {
			selected[s] = r.Name
		}
	}
	for s, where := range selected {
		require.True(t, slices.Contains(onlyInTrouble, s) || w.has(s), "%s asks for %s", where, s)
	}
}

// requireExemplars requires that the saga's start and its end lead to its trace.
func (w *monitored) requireExemplars(path string) {
	w.t.Helper()
	w.awaitEnd(path)
	var shown struct {
		TraceID string `json:"trace_id"`
	}
	_, body := w.send(http.MethodGet, w.apiURL+"/v1/sagas/"+workflowID(path), nil)
	require.NoError(w.t, json.Unmarshal(body, &shown))
	require.NotEmpty(w.t, shown.TraceID)
	for _, selector := range []string{
		`amends_api_request_duration_seconds_bucket{method="POST",route="/v1/orders",status="202"}`,
		`amends_saga_duration_seconds_bucket{type="PlaceOrder",state="completed"}`,
	} {
		require.Eventually(w.t, func() bool { return slices.Contains(w.traces(selector), shown.TraceID) },
			time.Minute, 50*time.Millisecond, "%s does not lead to the saga's trace", selector)
	}
}

// scraped waits until Prometheus has read everything once more.
func (w *monitored) scraped() {
	w.t.Helper()
	now := time.Now()
	require.Eventually(w.t, func() bool {
		last := w.query(`min(timestamp(up{job="amends"}))`)
		return len(last) > 0 && last[0].Value > model.SampleValue(float64(now.UnixMilli())/1e3)
	}, time.Minute, 50*time.Millisecond, "prometheus does not read the metrics")
}

// audit asks the services for their books, and waits until that is counted.
func (w *monitored) audit() {
	w.t.Helper()
	counted := func() (n model.SampleValue) {
		for _, s := range w.query(`sum(amends_books_audits_total)`) {
			n = s.Value
		}
		return n
	}
	w.scraped()
	before := counted()
	w.audits(func(h client.ScheduleHandle) error { return h.Trigger(w.t.Context(), client.ScheduleTriggerOptions{}) })
	require.Eventually(w.t, func() bool { return counted() > before }, time.Minute, 50*time.Millisecond, "the audit is not counted")
}

// audits does something to the schedule of the audits.
func (w *monitored) audits(do func(client.ScheduleHandle) error) {
	w.t.Helper()
	require.NoError(w.t, do(w.dial().ScheduleClient().GetHandle(w.t.Context(), workflows.AuditScheduleID)))
}

// answers tells whether an expression has a figure now.
func (w *monitored) answers(expr string) bool {
	w.t.Helper()
	return slices.ContainsFunc(w.query(expr), func(s *model.Sample) bool { return !math.IsNaN(float64(s.Value)) })
}

// selectors are what an expression selects: names of metrics, with what it wants of their labels.
func selectors(expr string) []string {
	return regexp.MustCompile(`\b(?:amends|temporal|process|go)_\w+(?:\{[^}]*\})?`).FindAllString(expr, -1)
}

// panel is one question of a panel, and the labels by which its answers are told apart.
type panel struct {
	title, expr string
	legend      []string
	// exemplars tells whether it shows traces, too.
	exemplars bool
}

// panels are the questions of the dashboards, as Grafana asks them over ten minutes.
func panels(tb testing.TB) (all []panel) {
	tb.Helper()
	files, err := filepath.Glob("../deploy/grafana/dashboards/*.json")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	for _, file := range files {
		var dashboard struct {
			Panels []struct {
				Title   string
				Type    string
				Targets []struct {
					Expr, LegendFormat string
					Exemplar           bool
				}
			}
		}
		text, err := os.ReadFile(file)
		require.NoError(tb, err)
		require.NoError(tb, json.Unmarshal(text, &dashboard))
		for _, p := range dashboard.Panels {
			require.True(tb, p.Type == "row" || len(p.Targets) > 0, "%s asks nothing", p.Title)
			for _, target := range p.Targets {
				expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "10m")
				require.NotContains(tb, expr, "$", "%s has a variable that is not known here", p.Title)
				asked := panel{title: p.Title, expr: expr, exemplars: target.Exemplar}
				for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
					asked.legend = append(asked.legend, label[1])
				}
				all = append(all, asked)
			}
		}
	}
	return all
}

// Each alert has a page that says what to do, and each page an alert.
func TestEachAlertHasARunbook(t *testing.T) {
	t.Parallel()

	rules, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	require.NoError(t, err)
	alerts := regexp.MustCompile(`(?m)- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	pages := regexp.MustCompile(`runbook_url: https://github\.com/amends-dev/amends/blob/main/(docs/runbooks/[a-z-]+\.md)`).FindAllStringSubmatch(string(rules), -1)
	require.NotEmpty(t, alerts)
	require.Len(t, pages, len(alerts))
	linked := map[string]bool{}
	for i, alert := range alerts {
		text, err := os.ReadFile("../" + pages[i][1])
		require.NoError(t, err)
		require.Contains(t, string(text), "**"+alert[1]+"**")
		linked[filepath.Base(pages[i][1])] = true
	}
	files, err := filepath.Glob("../docs/runbooks/*.md")
	require.NoError(t, err)
	index, err := os.ReadFile("../docs/runbooks/README.md")
	require.NoError(t, err)
	for _, file := range files {
		if name := filepath.Base(file); name != "README.md" {
			require.True(t, linked[name], "%s is for no alert", name)
			require.Contains(t, string(index), "("+name+")", "%s is not in the index", name)
		}
	}
}
