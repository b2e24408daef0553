package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/terminal"
)

// tally is how many orders are in which state.
type tally struct {
	total int
	state map[client.State]int
}

// shownStates are the states of a tally in the order in which they are shown.
var shownStates = []client.State{
	client.Running, client.Compensating, client.Parked,
	client.Completed, client.Compensated, client.CompensatedWithExceptions, client.Terminated,
}

func (d *demo) tally() tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := tally{total: len(d.entries), state: map[client.State]int{}}
	for _, e := range d.entries {
		if e.placed {
			t.state[e.view.State]++
		}
	}
	return t
}

func (t tally) ended() int {
	n := 0
	for state, count := range t.state {
		if state.Ended() {
			n += count
		}
	}
	return n
}

// String is a line that says how far the run is.
func (t tally) String() string {
	return fmt.Sprintf("%d of %d ended", t.ended(), t.total) + t.states(", ")
}

// states lists the states that any order is in, each after sep.
func (t tally) states(sep string) string {
	var list strings.Builder
	for _, state := range shownStates {
		if n := t.state[state]; n > 0 {
			fmt.Fprintf(&list, "%s%d %s", sep, n, state)
		}
	}
	return list.String()
}

const widestBar = 30

// bar is the tally as a line of at most width characters: a bar, the states and the time. With all states there are in
// a run of 40 there is room for a bar on 80 columns.
func (t tally) bar(width int, elapsed time.Duration) string {
	text := fmt.Sprintf("%d/%d%s", t.ended(), t.total, t.states(terminal.Gap)) + terminal.Gap + seconds(elapsed)
	room := min(width-utf8.RuneCountInString(text)-len(terminal.Gap), widestBar)
	if room < len("--") {
		return terminal.Cut(text, width)
	}
	full := room * t.ended() / t.total
	return strings.Repeat("█", full) + strings.Repeat("░", room-full) + terminal.Gap + text
}

const (
	redraw = 100 * time.Millisecond
	// plainPause is how long there is at least between two lines where they stay.
	plainPause = time.Second
)

// showProgress shows the tally until the function that it returns is called: in place on a terminal, else a line
// whenever it has changed.
func (d *demo) showProgress() (stop func()) {
	began := time.Now()
	every, show := redraw, func() {
		// A line as wide as the terminal would wrap on some.
		fmt.Fprint(d.Out, terminal.ClearLine, terminal.Printable(d.tally().bar(d.Width()-1, time.Since(began))))
	}
	if d.Width == nil {
		every, show = plainPause, d.plainLines(began)
	}
	ended := terminal.Repeat(every, show)
	return func() {
		ended()
		if d.Width != nil {
			fmt.Fprintln(d.Out)
		}
	}
}

func (d *demo) plainLines(began time.Time) func() {
	last := ""
	return func() {
		if line := d.tally().String(); line != last {
			last = line
			fmt.Fprintf(d.Out, "%s  %s\n", seconds(time.Since(began)), terminal.Printable(line))
		}
	}
}
