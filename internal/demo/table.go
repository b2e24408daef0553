package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// column is one column of a table.
type column struct {
	title string
	// right aligns numbers.
	right bool
	// flexible is the column that gets narrower where the table is too wide.
	flexible bool
}

var orderColumns = []column{
	{title: "ORDER"},
	{title: "SCENARIO"},
	{title: "STATE"},
	{title: "CAUSE", flexible: true},
	{title: "DONE", right: true},
	{title: "UNDONE", right: true},
	{title: "TOOK", right: true},
}

// rows are the cells of orderColumns.
func (d *demo) rows() [][]string {
	rows := make([][]string, 0, len(d.entries))
	for _, e := range d.entries {
		state, took := "not seen", ""
		if e.placed {
			state = string(e.view.State)
		}
		if !e.view.EndedAt.IsZero() {
			took = seconds(e.view.EndedAt.Sub(e.view.StartedAt))
		}
		done, undone := e.counted()
		rows = append(rows, []string{
			string(e.order.ID), e.name, state, e.view.Cause, strconv.Itoa(done), strconv.Itoa(undone), took,
		})
	}
	return rows
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

const (
	gap = "  "
	// leastFlexible is how narrow the flexible column gets before lines are cut at the end.
	leastFlexible = 10
)

// writeTable writes aligned columns, in lines of at most width characters; 0 is no limit.
func writeTable(w io.Writer, width int, columns []column, rows [][]string) {
	widths := make([]int, len(columns))
	total := len(gap) * (len(columns) - 1)
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range rows {
			row[i] = printable(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for i, c := range columns {
		if over := total - width; c.flexible && width > 0 && over > 0 {
			widths[i] = max(widths[i]-over, min(widths[i], leastFlexible))
		}
	}
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	for _, row := range append([][]string{titles}, rows...) {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString(gap)
			}
			cell = cut(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if columns[i].right {
				cell, pad = pad, cell
			}
			line.WriteString(cell + pad)
		}
		text := strings.TrimRight(line.String(), " ")
		if width > 0 {
			text = cut(text, width)
		}
		fmt.Fprintln(w, text)
	}
}

// cut shortens s to n characters, the last of which then is an ellipsis.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	return string([]rune(s)[:n-1]) + "…"
}

// printable takes out of a text from elsewhere what would steer the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, s)
}
