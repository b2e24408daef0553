package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/terminal"
)

var stepColumns = []terminal.Column{
	{Title: "STEP"}, {Title: "KIND"}, {Title: "DO"}, {Title: "UNDO"}, {Title: "TRIES", Right: true}, {Title: "ERROR", Flexible: true},
}

// writeView writes a saga, an order or a return as people read it, in lines of at most width characters; 0 is no limit.
// noun is the command that knows it: order or saga.
func writeView[R any](w io.Writer, width int, noun string, v *client.View[R]) {
	line := func(format string, args ...any) {
		text := terminal.Printable(fmt.Sprintf(format, args...))
		if width > 0 {
			text = terminal.Cut(text, width)
		}
		fmt.Fprintln(w, text)
	}
	line("%s  %s  %s", v.ID, v.State, times(v))
	if v.Cause != "" {
		line("cause: %s", v.Cause)
	}
	label := "facts:"
	for _, fact := range factTexts(v.Facts) {
		line("%-6s %s", label, fact)
		label = ""
	}
	fmt.Fprintln(w)
	terminal.WriteTable(w, width, stepColumns, stepRows(v.Steps))
	if len(v.Waits)+len(v.Parked)+len(v.Acts) > 0 {
		fmt.Fprintln(w)
	}
	for _, wait := range v.Waits {
		line("waits for: %s, until %s", wait.For, clock(wait.Until))
	}
	for _, part := range v.Parked {
		line("PARKED: %s, since %s: %s", parkedName(part), clock(part.Since), part.Reason)
		if part.Trying {
			line("  It is still tried, and goes on by itself if that succeeds.")
		}
	}
	for _, a := range v.Acts {
		text := fmt.Sprintf("%s  %s %s by %s", clock(a.At), a.Act, a.Step, a.By)
		if a.Reason != "" {
			text += ": " + a.Reason
		}
		line("%s", text)
	}
	if v.Links.WebUI != "" {
		fmt.Fprintln(w, "\n"+terminal.Printable(v.Links.WebUI))
	}
	if next := nextCommands(noun, v); len(next) > 0 {
		fmt.Fprintln(w, "\nWhat you can do next:")
		for _, command := range next {
			fmt.Fprintln(w, "  "+terminal.Printable(command)) // whole, as the link is: somebody will copy it
		}
	}
}

// factTexts are what can be said so far: "payment held (EUR 12.90)", "shipment booked (PARCEL-7)".
func factTexts(facts []client.Fact) []string {
	var told []string
	for _, f := range facts {
		if f.Is != "open" && f.Is != "none" {
			told = append(told, f.What+" "+strings.ReplaceAll(f.Is, "_", " ")+factDetail(f))
		}
	}
	return told
}

// factDetail is the first of a fact's details that people look for.
func factDetail(f client.Fact) string {
	detail := cmp.Or(f.Tracking, f.Reference)
	switch {
	case f.Amount != nil:
		detail = order.Money(*f.Amount).String()
	case len(f.Lines) > 0 && f.Tracking == "":
		lines := make([]string, len(f.Lines))
		for i, l := range f.Lines {
			lines[i] = fmt.Sprintf("%d %s", l.Quantity, l.SKU)
		}
		detail = strings.Join(lines, " + ")
	case f.Points != 0:
		detail = fmt.Sprint(f.Points)
	}
	if detail == "" {
		return ""
	}
	return " (" + detail + ")"
}

