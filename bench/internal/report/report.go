// Package report makes what the benchmark says of what it measured: percentiles, medians over rounds, ratios, the table,
// its JSON form and the block of the documentation that holds the latest table. It does not know how anything is
// measured.
package report

import (
	"math"
	"slices"
	"time"
)

// Key says which row a measurement belongs to.
type Key struct {
	Engine      string `json:"engine"`
	Case        string `json:"case"`
	Concurrency int    `json:"concurrency"`
}

// Numbers are what is measured, of one round or as medians over rounds. All but the first three are per saga.
type Numbers struct {
	SagasPerSecond float64 `json:"sagas_per_s"`
	P50            float64 `json:"p50_ms"`
	P99            float64 `json:"p99_ms"`
	// Processor time of each process, in milliseconds.
	CPUEngine   float64 `json:"cpu_engine_ms"`
	CPUTemporal float64 `json:"cpu_temporal_ms"`
	CPUPostgres float64 `json:"cpu_postgres_ms"`
	CPUSteps    float64 `json:"cpu_steps_ms"`
	CPUTotal    float64 `json:"cpu_total_ms"`
	// HistoryEvents and HistoryBytes are zero for an engine without a history.
	HistoryEvents float64 `json:"history_events"`
	HistoryBytes  float64 `json:"history_bytes"`
	// Commits are transactions that wrote, WALBytes what PostgreSQL put into its log for them.
	Commits  float64 `json:"commits"`
	WALBytes float64 `json:"wal_bytes"`
	// DiskBytes is by how much PostgreSQL's databases have grown.
	DiskBytes float64 `json:"disk_bytes"`
}

// Measurement is one row in one round.
type Measurement struct {
	Key
	Numbers

	Sagas int
}

// Row is one row of the table.
type Row struct {
	Key
	Numbers

	// Rounds is over how many rounds Numbers are medians, Sagas how many sagas all of them had.
	Rounds int `json:"rounds"`
	Sagas  int `json:"sagas"`
	// ToPlain and ToAmends compare with the row of that engine for the same case and concurrency; nil if there is none.
	ToPlain  *Ratio `json:"to_plain,omitempty"`
	ToAmends *Ratio `json:"to_amends,omitempty"`
}

// Ratio is a row's numbers divided by another row's.
type Ratio struct {
	SagasPerSecond float64 `json:"sagas_per_s"`
	P50            float64 `json:"p50"`
	P99            float64 `json:"p99"`
	CPUTotal       float64 `json:"cpu_total"`
	Commits        float64 `json:"commits"`
}

// Rows makes the table's rows, in the order in which their keys first come.
func Rows(all []Measurement) []Row {
	var rows []Row
	for _, m := range all {
		if slices.ContainsFunc(rows, func(r Row) bool { return r.Key == m.Key }) {
			continue
		}
		rows = append(rows, rowOf(m.Key, all))
	}
	for i := range rows {
		rows[i].ToPlain = ratio(rows, rows[i], "plain")
		rows[i].ToAmends = ratio(rows, rows[i], "amends")
	}
	return rows
}

func rowOf(k Key, all []Measurement) Row {
	row := Row{Key: k}
	var rounds []Numbers
	for _, m := range all {
		if m.Key == k {
			rounds = append(rounds, m.Numbers)
			row.Sagas += m.Sagas
		}
	}
	row.Rounds = len(rounds)
	row.Numbers = Medians(rounds)
	return row
}

// Medians takes each number's median by itself.
func Medians(rounds []Numbers) Numbers {
	of := func(field func(Numbers) float64) float64 {
		values := make([]float64, len(rounds))
		for i, n := range rounds {
			values[i] = field(n)
		}
		return Median(values)
	}
	return Numbers{
		SagasPerSecond: of(func(n Numbers) float64 { return n.SagasPerSecond }),
		P50:            of(func(n Numbers) float64 { return n.P50 }),
		P99:            of(func(n Numbers) float64 { return n.P99 }),
		CPUEngine:      of(func(n Numbers) float64 { return n.CPUEngine }),
		CPUTemporal:    of(func(n Numbers) float64 { return n.CPUTemporal }),
		CPUPostgres:    of(func(n Numbers) float64 { return n.CPUPostgres }),
		CPUSteps:       of(func(n Numbers) float64 { return n.CPUSteps }),
		CPUTotal:       of(func(n Numbers) float64 { return n.CPUTotal }),
		HistoryEvents:  of(func(n Numbers) float64 { return n.HistoryEvents }),
		HistoryBytes:   of(func(n Numbers) float64 { return n.HistoryBytes }),
		Commits:        of(func(n Numbers) float64 { return n.Commits }),
		WALBytes:       of(func(n Numbers) float64 { return n.WALBytes }),
		DiskBytes:      of(func(n Numbers) float64 { return n.DiskBytes }),
	}
}

func ratio(rows []Row, r Row, engine string) *Ratio {
	other, ok := find(rows, Key{engine, r.Case, r.Concurrency})
	if !ok || r.Engine == engine {
		return nil
	}
	return &Ratio{
		SagasPerSecond: quotient(r.SagasPerSecond, other.SagasPerSecond),
		P50:            quotient(r.P50, other.P50),
		P99:            quotient(r.P99, other.P99),
		CPUTotal:       quotient(r.CPUTotal, other.CPUTotal),
		Commits:        quotient(r.Commits, other.Commits),
	}
}

func find(rows []Row, k Key) (Row, bool) {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Key == k })
	if i < 0 {
		return Row{}, false
	}
	return rows[i], true
}

// quotient is 0 where there is none, which JSON could not say.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Median is the middle one of the values, or the mean of the two in the middle; 0 if there are none. It sorts them.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// Percentile is the smallest of the latencies that p percent of them don't exceed (the nearest rank), in milliseconds;
// 0 if there are none. It sorts them.
func Percentile(latencies []time.Duration, p float64) float64 {
	if len(latencies) == 0 {
		return 0
	}
	slices.Sort(latencies)
	rank := int(math.Ceil(p / 100 * float64(len(latencies))))
	return Milliseconds(latencies[max(rank, 1)-1])
}

// Milliseconds is d as Numbers have it.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
