// Package completion completes command lines of amends in bash, zsh and fish. The shells' scripts ask the program itself
// what fits, so that what is completed is what this version of it takes. It knows kong's grammars, and nothing of the
// commands.
package completion

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Shells are those that there is a script for.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

//go:embed amends.bash amends.zsh amends.fish
var scripts embed.FS

// Script is what the shell has to run to complete command lines of amends. It calls the program that stands on the command
// line as `amends complete -- WORD...`, and reads what [Answer.Write] writes.
func Script(shell string) (string, error) {
	text, err := scripts.ReadFile("amends." + shell)
	if err != nil {
		return "", fmt.Errorf("there is no completion for %s; there is for %s", shell, strings.Join(Shells(), ", "))
	}
	return string(text), nil
}

// Candidate is a word that fits.
type Candidate struct{ Word, Help string }

// Answer is what fits: words, or the names of files.
type Answer struct {
	Candidates []Candidate
	Files      bool
}

// filesFit is the line that stands for the names of files, which the shell knows better.
const filesFit = ":files"

// Write writes one candidate in each line, followed by a tab and its help if it has one.
func (a Answer) Write(w io.Writer) error {
	var lines strings.Builder
	if a.Files {
		lines.WriteString(filesFit + "\n")
	}
	for _, c := range a.Candidates {
		help, _, _ := strings.Cut(c.Help, "\n")
		lines.WriteString(strings.TrimSuffix(c.Word+"\t"+help, "\t") + "\n")
	}
	_, err := io.WriteString(w, lines.String())
	return err
}

// Values are the words that fit flags and arguments beyond their enum, by what stands in the field's tag, as in
// `complete:"state"`. The tag `complete:"file"` stands for the names of files, as kong's types of paths do.
type Values map[string][]string

// Complete tells what fits in the place of the last of words, which are those after the program's name up to the cursor. The
// last one is empty where a new one begins.
func (known Values) Complete(app *kong.Application, words []string) Answer {
	if len(words) == 0 {
		words = []string{""}
	}
	last := len(words) - 1
	at := place{node: app.Node, flags: true}
	for _, word := range words[:last] {
		at.pass(word)
	}
	return known.fitting(&at, words[last])
}

// place is where in the grammar the words before lead to.
type place struct {
	node *kong.Node
	// arguments is how many of the node's there were.
	arguments int
	// flag waits for its value; nil if none does.
	flag *kong.Flag
	// flags can come: there was no --.
	flags bool
}

// pass goes past a word.
func (at *place) pass(word string) {
	switch {
	case at.flag != nil:
		at.flag = nil
	case at.flags && word == "--":
		at.flags = false
	case at.flags && len(word) > 1 && word[0] == '-':
		at.flag = at.waiting(word)
	default:
		if child := at.child(word); child != nil {
			at.node = child
			return
		}
		at.arguments++
	}
}

// waiting is the flag that the word names if its value comes with the next word.
func (at *place) waiting(word string) *kong.Flag {
	for _, f := range at.allFlags() {
		if (word == "--"+f.Name || (f.Short != 0 && word == "-"+string(f.Short))) && !f.IsBool() {
			return f
		}
	}
	return nil
}

// child is the node's command of this name. Once there was an argument, there is none.
func (at *place) child(name string) *kong.Node {
	for _, n := range at.node.Children {
		if n.Name == name && at.arguments == 0 {
			return n
		}
	}
	return nil
}

// argument is the one that comes here; nil for none. The last one can be a list.
func (at *place) argument() *kong.Positional {
	arguments := at.node.Positional
	last := len(arguments) - 1
	switch {
	case at.arguments <= last:
		return arguments[at.arguments]
	case last >= 0 && arguments[last].IsSlice():
		return arguments[last]
	}
	return nil
}

// allFlags are the flags that can stand here, those of the command first.
func (at *place) allFlags() []*kong.Flag {
	groups := at.node.AllFlags(true)
	slices.Reverse(groups)
	return slices.Concat(groups...)
}

// fitting tells what fits in the place of a word that begins so.
func (known Values) fitting(at *place, begins string) Answer {
	name, value, assigned := strings.Cut(begins, "=")
	switch {
	case at.flag != nil:
		return known.valuesOf(at.flag.Value, "", begins)
	case at.flags && assigned && strings.HasPrefix(name, "--"):
		for _, f := range at.allFlags() {
			if name == "--"+f.Name {
				return known.valuesOf(f.Value, name+"=", value)
			}
		}
		return Answer{}
	case at.flags && strings.HasPrefix(begins, "-"):
		return Answer{Candidates: at.flagsWith(begins)}
	}
	if argument := at.argument(); argument != nil {
		return known.valuesOf(argument, "", begins)
	}
	var fit []Candidate
	for _, n := range at.node.Children {
		if !n.Hidden && strings.HasPrefix(n.Name, begins) && at.arguments == 0 {
			fit = append(fit, Candidate{n.Name, n.Help})
		}
	}
	return Answer{Candidates: fit}
}

func (at *place) flagsWith(begins string) []Candidate {
	var fit []Candidate
	for _, f := range at.allFlags() {
		if long := "--" + f.Name; strings.HasPrefix(long, begins) {
			fit = append(fit, Candidate{long, f.Help})
		}
	}
	return fit
}

// valuesOf are the values that begin so, each behind the prefix.
func (known Values) valuesOf(v *kong.Value, prefix, begins string) Answer {
	kind := v.Tag.Get("complete")
	if v.Tag.Type == "path" || kind == "file" {
		return Answer{Files: true}
	}
	values := known[kind]
	if v.Enum != "" {
		values = v.EnumSlice()
	}
	var fit []Candidate
	for _, value := range values {
		if strings.HasPrefix(value, begins) {
			fit = append(fit, Candidate{Word: prefix + value})
		}
	}
	return Answer{Candidates: fit}
}
