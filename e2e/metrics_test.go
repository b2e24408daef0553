package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

// families are the metrics of a process, by name.
type families map[string]*dto.MetricFamily

// scrape reads metrics as Prometheus does.
func (s *system) scrape(addr string) families {
	s.t.Helper()
	answer := s.ask(http.MethodGet, "http://"+addr+"/metrics", nil)
	require.Equal(s.t, http.StatusOK, answer.status, "%s", answer.body)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	read, err := parser.TextToMetricFamilies(strings.NewReader(string(answer.body)))
	require.NoError(s.t, err)
	return read
}

// value is what the series of a metric with these labels have together.
func (f families) value(name string, labels map[string]string) float64 {
	sum := 0.0
	for _, m := range f[name].GetMetric() {
		if includes(labelsOf(m), labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func includes(of, labels map[string]string) bool {
	for name, value := range labels {
		if of[name] != value {
			return false
		}
	}
	return true
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// measured is a system whose processes serve metrics.
type measured struct {
	*system
	workerAddr, apiAddr, servicesAddr string
}

func startMeasured(t *testing.T, env ...string) *measured {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t), env: env}
	m := &measured{system: s}
	for _, addr := range []*string{&m.workerAddr, &m.apiAddr, &m.servicesAddr} {
		*addr = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices("--ops-addr", m.servicesAddr)
	m.startWorker()
	s.apiURL, s.api = s.startAPI(time.Hour, "--ops-addr", m.apiAddr)
	return m
}

func (m *measured) startWorker(flags ...string) { m.runWorker(binaries.amends, flags...) }

// runWorker starts a worker of some build.
func (m *measured) runWorker(binary string, flags ...string) {
	flags = append(m.workerArgs(), append(flags, "--ops-addr", m.workerAddr)...)
	m.worker = spawn(m.t, "worker", binary, m.temporalEnv(), flags...)
}

// What is counted is what happened, once each, also where a worker was killed and another one replayed what it had done. The
// page of metrics has all of them, and nothing else.
func TestMetrics(t *testing.T) {
	t.Parallel()

	m := startMeasured(t)
	good := []string{place("good.json")(m.system), place("good.json")(m.system), place("good.json")(m.system)}
	declined := place("card-declined.json")(m.system)
	lostReply := place("good.json", fault{"payment", "AuthorizePayment", settings{"lose_reply": true, "times": 1}})(m.system)
	down := place("good.json", fault{"shipping", "BookShipment", settings{"down": true, "times": 4}})(m.system)
	for _, path := range slices.Concat(good, []string{lostReply, down}) {
		require.Equal(t, "completed", m.awaitEnd(path).State)
	}
	require.Equal(t, "compensated", m.awaitEnd(declined).State)
	parked := place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true, "times": 1}})(m.system)
	m.awaitParked(parked)
	waiting := place("fraud-review.json")(m.system)
	m.awaitWait(waiting)

	require.Eventually(t, func() bool {
		return m.scrape(m.workerAddr).value("temporal_num_pollers", map[string]string{"poller_type": "workflow_task"})+
			m.scrape(m.workerAddr).value("temporal_num_pollers", map[string]string{"poller_type": "workflow_sticky_task"}) == 20
	}, time.Minute, 100*time.Millisecond, "a worker asks for tasks with twenty calls at a time")
	first := m.scrape(m.workerAddr)
	order := func(state string) map[string]string { return map[string]string{"type": "PlaceOrder", "state": state} }
	require.InDelta(t, 5, first.value("amends_saga_ended_total", order("completed")), 0)
	require.InDelta(t, 1, first.value("amends_saga_ended_total", order("compensated")), 0)
	require.InDelta(t, 4, first.value("amends_step_tries_total", map[string]string{
		"step": "BookShipment", "mode": "express", "outcome": "done",
	}), 0)
	require.InDelta(t, 1, first.value("amends_step_tries_total", map[string]string{
		"step": "BookShipment", "mode": "fallback", "outcome": "done",
	}), 0)
	require.InDelta(t, 2, first.value("amends_step_tries_total", map[string]string{
		"step": "AuthorizePayment", "part": "do", "outcome": "refused",
	}), 0)
	require.InDelta(t, 1, first.value("amends_step_tries_total", map[string]string{
		"step": "ReserveStock", "part": "undo", "outcome": "failed",
	}), 0)
	require.Eventually(t, func() bool { return m.scrape(m.apiAddr).value("amends_sagas_open", order("parked")) == 1 },
		time.Minute, 100*time.Millisecond, "one is parked")
	require.Positive(t, m.scrape(m.apiAddr).value("amends_parked_oldest_age_seconds", nil))

	m.worker.kill()
	m.startWorker()
	m.decide(waiting, true)
	m.operate(parked, compensation.UpdateSkip, compensation.Act{By: "grace", Reason: "lost", Step: "ReserveStock"})
	require.Equal(t, "completed", m.awaitEnd(waiting).State)
	require.Equal(t, "compensated_with_exceptions", m.awaitEnd(parked).State)

	second, api, services := m.scrape(m.workerAddr), m.scrape(m.apiAddr), m.scrape(m.servicesAddr)
	require.InDelta(t, 1, second.value("amends_saga_ended_total", order("completed")), 0, "what was replayed counts no more")
	require.InDelta(t, 1, second.value("amends_saga_ended_total", order("compensated_with_exceptions")), 0)
	require.InDelta(t, 2, second.value("amends_saga_ended_total", nil), 0)
	require.InDelta(t, 1, second.value("amends_step_tries_total", map[string]string{"step": "CapturePayment", "part": "do"}), 0)
	require.InDelta(t, 8, api.value("amends_saga_started_total", map[string]string{"type": "PlaceOrder"}), 0)
	require.InDelta(t, 1, api.value("amends_acts_total", map[string]string{"act": "skip", "outcome": "done"}), 0)
	require.InDelta(t, 8, services.value("amends_service_call_duration_seconds", map[string]string{
		"service": "pricing", "step": "PriceOrder", "method": "PUT", "status": "200",
	})+services.value("amends_service_call_duration_seconds", map[string]string{
		"service": "pricing", "step": "PriceOrder", "method": "PUT", "status": "201",
	}), 0)
	requireDocumented(t, first, second, api, services)
}

