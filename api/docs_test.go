package api

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"
)

// Each problem's type is the address of its section in docs/problems.md.
func TestProblemsAreDocumented(t *testing.T) {
	t.Parallel()

	page, err := os.ReadFile("../docs/problems.md")
	require.NoError(t, err)
	sections := 0
	for line := range strings.Lines(string(page)) {
		if code, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok {
			require.Contains(t, problems, Code(code), "a section of no problem")
			sections++
		}
	}
	require.Len(t, problems, sections, "a problem without a section")
	for code, kind := range problems {
		row := fmt.Sprintf("\n| %d | ", kind.status)
		at := strings.Index(string(page), row)
		require.GreaterOrEqual(t, at, 0, "no row for status %d", kind.status)
		cells, _, _ := strings.Cut(string(page)[at+1:], "\n")
		require.Contains(t, cells, fmt.Sprintf("[%s](#%s)", code, code))
	}
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
