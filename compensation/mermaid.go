package compensation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mermaid draws the plan as a flowchart in Mermaid's language: the way forward with solid arrows, thick ones after the
// pivot, and the undos with dashed arrows back.
func (p *Plan) Mermaid() string {
	d := newDiagram()
	last, arrow := d.forward(p.name, p.steps)
	d.line(`%s %s completed(["completed"])`, d.join(last, arrow), arrow)
	for _, st := range slices.Backward(p.steps) {
		if st.undo != nil {
			d.back(st.name, functionName(st.undo))
		}
	}
	return d.String()
}

// MermaidFailAt draws what a saga does when that step is refused (see [Plan.FailAt]): what was started, and what is
// undone, numbered in that order. Of the steps that were not started it has only the pivot, if that is fenced.
func (p *Plan) MermaidFailAt(step string) (string, error) {
	f, err := p.FailAt(step)
	if err != nil {
		return "", err
	}
	d := newDiagram()
	last := p.steps[p.index(step)].group
	d.forward(p.name, slices.DeleteFunc(slices.Clone(p.steps), func(st definition) bool { return st.group > last }))
	switch {
	case f.Parks:
		d.line(`%s -. "refused" .-> parked(["parked: waits for an operator"])`, step)
	case len(f.Undo) == 0 || f.Undo[0].Step != step:
		d.back(step, "refused")
	}
	for i, u := range f.Undo {
		label := strconv.Itoa(i+1) + " " + u.Activity
		if u.Fence && u.Step != step {
			d.node(*p.pivot())
			d.line("%s -. %s .-> %s", step, quote(label), u.Step)
			continue
		}
		d.back(u.Step, label)
	}
	d.line("classDef done fill:#dafbe1,stroke:#1a7f37,color:#116329")
	d.line("classDef refused fill:#ffebe9,stroke:#cf222e,color:#82071e")
	if len(f.Started) > 0 {
		d.line("class %s done", strings.Join(f.Started, ","))
	}
	d.line("class %s refused", step)
	return d.String(), nil
}

// diagram is a flowchart in the making. Its nodes are the steps, by their names, and some in lower case.
type diagram struct {
	strings.Builder
	// entry is the node from which a step is entered, and to which its undo leads back.
	entry map[string]string
}

func newDiagram() *diagram {
	d := &diagram{entry: map[string]string{}}
	d.WriteString("flowchart TD\n")
	return d
}

func (d *diagram) line(format string, args ...any) {
	fmt.Fprintf(d, "  "+format+"\n", args...)
}

// forward draws the way through the steps. last are those of the last group, arrow is the one that leads on from them.
//
// The order of lines matters: Mermaid's layout follows the arrows in that order, and takes for a way back what leads to
// where it has been.
func (d *diagram) forward(saga string, steps []definition) (last []string, arrow string) {
	d.line("start([%s])", quote(saga))
	last, arrow = []string{"start"}, "-->"
	for _, group := range groups(steps) {
		entry := d.join(last, arrow)
		last = nil
		for _, st := range group {
			d.node(st)
			d.entry[st.name] = entry
			last = append(last, st.name)
		}
		d.line("%s %s %s", entry, arrow, strings.Join(last, " & "))
		if group[0].kind == Pivot {
			arrow = "==>"
		}
	}
	return last, arrow
}

// join is the one node that the ways from these nodes lead to; a single node is its own.
func (d *diagram) join(nodes []string, arrow string) string {
	if len(nodes) == 1 {
		return nodes[0]
	}
	join := "after" + nodes[0]
	d.line("%s %s %s(( ))", strings.Join(nodes, " & "), arrow, join)
	return join
}

// node says how a step looks, if it is not plain.
func (d *diagram) node(st definition) {
	label := st.name
	if st.durable {
		label += "<br/>durable"
	}
	switch {
	case st.kind == Pivot:
		d.line(`%s{{"%s<br/>pivot"}}`, st.name, label)
	case st.durable:
		d.line(`%s["%s"]`, st.name, label)
	}
}

// back draws the way back from a step.
func (d *diagram) back(step, label string) {
	d.line("%s -. %s .-> %s", step, quote(label), d.entry[step])
}

// quote makes a label of text.
func quote(text string) string {
	return `"` + strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "&", "#amp;", "\n", " ").Replace(text) + `"`
}
