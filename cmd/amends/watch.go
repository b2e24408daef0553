package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/terminal"
)

// watch shows a saga until it has ended: in place on a terminal, otherwise a line for each change, or each state of it as
// one line of JSON. Its error says so if the saga is not completed.
func (c *connection) watch(p *process, api *client.Client, id string) error {
	var show func(*client.Saga) error
	width := terminal.Width(p.stdout)
	switch {
	case c.Output == outputJSON:
		show = func(v *client.Saga) error { return terminal.WriteJSON(p.stdout, v, "") }
	case width != nil:
		show = (&drawing{terminal.Block{Out: p.stdout, Width: width}}).show
	default:
		show = (&changes{out: p.stdout, steps: map[string]string{}}).show
	}
	var last *client.Saga
	for v, err := range api.Follow(p.ctx, id) {
		if err != nil {
			return err
		}
		if err := show(v); err != nil {
			return err
		}
		last = v
	}
	if last == nil { // nobody serves a stream without its first event
		return fmt.Errorf("follow %s: nothing was told of it", id)
	}
	return completed(id, last.State)
}

// drawing is a saga that is drawn in place.
type drawing struct{ terminal.Block }

func (d *drawing) show(v *client.Saga) error {
	var text strings.Builder
	writeView(&text, d.Width()-1, "saga", v)
	return d.Draw(text.String())
}

// changes tells a saga as lines that stay.
type changes struct {
	out   io.Writer
	state string
	// steps are what was told of each step, by its name.
	steps map[string]string
}

func (c *changes) show(v *client.Saga) error {
	var text strings.Builder
	at := time.Now().UTC().Format(time.TimeOnly)
	line := func(format string, args ...any) {
		fmt.Fprintln(&text, terminal.Printable(at+"  "+fmt.Sprintf(format, args...)))
	}
	for _, s := range v.Steps {
		name, now := stepName(s.Name, s.Item), stepInWords(s)
		if was := c.steps[name]; now != was && (was != "" || s.Do != client.DoWaiting) {
			c.steps[name] = now
			line("%s: %s", name, now)
		}
	}
	if state := stateInWords(v); state != c.state {
		c.state = state
		line("%s", state)
	}
	_, err := io.WriteString(c.out, text.String())
	return err
}

func stepInWords(s client.Step) string {
	text := string(s.Do)
	if s.Attempts > 1 {
		text += fmt.Sprintf(", %d tries", s.Attempts)
	}
	if s.Undo != client.UndoNone {
		text += ", undo " + string(s.Undo)
	}
	if s.UndoAttempts > 1 {
		text += fmt.Sprintf(", %d tries", s.UndoAttempts)
	}
	if s.Error != "" {
		text += ": " + s.Error
	}
	return text
}

func stateInWords(v *client.Saga) string {
	text := string(v.State)
	for _, part := range v.Parked {
		text += "; " + parkedName(part) + ": " + part.Reason
	}
	for _, w := range v.Waits {
		text += "; waits for " + w.For
	}
	if v.Cause != "" {
		text += "; " + v.Cause
	}
	return text
}
