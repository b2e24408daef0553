package compensation

import (
	"reflect"
	"runtime"
	"strings"
	"time"
	"unicode"

	"go.temporal.io/sdk/workflow"
)

// show puts the saga's steps into the workflow's current details, a Markdown table in the Web UI. It costs no event.
func (s *saga) show(ctx workflow.Context) {
	var b strings.Builder
	b.Grow(128 + 64*len(s.plan.steps))
	b.WriteString("**" + string(s.shown()) + "**")
	if s.cause != "" {
		b.WriteString(": " + EscapeMarkdown(s.cause))
	}
	b.WriteString("\n\n| step | kind | do | undo |\n|---|---|---|---|\n")
	for _, d := range s.plan.steps {
		started := false
		for _, e := range s.executions {
			if e.name == d.name {
				started = true
				row(&b, EscapeMarkdown(e.key.label()), e.kind, e.do, s.undoState(e))
			}
		}
		if !started {
			row(&b, d.name, d.kind, notStarted(s.state), UndoNone)
		}
	}
	s.showOperators(&b)
	workflow.SetCurrentDetails(ctx, b.String())
}

// showOperators tells what waits for an operator, and what operators did.
func (s *saga) showOperators(b *strings.Builder) {
	if len(s.parked) > 0 {
		b.WriteString("\n**Waits for an operator**\n\n")
		for _, p := range s.parked {
			b.WriteString("- " + EscapeMarkdown(p.label()) + ", since " + p.since.UTC().Format(time.RFC3339) + ": " + EscapeMarkdown(p.reason))
			if p.trying {
				b.WriteString(" (is still tried)")
			}
			b.WriteString("\n")
		}
	}
	if len(s.acts) == 0 {
		return
	}
	b.WriteString("\n**What operators did**\n\n")
	for _, a := range s.acts {
		b.WriteString("- " + a.At.UTC().Format(time.RFC3339) + " " + EscapeMarkdown(a.By) + ": " + a.Name)
		if a.Step != "" {
			b.WriteString(" " + EscapeMarkdown(Key{Step: a.Step, Item: a.Item}.label()))
		}
		if a.Reason != "" {
			b.WriteString(", because " + EscapeMarkdown(a.Reason))
		}
		if a.Reference != "" {
			b.WriteString(" (" + EscapeMarkdown(a.Reference) + ")")
		}
		b.WriteString("\n")
	}
}

func row(b *strings.Builder, step string, kind Kind, do DoState, undo UndoState) {
	for _, cell := range [...]string{step, kind.String(), string(do), string(undo)} {
		b.WriteString("| ")
		b.WriteString(cell)
		b.WriteByte(' ')
	}
	b.WriteString("|\n")
}

// notStarted is the state of a step that was never started, in a saga of that state.
func notStarted(s State) DoState {
	if s == Running {
		return DoWaiting
	}
	return DoNotRun
}

// undoState is the step's undo as people should read it: a step whose turn to be undone comes is waiting.
func (s *saga) undoState(e *execution) UndoState {
	if e.undo == UndoNone && s.mustUndo(e) {
		return UndoWaiting
	}
	return e.undo
}

// words turns a name into words: "ReserveStock" into "reserve stock".
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// unworded turns words back into a step's name. ok is false for a text that words makes of no step's name.
func unworded(text string) (name string, ok bool) {
	var b strings.Builder
	for word := range strings.SplitSeq(text, " ") {
		if word == "" {
			return "", false
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	name = b.String()
	return name, stepName.MatchString(name) && words(name) == text
}

func itemSuffix(item string) string {
	if item == "" {
		return ""
	}
	return " (" + EscapeMarkdown(item) + ")" // summaries are Markdown, too
}

// functionName is the last part of a function's or method value's name: the name under which the SDK registers it.
func functionName(f any) string {
	name := wholeName(f)
	return strings.TrimSuffix(name[strings.LastIndexByte(name, '.')+1:], "-fm")
}

// wholeName returns a function's name with its package and, of a method value, its type.
func wholeName(f any) string { return runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name() }
