package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// columnOf is one column of a table with rows R.
type columnOf[R any] struct {
	head string
	cell func(R) string
}

var columns = []columnOf[Row]{
	{"case", func(r Row) string { return r.Case }},
	{"at once", func(r Row) string { return strconv.Itoa(r.Concurrency) }},
	{"engine", func(r Row) string { return r.Engine }},
	{"sagas/s", func(r Row) string { return number(r.SagasPerSecond) }},
	{"× plain", func(r Row) string {
		if r.ToPlain == nil {
			return none
		}
		return number(r.ToPlain.SagasPerSecond)
	}},
	{"× amends", func(r Row) string {
		if r.ToAmends == nil {
			return none
		}
		return number(r.ToAmends.SagasPerSecond)
	}},
	{"p50 ms", func(r Row) string { return number(r.P50) }},
	{"p99 ms", func(r Row) string { return number(r.P99) }},
	{"cpu ms: engine", func(r Row) string { return number(r.CPUEngine) }},
	{"temporal", func(r Row) string { return orNone(r.CPUTemporal) }},
	{"postgres", func(r Row) string { return number(r.CPUPostgres) }},
	{"steps", func(r Row) string { return number(r.CPUSteps) }},
	{"all", func(r Row) string { return number(r.CPUTotal) }},
	{"events", func(r Row) string { return orNone(r.HistoryEvents) }},
	{"bytes", func(r Row) string { return orNone(r.HistoryBytes) }},
	{"commits", func(r Row) string { return number(r.Commits) }},
	{"wal bytes", func(r Row) string { return number(r.WALBytes) }},
	{"sagas", func(r Row) string { return strconv.Itoa(r.Sagas) }},
}

// textColumns are aligned to the left, the others to the right.
var textColumns = map[string]bool{"case": true, "engine": true}

const none = "–"

// number has about three digits that count.
func number(f float64) string {
	switch {
	case f >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	default:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
}

func orNone(f float64) string {
	if f == 0 {
		return none
	}
	return number(f)
}

// Table is the rows as a Markdown table that can be read as it is, too.
func Table(rows []Row) string {
	var b strings.Builder
	writeTable(&b, columns, rows)
	return b.String()
}

func writeTable[R any](b *strings.Builder, columns []columnOf[R], rows []R) {
	cells := [][]string{make([]string, len(columns))}
	for i, c := range columns {
		cells[0][i] = c.head
	}
	for _, r := range rows {
		line := make([]string, len(columns))
		for i, c := range columns {
			line[i] = c.cell(r)
		}
		cells = append(cells, line)
	}
	widths := make([]int, len(columns))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, line := range cells {
		for i, cell := range line {
			b.WriteString("| " + pad(cell, widths[i], textColumns[columns[i].head]) + " ")
		}
		b.WriteString("|\n")
		if n == 0 {
			writeRule(b, cells[0], widths)
		}
	}
}

// writeRule writes the line between head and body, which says how columns are aligned.
func writeRule(b *strings.Builder, heads []string, widths []int) {
	for i, width := range widths {
		if textColumns[heads[i]] {
			b.WriteString("|" + strings.Repeat("-", width+2))
		} else {
			b.WriteString("|" + strings.Repeat("-", width+1) + ":")
		}
	}
	b.WriteString("|\n")
}

func pad(s string, width int, left bool) string {
	fill := strings.Repeat(" ", width-utf8.RuneCountInString(s))
	if left {
		return s + fill
	}
	return fill + s
}

// WriteJSON writes the rows, one object a line.
func WriteJSON(w io.Writer, rows []Row) error {
	encoder := json.NewEncoder(w)
	for _, r := range rows {
		if err := encoder.Encode(r); err != nil {
			return fmt.Errorf("row of %s: %w", r.Engine, err)
		}
	}
	return nil
}
