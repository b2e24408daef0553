package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/terminal"
	"github.com/amends-dev/amends/workflows"
)

//go:generate go test -run ^TestPlansInDocs$ -update .

type planCommand struct {
	Type   string     `arg:"" optional:"" help:"Type of the saga, such as PlaceOrder. Without it, the types are listed." complete:"saga-type"`
	FailAt string     `help:"Show what the saga does when this step is refused." placeholder:"STEP" complete:"step"`
	Format planFormat `help:"text, json, or mermaid for a diagram." enum:"text,json,mermaid" default:"text"`
}

type planFormat string

const (
	planText    planFormat = "text"
	planJSON    planFormat = "json"
	planMermaid planFormat = "mermaid"
)

func (c *planCommand) Run(p *process) error {
	if c.Type == "" {
		return c.list(p.stdout)
	}
	plan, err := planOf(c.Type)
	if err != nil {
		return err
	}
	if c.FailAt == "" {
		return c.show(p.stdout, plan)
	}
	return c.showFailure(p.stdout, plan)
}

// planOf finds the plan of the saga type.
func planOf(sagaType string) (*compensation.Plan, error) {
	var types []string
	for _, plan := range workflows.Plans() {
		if plan.Name() == sagaType {
			return plan, nil
		}
		types = append(types, plan.Name())
	}
	return nil, fmt.Errorf("there is no saga %q; there are %s", sagaType, strings.Join(types, ", "))
}

func (c *planCommand) list(w io.Writer) error {
	switch {
	case c.FailAt != "":
		return errors.New("name the saga whose step --fail-at is")
	case c.Format == planMermaid:
		return errors.New("name the saga to draw")
	case c.Format == planJSON:
		return writeJSON(w, workflows.Plans())
	}
	rows := [][]string{{"SAGA", "STEPS", "PIVOT"}}
	for _, plan := range workflows.Plans() {
		rows = append(rows, []string{plan.Name(), fmt.Sprint(len(plan.Steps())), orDash(plan.Pivot())})
	}
	return writeRows(w, rows)
}

func (c *planCommand) show(w io.Writer, plan *compensation.Plan) error {
	switch c.Format {
	case planJSON:
		return writeJSON(w, plan)
	case planMermaid:
		_, err := io.WriteString(w, plan.Mermaid())
		return err
	case planText:
	}
	rows := [][]string{{"#", "STEP", "PARTICIPANT", "KIND", "RUNS", "LIMIT", "UNDO", "UNDO LIMIT", "IF UNKNOWN"}}
	beside := false
	for i, st := range plan.Steps() {
		beside = beside || (i > 0 && st.Group == plan.Steps()[i-1].Group)
		ifUnknown := "–"
		if st.Kind == compensation.Compensatable {
			ifUnknown = st.OnUnknown.String()
		}
		rows = append(rows, []string{
			fmt.Sprint(st.Group), st.Name, orDash(st.Participant), st.Kind.String(), runs(st.Express), short(st.Limit),
			orDash(st.Undo), short(st.UndoLimit), ifUnknown,
		})
	}
	if err := writeRows(w, rows); err != nil {
		return err
	}
	if beside {
		fmt.Fprintln(w, "\nSteps of one number start together.")
	}
	return nil
}

func (c *planCommand) showFailure(w io.Writer, plan *compensation.Plan) error {
	f, err := plan.FailAt(c.FailAt)
	if err != nil {
		return err
	}
	switch c.Format {
	case planJSON:
		return writeJSON(w, f)
	case planMermaid:
		diagram, err := plan.MermaidFailAt(c.FailAt)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, diagram)
		return err
	case planText:
	}
	return writeFailure(w, f)
}

func writeFailure(w io.Writer, f compensation.Failure) error {
	fmt.Fprintf(w, "%s when %s is refused\n\n", f.Saga, f.Step)
	if len(f.Started) > 0 {
		fmt.Fprintf(w, "Started before or beside it: %s.\n", strings.Join(f.Started, ", "))
	}
	if f.Parks {
		_, err := fmt.Fprintf(w, "There is no way back after the pivot: the saga parks until %s is done\nor an operator settles it. That has no time limit.\n", f.Step)
		return err
	}
	fmt.Fprint(w, "The saga turns back. It runs, in this order:\n\n")
	rows := [][]string{{"#", "UNDO", "OF", "RUNS", "WITHIN"}}
	n := 0
	for _, u := range f.AtMost {
		number := "*"
		if n < len(f.Undo) && f.Undo[n].Step == u.Step {
			u = f.Undo[n]
			n++
			number = fmt.Sprint(n)
		}
		rows = append(rows, []string{number, u.Activity, u.Step, runs(u.Express), short(u.Within)})
	}
	if err := writeRows(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if n < len(f.AtMost) {
		fmt.Fprintf(w, "* only after its first workflow task, or if %s may have happened\n", f.Step)
	}
	if fence := f.AtMost[0]; fence.Fence {
		fmt.Fprintf(w, "%s makes sure that %s never happens. If it did happen, in a try whose\nrecord was lost, the saga goes forward.\n",
			fence.Activity, fence.Step)
	}
	fmt.Fprintf(w, "The saga is undone, or parked, at most %s after its start. What it waits for besides its\nsteps comes on top.\n",
		short(f.Within))
	return nil
}

func writeJSON(w io.Writer, v any) error { return terminal.WriteJSON(w, v, "  ") }

// writeRows writes aligned columns.
func writeRows(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = terminal.Printable(cell)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

func runs(express bool) string {
	if express {
		return "express"
	}
	return "durable"
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// short is d without zero units at its end; a dash for 0.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	if d == 0 {
		text = "–"
	}
	return text
}
