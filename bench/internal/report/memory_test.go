package report_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/bench/internal/report"
)

func TestMemory(t *testing.T) {
	t.Parallel()

	text := report.Memory([]report.MemoryMeasurement{
		{Sagas: 900, HeapBytes: 123_400_000, Numbers: report.Numbers{SagasPerSecond: 15, P50: 300, P99: 1023}},
		{Sagas: 12000, HeapBytes: 98_760_000, Numbers: report.Numbers{SagasPerSecond: 20.04, P50: 9.5, P99: 35}},
	})

	require.Equal(t, `| sagas so far | heap MB | sagas/s | p50 ms | p99 ms |
|-------------:|--------:|--------:|-------:|-------:|
|          900 |     123 |    15.0 |    300 |   1023 |
|        12000 |    98.8 |    20.0 |   9.50 |   35.0 |
`, text)
}
