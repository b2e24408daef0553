package report_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/bench/internal/report"
)

func TestSizing(t *testing.T) {
	t.Parallel()

	row := func(key report.SizingKey, perSecond, idle float64) report.SizingMeasurement {
		return report.SizingMeasurement{
			SizingKey: key, IdleTemporal: idle, IdlePostgres: idle / 2,
			Numbers: report.Numbers{SagasPerSecond: perSecond, HistoryBytes: 5000, Commits: 9},
		}
	}
	one := report.SizingKey{Table: report.ByShardsAndWorkers, Shards: 512, Workers: 4, AtOnce: 50}
	slow := report.SizingKey{Table: report.WithSlowFlush, Shards: 16, Workers: 4, AtOnce: 200}
	large := report.SizingKey{Table: report.ByHistorySize, Workers: 1, AtOnce: 50, ResultBytes: 1000}
	text := report.Sizing([]report.SizingMeasurement{
		row(one, 80, 0.02), row(slow, 40, 0), row(large, 60, 0),
		row(one, 100, 0.04), row(one, 90, 0.03),
	})

	var cells [][]string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| ") {
			fields := strings.Split(strings.Trim(line, "|\n"), "|")
			for i := range fields {
				fields[i] = strings.TrimSpace(fields[i])
			}
			cells = append(cells, fields)
		}
	}
	require.Len(t, cells, 6, "three tables with a head and a row, however many rounds")
	for i := 0; i < len(cells); i += 2 {
		require.Len(t, cells[i+1], len(cells[i]))
	}
	require.Equal(t, []string{"512", "4", "90.0"}, cells[1][:3], "medians over rounds")
	require.Equal(t, []string{"3.00 %", "1.50 %"}, cells[1][len(cells[1])-2:])
	require.Equal(t, []string{"16", "40.0"}, cells[3][:2])
	require.Equal(t, []string{"1000", "5000", "60.0"}, cells[5][:3])
}
