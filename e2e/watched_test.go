package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the dashboard and the alerts ask for is on the page of metrics, which TestMetrics holds against a real run.
func TestWatchedMetricsAreThere(t *testing.T) {
	t.Parallel()

	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	rules, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	require.NoError(t, err)
	asked := map[string]string{"alerts.yml": string(rules)}
	for _, expr := range panels(t) {
		asked["amends.json"] += expr + "\n"
	}
	for where, text := range asked {
		names := regexp.MustCompile(`\b(amends|temporal)_[a-z_]+`).FindAllString(text, -1)
		require.NotEmpty(t, names, where)
		for _, name := range names {
			family := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
			require.Contains(t, string(page), "| `"+family+"` |", "%s asks for %s", where, name)
		}
	}
}

// panels are the questions of the dashboards.
func panels(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../deploy/grafana/dashboards/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		var dashboard struct {
			Panels []struct {
				Title   string
				Type    string
				Targets []struct{ Expr string }
			}
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &dashboard))
		for _, p := range dashboard.Panels {
			require.True(t, p.Type == "row" || len(p.Targets) > 0, "%s asks nothing", p.Title)
			for _, target := range p.Targets {
				all = append(all, target.Expr)
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