// documented is a row of the page of metrics.
type documented struct{ kind, labels string }

// metricRow has name, kind and labels of a metric.
var metricRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| (.*?) \\|")

// requireDocumented holds the page of metrics against what was scraped. Of what stands below "Only when" it does not say
// that it must be there.
func requireDocumented(t *testing.T, scrapes ...families) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	require.NoError(t, err)
	always, rare, found := strings.Cut(string(page), "\n## Only when")
	require.True(t, found)
	rows := func(text string) map[string]documented {
		all := map[string]documented{}
		for _, row := range metricRow.FindAllStringSubmatch(text, -1) {
			all[row[1]] = documented{row[2], strings.ReplaceAll(row[3], "`", "")}
		}
		return all
	}
	scraped := map[string]documented{}
	for name, labels := range labelsSeen(scrapes) {
		kind := ""
		for _, f := range scrapes {
			if f[name] != nil {
				kind = strings.ToLower(f[name].GetType().String())
			}
		}
		scraped[name] = documented{kind, strings.Join(slices.Sorted(maps.Keys(labels)), ", ")}
	}
	want := rows(always)
	require.NotEmpty(t, want)
	for name, row := range rows(rare) {
		require.NotContains(t, want, name)
		if _, seen := scraped[name]; seen {
			want[name] = row
		}
	}
	require.Equal(t, want, scraped)
}

// labelsOfSDK are those that Temporal's SDK gives all its metrics. The page has them once.
var labelsOfSDK = []string{"activity_type", "client_name", "namespace", "task_queue", "worker_type", "workflow_type"}

// labelsSeen are the labels of all metrics but those of Go and of the process, by the metric's name.
func labelsSeen(scrapes []families) map[string]map[string]bool {
	seen := map[string]map[string]bool{}
	for _, f := range scrapes {
		for name, family := range f {
			if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
				continue
			}
			if seen[name] == nil {
				seen[name] = map[string]bool{}
			}
			for _, m := range family.GetMetric() {
				for label := range labelsOf(m) {
					if !strings.HasPrefix(name, "temporal_") || !slices.Contains(labelsOfSDK, label) {
						seen[name][label] = true
					}
				}
			}
		}
	}
	return seen
}
