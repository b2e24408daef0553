package deploy_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/amends-dev/amends/internal/programtest"
)

// promtool reads the configuration as Prometheus does, and tries the alerts in their own time: when each begins, when it ends,
// and what it says.
func TestPrometheusFiles(t *testing.T) {
	t.Parallel()

	promtool := programtest.Path(t, "promtool")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "--lint-fatal", "alerts.yml"},
		{"test", "rules", "alerts_test.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "prometheus"
		said, err := cmd.CombinedOutput()
		require.NoError(t, err, "promtool %v: %s", args, said)
	}
	rules, tests := read(t, "prometheus/alerts.yml"), read(t, "prometheus/alerts_test.yml")
	for line := range strings.Lines(rules) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "- alert: "); ok {
			require.Contains(t, tests, "- alertname: "+name+"\n", "it is never seen to fire")
			require.Contains(t, tests, "- { alertname: "+name+",", "it is never seen not to")
		}
	}
}

// dashboard is what is checked of a dashboard of Grafana's.
type dashboard struct {
	UID        string
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
	Panels []struct {
		ID         int
		Type       string
		Title      string
		GridPos    struct{ X, Y, W, H int }
		Panels     []any
		Datasource *datasource
		Targets    []struct {
			RefID      string
			Expr       string
			Exemplar   bool
			Datasource *datasource
		}
	}
}

type datasource struct{ Type, UID string }

// Grafana shows a dashboard with two panels of one ID or in one place, or with a source that it does not know, as it can.
func TestDashboards(t *testing.T) {
	t.Parallel()

	files, err := filepath.Glob("grafana/dashboards/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		var d dashboard
		require.NoError(t, json.Unmarshal([]byte(read(t, file)), &d))
		require.NotEmpty(t, d.UID)
		require.Equal(t, "datasource datasource prometheus", d.Templating.List[0].Name+" "+d.Templating.List[0].Type+" "+d.Templating.List[0].Query)
		ids, titles, places := map[int]string{}, map[string]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			require.NotEmpty(t, p.Title)
			require.False(t, titles[p.Title], "two are called %s", p.Title)
			titles[p.Title] = true
			require.Positive(t, p.ID, p.Title)
			require.Empty(t, ids[p.ID], "has the ID of %s", p.Title)
			ids[p.ID] = p.Title
			require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					require.Empty(t, places[place], "lies on %s", p.Title)
					places[place] = p.Title
				}
			}
			require.Empty(t, p.Panels, "%s hides panels", p.Title)
			refs := map[string]bool{}
			for _, target := range p.Targets {
				require.False(t, refs[target.RefID], "%s asks %s twice", p.Title, target.RefID)
				refs[target.RefID] = true
				require.Equal(t, &datasource{"prometheus", "${datasource}"}, p.Datasource, p.Title)
				require.Equal(t, p.Datasource, target.Datasource, p.Title)
				// Those of Temporal's SDK have no exemplars.
				leads := strings.Contains(target.Expr, "_bucket") && !strings.Contains(target.Expr, "temporal_")
				require.Equal(t, leads, target.Exemplar, "%s: a histogram of ours leads to traces", p.Title)
			}
		}
	}
}

// Grafana finds what it is told to show where Compose mounts it, and asks services that there are; an exemplar in a panel leads
// to its trace.
func TestGrafanaFindsWhatItIsTold(t *testing.T) {
	t.Parallel()

	project := compose(t)
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	parse(t, "grafana/provisioning/dashboards/amends.yaml", &dashboards)
	grafana := project.Services["grafana"]
	mount := grafana.Volumes[slices.IndexFunc(grafana.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/etc/grafana/amends" })]
	require.Equal(t, "deploy/grafana", filepath.ToSlash(strings.TrimPrefix(mount.Source, "../")))
	require.Equal(t, path.Join(mount.Target, "provisioning"), *grafana.Environment["GF_PATHS_PROVISIONING"])
	require.Equal(t, path.Join(mount.Target, "dashboards"), dashboards.Providers[0].Options.Path)

	var sources struct {
		Datasources []struct {
			UID, Type, URL string
			IsDefault      bool
			JSONData       struct {
				ExemplarTraceIDDestinations []struct{ Name, DatasourceUID string }
			}
		}
	}
	parse(t, "grafana/provisioning/datasources/amends.yaml", &sources)
	kinds, leads := map[string]string{}, map[string]string{}
	for _, s := range sources.Datasources {
		require.Empty(t, kinds[s.UID], s.UID)
		kinds[s.UID] = s.Type
		require.Equal(t, s.Type == "prometheus", s.IsDefault, "panels ask Prometheus unless somebody chooses")
		host, _, found := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
		require.True(t, found, s.URL)
		require.Contains(t, project.Services, host)
		require.Contains(t, project.Services[host].Networks, "telemetry", "where Grafana is, too")
		for _, d := range s.JSONData.ExemplarTraceIDDestinations {
			leads[d.Name] = d.DatasourceUID
		}
	}
	require.Equal(t, []string{"jaeger", "prometheus"}, slices.Sorted(maps.Values(kinds)))
	require.Equal(t, map[string]string{"trace_id": "jaeger"}, leads, "trace_id is what OpenTelemetry calls it in an exemplar")
	require.Equal(t, "jaeger", kinds[leads["trace_id"]])
	require.Contains(t, []string(project.Services["prometheus"].Command), "--enable-feature=exemplar-storage")
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}

func parse(t *testing.T, file string, into any) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal([]byte(read(t, file)), into))
}
