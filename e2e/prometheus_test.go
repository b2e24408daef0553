package e2e_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/programtest"
)

// monitored is a system that a Prometheus watches with the files of deploy/prometheus.
type monitored struct {
	*measured
	prometheus *process
	url        string
	began      time.Time
}

// haste is how many times as fast as in production the alerts' time passes in these tests: every window and wait is so many
// times as short. What they are in truth, deploy/prometheus/alerts_test.yml tests. Metrics are read twice a second.
const haste = 120

// startMonitored starts Prometheus beside a system whose traces somebody takes.
func startMonitored(t *testing.T) *monitored {
	t.Helper()
	program := programtest.Path(t, "prometheus")
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(collector.Close)
	w := &monitored{measured: startMeasured(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL), began: time.Now()}
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	w.url = "http://" + addr
	files := filepath.Join(w.dir, "prometheus")
	require.NoError(t, os.Mkdir(files, 0o700))
	for _, file := range []string{"prometheus.yml", "alerts.yml"} {
		text := deployed(t, "prometheus/"+file)
		text = w.targets(hasten(t, text), addr)
		require.NoError(t, os.WriteFile(filepath.Join(files, file), []byte(text), 0o600))
	}
	w.prometheus = spawn(t, "prometheus", program, nil, "--config.file="+filepath.Join(files, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(files, "data"), "--web.listen-address="+addr, "--enable-feature=exemplar-storage")
	require.Eventually(t, func() bool {
		require.True(t, w.prometheus.alive(), "prometheus ended:\n%s", w.prometheus.out)
		status, _, err := exchange(t.Context(), http.DefaultClient, http.MethodGet, w.url+"/-/ready", "", nil)
		return err == nil && status == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "prometheus is not ready")
	return w
}

// deployed is a file of deploy/.
func deployed(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", file))
	require.NoError(t, err)
	return string(text)
}

var (
	intervals = regexp.MustCompile(`_interval: \d+s\b`)
	// durations are those of the rules, and the one that a rule compares with, in seconds.
	durations = regexp.MustCompile(`(for: |\[|offset |_seconds\) > )(\d+)([smh]?)\b`)
)

// hasten makes all durations shorter.
func hasten(t *testing.T, text string) string {
	t.Helper()
	text = intervals.ReplaceAllString(text, "_interval: 500ms")
	return durations.ReplaceAllStringFunc(text, func(found string) string {
		parts := durations.FindStringSubmatch(found)
		d, err := time.ParseDuration(parts[2] + cmp.Or(parts[3], "s"))
		require.NoError(t, err)
		if parts[3] == "" {
			return parts[1] + fmt.Sprint((d / haste).Seconds())
		}
		return parts[1] + fmt.Sprintf("%dms", (d/haste).Milliseconds())
	})
}

// targets has the addresses of what runs here for the names of deploy's, and leaves out what does not.
func (w *monitored) targets(text, own string) string {
	here := strings.NewReplacer("127.0.0.1:9090", own, "api-1:9090", w.apiAddr, "worker-1:9090", w.workerAddr, "services:9090", w.servicesAddr)
	return regexp.MustCompile(`targets: \[(.*)\]`).ReplaceAllStringFunc(text, func(line string) string {
		named := regexp.MustCompile(`[\w.-]+:\d+`).FindAllString(line, -1)
		var kept []string
		for _, target := range named {
			if address := here.Replace(target); address != target {
				kept = append(kept, address)
			}
		}
		return "targets: [" + strings.Join(kept, ", ") + "]"
	})
}

// read asks Prometheus, and requires that it answers without a warning.
func (w *monitored) read(path string, params url.Values, into any) {
	w.t.Helper()
	status, body := w.send(http.MethodGet, w.url+path+"?"+params.Encode(), nil)
	var answer struct {
		Status   string
		Error    string
		Warnings []string
		Data     json.RawMessage
	}
	require.NoError(w.t, json.Unmarshal(body, &answer), "%d %s", status, body)
	require.Equal(w.t, "success", answer.Status, "%v: %s", params, answer.Error)
	require.Empty(w.t, answer.Warnings, "%v", params)
	require.NoError(w.t, json.Unmarshal(answer.Data, into), "%s", answer.Data)
}

// query evaluates an expression now.
func (w *monitored) query(expr string) model.Vector {
	w.t.Helper()
	var answer struct {
		ResultType string
		Result     model.Vector
	}
	w.read("/api/v1/query", url.Values{"query": {expr}}, &answer)
	require.Equal(w.t, "vector", answer.ResultType, expr)
	return answer.Result
}

// has tells whether a selector had a series since Prometheus began.
func (w *monitored) has(selector string) bool {
	w.t.Helper()
	var series []model.Metric
	w.read("/api/v1/series", w.sofar("match[]", selector), &series)
	return len(series) > 0
}

// traces are those to which exemplars of what an expression selects lead.
func (w *monitored) traces(expr string) (ids []string) {
	w.t.Helper()
	var series []struct {
		Exemplars []struct{ Labels map[string]string }
	}
	w.read("/api/v1/query_exemplars", w.sofar("query", expr), &series)
	for _, s := range series {
		for _, e := range s.Exemplars {
			ids = append(ids, e.Labels["trace_id"])
		}
	}
	return ids
}

// sofar asks something of all the time since Prometheus began.
func (w *monitored) sofar(what, value string) url.Values {
	return url.Values{what: {value}, "start": {fmt.Sprint(w.began.Unix())}, "end": {fmt.Sprint(time.Now().Unix() + 1)}}
}

// rule is an alert's.
type rule struct {
	Name, Query, Health, LastError string
	Duration                       float64
	Annotations                    map[string]string
}

func (w *monitored) rules() (all []rule) {
	w.t.Helper()
	var answer struct{ Groups []struct{ Rules []rule } }
	w.read("/api/v1/rules", nil, &answer)
	for _, group := range answer.Groups {
		all = append(all, group.Rules...)
	}
	return all
}
