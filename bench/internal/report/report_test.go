package report_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/bench/internal/report"
)

func TestPercentile(t *testing.T) {
	t.Parallel()

	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	for name, tt := range map[string]struct {
		latencies []time.Duration
		p, want   float64
	}{
		"none":               {nil, 50, 0},
		"one":                {[]time.Duration{7 * time.Millisecond}, 99, 7},
		"middle of three":    {[]time.Duration{3e6, 1e6, 2e6}, 50, 2},
		"half of four":       {[]time.Duration{4e6, 3e6, 1e6, 2e6}, 50, 2},
		"p50 of 100":         {hundred, 50, 50},
		"p99 of 100":         {hundred, 99, 99},
		"p100":               {hundred, 100, 100},
		"p0 is the smallest": {hundred, 0, 1},
		"p99 of few":         {[]time.Duration{1e6, 2e6, 90e6}, 99, 90},
		"part of a ms":       {[]time.Duration{1_500_000}, 50, 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			latencies := append([]time.Duration{}, tt.latencies...)
			require.InDelta(t, tt.want, report.Percentile(latencies, tt.p), 1e-9)
		})
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()

	require.Zero(t, report.Median(nil))
	require.InDelta(t, 2, report.Median([]float64{9, 1, 2}), 0)
	require.InDelta(t, 2.5, report.Median([]float64{9, 1, 2, 3}), 0)
}

// measured is a measurement with these numbers.
func measured(engine, c string, concurrency int, perSecond, p50 float64) report.Measurement {
	return report.Measurement{
		Key:     report.Key{Engine: engine, Case: c, Concurrency: concurrency},
		Numbers: report.Numbers{SagasPerSecond: perSecond, P50: p50, P99: 2 * p50, CPUTotal: 1000 / perSecond, Commits: 12},
		Sagas:   100,
	}
}

func TestRowsAreMediansOverRoundsAndTheirRatios(t *testing.T) {
	t.Parallel()

	rows := report.Rows([]report.Measurement{
		measured("plain", "success", 20, 10, 1000), measured("amends", "success", 20, 100, 90), measured("dbos", "success", 20, 200, 45),
		measured("plain", "success", 20, 12, 900), measured("amends", "success", 20, 300, 80), measured("dbos", "success", 20, 220, 40),
		measured("plain", "success", 20, 50, 1100), measured("amends", "success", 20, 120, 300), measured("dbos", "success", 20, 90, 50),
	})

	require.Len(t, rows, 3)
	plain, amends, dbos := rows[0], rows[1], rows[2]
	require.Equal(t, report.Key{Engine: "plain", Case: "success", Concurrency: 20}, plain.Key)
	require.Equal(t, 3, amends.Rounds)
	require.Equal(t, 300, amends.Sagas)
	require.InDelta(t, 12, plain.SagasPerSecond, 0)
	require.InDelta(t, 120, amends.SagasPerSecond, 0)
	require.InDelta(t, 90, amends.P50, 0)
	require.InDelta(t, 12, amends.Commits, 0)

	require.Nil(t, plain.ToPlain, "a row is not compared with itself")
	require.InDelta(t, 10, amends.ToPlain.SagasPerSecond, 1e-9)
	require.InDelta(t, 0.09, amends.ToPlain.P50, 1e-9)
	require.InDelta(t, 200.0/120, dbos.ToAmends.SagasPerSecond, 1e-9)
	require.InDelta(t, 0.5, dbos.ToAmends.P50, 1e-9)
	require.InDelta(t, 0.1, plain.ToAmends.SagasPerSecond, 1e-9)
}

func TestRowsCompareWithTheSameCaseAndConcurrencyOnly(t *testing.T) {
	t.Parallel()

	rows := report.Rows([]report.Measurement{
		measured("plain", "success", 1, 10, 100), measured("plain", "failing", 20, 10, 100), measured("amends", "success", 20, 100, 10),
	})

	require.Nil(t, rows[2].ToPlain)
}

func TestGoals(t *testing.T) {
	t.Parallel()

	reached := report.Goals(report.Rows([]report.Measurement{
		measured("plain", "success", 20, 10, 1000), measured("amends", "success", 20, 90, 90), measured("dbos", "success", 20, 180, 45),
		measured("plain", "failing", 20, 10, 1000), measured("amends", "failing", 20, 140, 90),
		measured("plain", "success", 1, 5, 200), measured("amends", "success", 1, 50, 20),
		measured("amends", "failing", 1, 50, 20), measured("dbos", "failing", 1, 40, 25),
	}))
	require.Len(t, reached, 5)
	for _, goal := range reached {
		require.True(t, goal.Reached(), goal.String())
	}

	missed := report.Goals(report.Rows([]report.Measurement{
		measured("plain", "success", 20, 10, 1000), measured("amends", "success", 20, 89, 90), measured("dbos", "success", 20, 179, 45),
		measured("plain", "failing", 20, 10, 1000), measured("amends", "failing", 20, 139, 90),
		measured("plain", "success", 1, 5, 199), measured("amends", "success", 1, 50, 20),
		measured("amends", "failing", 1, 50, 26), measured("dbos", "failing", 1, 40, 25),
	}))
	require.Len(t, missed, 5)
	for _, goal := range missed {
		require.False(t, goal.Reached(), goal.String())
	}
	require.Equal(t, "Sagas/s of DBOS to Amends', 20 at once: 2.01 (at most 2): not reached", missed[3].String())

	require.Empty(t, report.Goals(nil), "no rows, no goals")
}
