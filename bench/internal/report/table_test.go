package report_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/bench/internal/report"
)

func exampleRows() []report.Row {
	plain := measured("plain", "failing", 50, 7.654, 1234.5)
	plain.HistoryEvents, plain.HistoryBytes = 119, 14_321.4
	return report.Rows([]report.Measurement{plain, measured("dbos", "failing", 50, 118, 420)})
}

func TestTable(t *testing.T) {
	t.Parallel()

	lines := strings.Split(strings.TrimSuffix(report.Table(exampleRows()), "\n"), "\n")

	require.Len(t, lines, 4, "a head, a rule and a line for each row")
	for _, line := range lines {
		require.Equal(t, utf8.RuneCountInString(lines[0]), utf8.RuneCountInString(line), "columns are aligned")
		require.Equal(t, strings.Count(lines[0], "|"), strings.Count(line, "|"))
	}
	cells := func(line string) []string {
		var all []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			all = append(all, strings.TrimSpace(cell))
		}
		return all
	}
	head, plain, dbos := cells(lines[0]), cells(lines[2]), cells(lines[3])
	row := func(of []string) map[string]string {
		named := make(map[string]string)
		for i, name := range head {
			named[name] = of[i]
		}
		return named
	}
	require.Subset(t, row(plain), map[string]string{
		"case": "failing", "at once": "50", "engine": "plain", "sagas/s": "7.65", "× plain": "–", "p50 ms": "1234",
		"events": "119", "bytes": "14321", "commits": "12.0", "sagas": "100",
	})
	require.Subset(t, row(dbos), map[string]string{"engine": "dbos", "× plain": "15.4", "events": "–", "temporal": "–"})
}

func TestJSON(t *testing.T) {
	t.Parallel()

	var out strings.Builder
	require.NoError(t, report.WriteJSON(&out, exampleRows()))

	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, lines, 2)
	var plain, dbos map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &plain))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &dbos))
	require.Subset(t, plain, map[string]any{
		"engine": "plain", "case": "failing", "concurrency": 50.0, "rounds": 1.0, "sagas": 100.0,
		"sagas_per_s": 7.654, "p50_ms": 1234.5, "p99_ms": 2469.0, "history_events": 119.0, "history_bytes": 14_321.4, "commits": 12.0,
	})
	for _, field := range []string{"cpu_engine_ms", "cpu_temporal_ms", "cpu_postgres_ms", "cpu_steps_ms", "cpu_total_ms", "wal_bytes"} {
		require.Contains(t, plain, field)
	}
	require.NotContains(t, plain, "to_plain")
	require.Contains(t, dbos["to_plain"], "sagas_per_s")
}

const document = `# Performance

<!-- Written by make bench: begin -->
old
<!-- Written by make bench: end -->

Written by hand.
`

func TestWriteDocument(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "performance.md")
	require.NoError(t, os.WriteFile(path, []byte(document), 0o600))
	for _, block := range []string{"| longer than before |", "new"} {
		require.NoError(t, report.WriteDocument(path, "bench", block))
	}

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, strings.Replace(document, "old\n", "\nnew\n", 1), string(text))
}

func TestDocumentWithoutABlockStaysAsItIs(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "other.md")
	require.NoError(t, os.WriteFile(path, []byte("no block"), 0o600))

	require.ErrorContains(t, report.WriteDocument(path, "bench", "new"), path)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "no block", string(text))
}
