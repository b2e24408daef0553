package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// SizingTable is one of the tables of [Sizing].
type SizingTable string

const (
	// ByShardsAndWorkers varies the history shards and the workers.
	ByShardsAndWorkers SizingTable = "by shards and workers"
	// WithSlowFlush varies the history shards where each commit takes long.
	WithSlowFlush SizingTable = "with a slow flush"
	// ByHistorySize varies the size of a saga's history.
	ByHistorySize SizingTable = "by history size"
)

// SizingKey says which row a measurement belongs to.
type SizingKey struct {
	Table                                SizingTable
	Shards, Workers, AtOnce, ResultBytes int
}

// SizingMeasurement is a row in one round.
type SizingMeasurement struct {
	SizingKey
	Numbers

	// IdleTemporal and IdlePostgres are which share of one processor these need when nothing is to be done.
	IdleTemporal, IdlePostgres float64
}

// sizingRow is a row's medians.
type sizingRow = SizingMeasurement

var sizingColumns = map[SizingTable][]columnOf[sizingRow]{
	ByShardsAndWorkers: slices.Concat([]columnOf[sizingRow]{
		{"shards", func(r sizingRow) string { return strconv.Itoa(r.Shards) }},
		{"workers", func(r sizingRow) string { return strconv.Itoa(r.Workers) }},
	}, costColumns, []columnOf[sizingRow]{
		{"idle: temporal", func(r sizingRow) string { return percent(r.IdleTemporal) }},
		{"postgres", func(r sizingRow) string { return percent(r.IdlePostgres) }},
	}),
	WithSlowFlush: {
		{"shards", func(r sizingRow) string { return strconv.Itoa(r.Shards) }},
		{"sagas/s", func(r sizingRow) string { return number(r.SagasPerSecond) }},
		{"p50 ms", func(r sizingRow) string { return number(r.P50) }},
		{"p99 ms", func(r sizingRow) string { return number(r.P99) }},
		{"cpu ms", func(r sizingRow) string { return number(r.CPUTotal) }},
	},
	ByHistorySize: slices.Concat([]columnOf[sizingRow]{
		{"a result is larger by", func(r sizingRow) string { return strconv.Itoa(r.ResultBytes) }},
		{"history bytes", func(r sizingRow) string { return number(r.HistoryBytes) }},
	}, costColumns),
}

// costColumns are what a saga costs.
var costColumns = []columnOf[sizingRow]{
	{"sagas/s", func(r sizingRow) string { return number(r.SagasPerSecond) }},
	{"p50 ms", func(r sizingRow) string { return number(r.P50) }},
	{"p99 ms", func(r sizingRow) string { return number(r.P99) }},
	{"cpu ms: workers", func(r sizingRow) string { return number(r.CPUEngine) }},
	{"temporal", func(r sizingRow) string { return number(r.CPUTemporal) }},
	{"postgres", func(r sizingRow) string { return number(r.CPUPostgres) }},
	{"all", func(r sizingRow) string { return number(r.CPUTotal) }},
	{"commits", func(r sizingRow) string { return number(r.Commits) }},
	{"wal bytes", func(r sizingRow) string { return number(r.WALBytes) }},
	{"disk bytes", func(r sizingRow) string { return number(r.DiskBytes) }},
}

func percent(share float64) string { return number(share*100) + " %" }

// Sizing is the tables of all measurements, as Markdown, each with the medians over its rounds.
func Sizing(all []SizingMeasurement) string {
	var b strings.Builder
	for _, table := range []SizingTable{ByShardsAndWorkers, WithSlowFlush, ByHistorySize} {
		fmt.Fprintf(&b, "Sagas %s:\n\n", table)
		writeTable(&b, sizingColumns[table], sizingRows(table, all))
		b.WriteString("\n")
	}
	return b.String()
}

// sizingRows makes a table's rows, in the order in which their keys first come.
func sizingRows(table SizingTable, all []SizingMeasurement) (rows []sizingRow) {
	for _, m := range all {
		if m.Table != table || slices.ContainsFunc(rows, func(r sizingRow) bool { return r.SizingKey == m.SizingKey }) {
			continue
		}
		row := sizingRow{SizingKey: m.SizingKey}
		var numbers []Numbers
		var temporal, postgres []float64
		for _, of := range all {
			if of.SizingKey == m.SizingKey {
				numbers = append(numbers, of.Numbers)
				temporal, postgres = append(temporal, of.IdleTemporal), append(postgres, of.IdlePostgres)
			}
		}
		row.Numbers, row.IdleTemporal, row.IdlePostgres = Medians(numbers), Median(temporal), Median(postgres)
		rows = append(rows, row)
	}
	return rows
}