func times[R any](v *client.View[R]) string {
	text := "started " + clock(v.StartedAt)
	if v.EndedAt != nil {
		return text + ", ended after " + v.EndedAt.Sub(v.StartedAt).Round(time.Millisecond).String()
	}
	if v.Deadline != nil {
		text += ", deadline " + clock(*v.Deadline)
	}
	return text
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func stepRows(steps []client.Step) [][]string {
	rows := make([][]string, len(steps))
	for i, s := range steps {
		tries := fmt.Sprint(s.Attempts)
		if s.UndoAttempts > 0 {
			tries += fmt.Sprintf("+%d", s.UndoAttempts)
		}
		undo := string(s.Undo)
		if s.Undo == client.UndoNone {
			undo = ""
		}
		rows[i] = []string{stepName(s.Name, s.Item), string(s.Kind), string(s.Do), undo, tries, s.Error}
	}
	return rows
}

func stepName(name, item string) string {
	if item != "" {
		name += " " + item
	}
	return name
}

func parkedName(part client.ParkedPart) string {
	switch part.Part {
	case client.PartUndo:
		return "undoing " + stepName(part.Step, part.Item)
	case client.PartSaga:
		return "the saga itself"
	case client.PartDo:
	}
	return stepName(part.Step, part.Item)
}

// nextCommands are what makes sense for the saga now, as commands to type.
func nextCommands[R any](noun string, v *client.View[R]) []string {
	saga := v.ID
	if v.Links.Saga != "" {
		saga = lastPart(v.Links.Saga)
	}
	var list []string
	for _, part := range v.Parked {
		list = append(list, parkedCommands(saga, part, v.Steps, v.Deadline != nil)...)
	}
	if v.Links.Approval != "" {
		list = append(list, "amends "+noun+" approve "+v.ID, "amends "+noun+" reject "+v.ID)
	}
	if v.Links.Cancel != "" {
		list = append(list, "amends "+noun+" cancel "+v.ID)
	}
	if !v.State.Ended() {
		list = append(list, "amends saga watch "+saga)
	}
	if v.Links.Recovery != "" {
		list = append(list, "look at its recovery: "+v.Links.Recovery)
	}
	return list
}

// lastPart is what stands after a link's last slash.
func lastPart(link string) string { return link[strings.LastIndexByte(link, '/')+1:] }

// parkedCommands are the acts that fit what is parked, as docs/parked-sagas.md lists them.
func parkedCommands(saga string, part client.ParkedPart, steps []client.Step, deadline bool) []string {
	if part.Part == client.PartSaga {
		if deadline {
			return []string{"amends saga extend-deadline " + saga + " 24h --reason …"}
		}
		return nil
	}
	target := saga + " " + part.Step
	if part.Item != "" {
		target += " --item " + part.Item
	}
	list := []string{"amends saga retry " + target}
	if part.Part == client.PartUndo && isPivot(steps, part.Step) {
		return append(list,
			"amends saga mark-happened "+target+" --reason … --reference …   # it DID happen: go forward",
			"amends saga mark-prevented "+target+" --reason … --reference …  # it did NOT happen and never will: undo everything")
	}
	if part.Part == client.PartUndo || pastPivot(steps) {
		list = append(list, "amends saga skip "+target+" --reason …")
	}
	return append(list, "amends saga mark-done "+target+" --reason … --reference …")
}

// isPivot reports whether the step of that name is the saga's pivot.
func isPivot(steps []client.Step, name string) bool {
	return slices.ContainsFunc(steps, func(s client.Step) bool { return s.Name == name && s.Kind == client.Pivot })
}

// pastPivot tells whether the saga cannot turn back any more.
func pastPivot(steps []client.Step) bool {
	for _, s := range steps {
		if s.Kind == client.Pivot {
			return s.Do == client.DoDone || s.Do == client.DoMarkedDone || s.Do == client.DoSkipped
		}
	}
	return false
}

var itemColumns = []terminal.Column{
	{Title: "SAGA"}, {Title: "TYPE"}, {Title: "STATE"}, {Title: "STEP"}, {Title: "CUSTOMER"}, {Title: "STARTED"}, {Title: "CAUSE", Flexible: true},
}

func itemRows(items []*client.Item) [][]string {
	rows := make([][]string, len(items))
	for i, it := range items {
		rows[i] = []string{it.ID, it.Type, string(it.State), it.Step, it.Customer, clock(it.StartedAt), it.Cause}
	}
	return rows
}

// widthOf is how wide lines may be now; 0 where they stay whole.
func widthOf(w io.Writer) int {
	if width := terminal.Width(w); width != nil {
		return width() - 1 // a line as wide as the terminal would wrap on some
	}
	return 0
}
