// Package docs_test checks rules for every document of the repository.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A merge of two changes to one paragraph easily leaves two paragraphs.
func TestNothingStandsTwice(t *testing.T) {
	t.Parallel()

	documents := 0
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// Build output and the files of make run are not documents.
		if entry.IsDir() && slices.Contains([]string{".git", ".bin", "bin", ".amends"}, entry.Name()) {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		documents++
		text, err := os.ReadFile(path)
		require.Empty(t, repeated(string(text)), "%s says this twice", path)
		return err
	}))
	require.Greater(t, documents, 30)
}

func TestRepeated(t *testing.T) {
	t.Parallel()
	const sentence = "A C compiler turns the race detector on; PostgreSQL's binaries turn on the tests that need them."
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"a paragraph":           {"# A\n\n" + sentence + "\n\nBetween.\n\n" + sentence + "\n", "A C compiler turns the race detector on; PostgreSQL's binaries"},
		"broken elsewhere":      {sentence + "\n\n" + strings.ReplaceAll(sentence, " the ", "\nthe "), "A C compiler turns the race detector on; PostgreSQL's binaries"},
		"half of a paragraph":   {sentence + "\n" + sentence[:70] + " and nginx too.", "A C compiler turns the race detector on; PostgreSQL's binaries"},
		"a short paragraph":     {"What is missing is said.\n\nGo.\n\nWhat is\nmissing is said.", "What is missing is said."},
		"a row of a table":      {"| a | does |\n|---|---|\n| `b` | c |\n| `d` | e |\n| `b` | c |\n", "| `b` | c |"},
		"a short sentence":      {"Go is enough.\n\nGo is enough.", ""},
		"a command":             {"```console\n$ " + sentence + "\n```\n\n```console\n$ " + sentence + "\n```\n", ""},
		"code in a line":        {"- `" + sentence + "` one\n- `" + sentence + "` two\n", ""},
		"a row in two tables":   {"| a |\n|---|\n| b |\n\nText.\n\n| a |\n|---|\n| b |\n", ""},
		"a command, indented":   {"    $ " + sentence + "\n\n    $ " + sentence + "\n", ""},
		"nothing":               {"", ""},
		"a sentence, said once": {sentence, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, repeated(tt.text))
		})
	}
}

// run is the number of words in a row that no document repeats by chance, and least the smallest number of words in a
// shorter paragraph that none repeats.
const (
	run   = 10
	least = 5
)

var (
	blocks = regexp.MustCompile("(?m)^ *```(?s:.*?)\n *```|^(?:    |\t).*")
	inline = regexp.MustCompile("(?s)`.*?`")
	blank  = regexp.MustCompile(`\n\s*\n`)
)

// repeated returns the first words that a document's prose repeats, or the row that one of its tables repeats. It ignores
// code.
func repeated(text string) string {
	said := map[string]bool{}
	for _, paragraph := range blank.Split(blocks.ReplaceAllString(text, "\n\n"), -1) {
		if strings.HasPrefix(strings.TrimSpace(paragraph), "|") {
			rows := map[string]bool{}
			for row := range strings.Lines(paragraph) {
				if row = strings.TrimSpace(row); rows[row] && row != "" {
					return row
				}
				rows[row] = true
			}
			continue
		}
		words := strings.Fields(inline.ReplaceAllString(paragraph, ""))
		if len(words) < run && len(words) >= least {
			words = append(words, make([]string, run-len(words))...)
		}
		for i := range len(words) - run + 1 {
			words := strings.TrimSpace(strings.Join(words[i:i+run], " "))
			if said[words] {
				return words
			}
			said[words] = true
		}
	}
	return ""
}
