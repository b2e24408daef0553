package demo

import (
	"fmt"
	"strconv"
	"time"

	"github.com/amends-dev/amends/internal/terminal"
)

var orderColumns = []terminal.Column{
	{Title: "ORDER"},
	{Title: "SCENARIO"},
	{Title: "STATE"},
	{Title: "CAUSE", Flexible: true},
	{Title: "DONE", Right: true},
	{Title: "UNDONE", Right: true},
	{Title: "TOOK", Right: true},
}

// rows are the cells of orderColumns.
func (d *demo) rows() [][]string {
	rows := make([][]string, 0, len(d.entries))
	for _, e := range d.entries {
		state, took := "not seen", ""
		if e.placed {
			state = string(e.view.State)
		}
		if e.view.EndedAt != nil {
			took = seconds(e.view.EndedAt.Sub(e.view.StartedAt))
		}
		done, undone := e.counted()
		rows = append(rows, []string{
			e.id, e.name, state, e.view.Cause, strconv.Itoa(done), strconv.Itoa(undone), took,
		})
	}
	return rows
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
