package client_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/apitest"
)

const description = "../docs/openapi.json"

// newChecker serves answers, checked, and returns a client of them that repeats at most twice, quickly.
func newChecker(t *testing.T, answer http.HandlerFunc) (*apitest.Server, *client.Client) {
	t.Helper()
	server := apitest.Serve(t, description, answer)
	c, err := client.New(server.URL+"/", client.Options{Repeats: 2, FirstPause: time.Millisecond, LongestPause: 2 * time.Second})
	require.NoError(t, err)
	return server, c
}

func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := apitest.Document(description)
	require.NoError(t, err)
	return doc
}

// sample is a value that fits the schema and has every field that there can be.
func sample(s *openapi3.Schema) any {
	switch {
	case s.Type.Includes("object"):
		object := map[string]any{}
		for name, field := range s.Properties {
			object[name] = sample(field.Value)
		}
		return object
	case s.Type.Includes("array"):
		return []any{sample(s.Items.Value)}
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type.Includes("integer"), s.Type.Includes("number"):
		return 7
	case s.Type.Includes("boolean"):
		return true
	case s.Format == "date-time":
		return "2026-01-02T03:04:05Z"
	case s.Type.Includes("string"):
		if len(s.Examples) > 0 {
			return s.Examples[0]
		}
		return "abc"
	}
	return map[string]any{"any": "thing"} // a schema that takes whatever there is
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// canonical is the same for equal JSON.
func canonical(text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err.Error()
	}
	sorted, _ := json.Marshal(v)
	return string(sorted)
}

// An answer with a problem becomes a [client.Problem] with all that it says.
func TestEveryFieldOfAProblem(t *testing.T) {
	t.Parallel()
	doc := document(t)
	want, ok := sample(doc.Components.Schemas["Problem"].Value).(map[string]any)
	require.True(t, ok)
	want["status"] = 404
	want["code"] = "not_found"
	_, c := newChecker(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, encode(t, want))
	})

	_, err := c.Order(t.Context(), "42")

	var p *client.Problem
	require.ErrorAs(t, err, &p)
	require.JSONEq(t, encode(t, want), encode(t, p))
}

// The constants of each closed set are those of the description.
func TestClosedSets(t *testing.T) {
	t.Parallel()
	doc := document(t)
	declared := constants(t)
	for name, place := range map[string]struct{ schema, field string }{
		"State": {"SagaView", "state"}, "Kind": {"Step", "kind"}, "DoState": {"Step", "do"}, "UndoState": {"Step", "undo"},
		"Part": {"Parked", "part"}, "ActName": {"Act", "act"}, "Condition": {"ArrivalRequest", "condition"}, "Code": {"Problem", "code"},
		"Role": {"Caller", "role"}, "BatchState": {"Batch", "state"},
	} {
		var want []string
		for _, v := range doc.Components.Schemas[place.schema].Value.Properties[place.field].Value.Enum {
			want = append(want, fmt.Sprint(v))
		}
		require.NotEmpty(t, want, name)
		require.ElementsMatch(t, want, declared[name], name)
		delete(declared, name)
	}
	require.Empty(t, declared, "closed sets that nothing was compared with")
}

// constants are the values of the package's string constants, by the name of their type.
func constants(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	found := map[string][]string{}
	for _, file := range slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") }) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Type == nil || len(spec.Values) != 1 {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				value, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				name := fmt.Sprint(spec.Type)
				found[name] = append(found[name], value)
			}
			return true
		})
	}
	return found
}
