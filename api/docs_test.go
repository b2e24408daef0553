package api

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"
)

// Update makes the tests of generated files write them again (make generate).
var Update = flag.Bool("update", false, "write generated files in docs/ again")

var problemsBlock = regexp.MustCompile(`(?s)(<!-- from the catalog in api/catalog.go: make generate -->\n).*(<!-- end -->\n)`)

// Each problem's type is the address of its section in docs/problems.md, which says what the catalog says.
func TestProblemsPage(t *testing.T) {
	t.Parallel()
	const file = "../docs/problems.md"

	page, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Len(t, problemsBlock.FindAll(page, -1), 1)
	parts := problemsBlock.FindSubmatch(page)
	current := bytes.Replace(page, parts[0], slices.Concat(parts[1], []byte(problemsText(t)), parts[2]), 1)
	if *Update {
		require.NoError(t, os.WriteFile(file, current, 0o644))
		return
	}
	require.Equal(t, string(current), string(page), "make generate")
}

// problemsText is a table of the problems by status, and a section of each.
func problemsText(t *testing.T) string {
	t.Helper()
	codes := slices.SortedFunc(maps.Keys(problems), func(a, b Code) int {
		return cmp.Or(cmp.Compare(problems[a].status, problems[b].status), cmp.Compare(a, b))
	})
	var table, sections strings.Builder
	last := 0
	for _, code := range codes {
		k := problems[code]
		require.NotEmpty(t, k.means, code)
		require.NotEmpty(t, k.remedy, code)
		if k.status != last {
			last = k.status
			fmt.Fprintf(&table, " |\n| %d | [%s](#%s)", k.status, code, code)
		} else {
			fmt.Fprintf(&table, ", [%s](#%s)", code, code)
		}
		again := ""
		if k.retryAfter > 0 {
			again = fmt.Sprintf(", `Retry-After: %d`", k.retryAfter)
		}
		fmt.Fprintf(&sections, "\n## %s\n\n%d%s: %s\n\n%s\n\n**What to do:** %s\n", code, k.status, again, k.title, k.means, k.remedy)
	}
	return "\n| status | codes |\n|---|---" + strings.TrimPrefix(table.String(), " ") + " |\n" + sections.String() + "\n"
}

// An operation of which nothing says who may do it is found when the API is made, and a rule is about an operation.
func TestEveryOperationHasARule(t *testing.T) {
	t.Parallel()

	text, err := os.ReadFile("../docs/openapi.json")
	require.NoError(t, err)
	for id := range rules {
		require.Contains(t, string(text), `"operationId": "`+id+`"`)
	}
	s := &server{rules: map[string]rule{}}
	require.PanicsWithValue(t, "api: nothing says who may do dance", func() {
		s.guard(&huma.Operation{OperationID: "dance"}, nil)
	})
}
