// Package terminal writes what people read: tables, and lines that are drawn in place.
package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// ClearLine goes back to the line's start and clears it.
const ClearLine = "\r\x1b[2K"

// Width tells how wide the terminal is at the moment; it is nil for what is no terminal, or one that cannot move its
// cursor.
func Width(w io.Writer) func() int {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return func() int {
		width, _, err := term.GetSize(int(file.Fd()))
		if err != nil || width < 1 {
			return 80
		}
		return width
	}
}

// Column is one column of a table.
type Column struct {
	Title string
	// Right aligns numbers.
	Right bool
	// Flexible is the column that gets narrower where the table is too wide.
	Flexible bool
}

const (
	// Gap is between two columns.
	Gap = "  "
	// leastFlexible is how narrow the flexible column gets before lines are cut at the end.
	leastFlexible = 10
)

// WriteTable writes aligned columns, in lines of at most width characters; 0 is no limit.
func WriteTable(w io.Writer, width int, columns []Column, rows [][]string) {
	widths := make([]int, len(columns))
	total := len(Gap) * (len(columns) - 1)
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.Title)
		for _, row := range rows {
			row[i] = Printable(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for i, c := range columns {
		if over := total - width; c.Flexible && width > 0 && over > 0 {
			widths[i] = max(widths[i]-over, min(widths[i], leastFlexible))
		}
	}
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.Title
	}
	for _, row := range append([][]string{titles}, rows...) {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString(Gap)
			}
			cell = Cut(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if columns[i].Right {
				cell, pad = pad, cell
			}
			line.WriteString(cell + pad)
		}
		text := strings.TrimRight(line.String(), " ")
		if width > 0 {
			text = Cut(text, width)
		}
		fmt.Fprintln(w, text)
	}
}

// Cut shortens s to n characters, the last of which then is an ellipsis.
func Cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	return string([]rune(s)[:n-1]) + "…"
}

// Printable replaces characters in a text from elsewhere that would control the terminal, or not be seen on it. Its
// result is one line.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if printable(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// PrintableLines is [Printable] for a text of several lines, which it keeps.
func PrintableLines(s string) string {
	return strings.Map(func(r rune) rune {
		if printable(r) || r == '\n' {
			return r
		}
		return utf8.RuneError
	}, s)
}

// WriteJSON writes v as JSON and a newline, indented by indent if that is not empty. It escapes characters in texts that
// are not [Printable], which a program reads as the same text.
func WriteJSON(w io.Writer, v any, indent string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	var plain strings.Builder
	for _, r := range text.String() {
		if printable(r) || r == '\n' {
			plain.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&plain, `\u%04x`, unit)
		}
	}
	_, err := io.WriteString(w, plain.String())
	return err
}

// printable reports whether r is drawn by itself; Go counts selectors and fillers as printable, but they are not drawn.
func printable(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}
