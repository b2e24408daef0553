package api_test

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

var (
	kebab  = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	snake  = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	pascal = regexp.MustCompile(`^([A-Z][a-z0-9]*)+$`)
	header = regexp.MustCompile(`^([A-Z][a-zA-Z]*)(-[A-Z][a-zA-Z]*)*$`)
)

// What readers of the description rely on, and validators of OpenAPI do not ask for.
func TestDescriptionRules(t *testing.T) {
	t.Parallel()
	_, doc := described(t)
	ids := map[string]bool{}
	for _, op := range describedOperations(t) {
		t.Run(op.id, func(t *testing.T) {
			t.Parallel()
			requireOperation(t, doc, op)
			requireParameters(t, op)
			requireAnswers(t, op)
		})
		require.False(t, ids[op.id], "two operations are called %s", op.id)
		ids[op.id] = true
	}
	for name, ref := range doc.Components.Schemas {
		require.Regexp(t, pascal, name)
		for field := range ref.Value.Properties {
			require.Regexp(t, snake, field, name)
		}
	}
	requireAllUsed(t, doc)
}

func requireOperation(t *testing.T, doc *openapi3.T, op operation) {
	t.Helper()
	require.Regexp(t, kebab, op.id)
	require.Regexp(t, `^[A-Z].{4,79}[^.]$`, op.Summary)
	require.Len(t, op.Tags, 1)
	require.NotNil(t, doc.Tags.Get(op.Tags[0]))
	require.NotEmpty(t, doc.Tags.Get(op.Tags[0]).Description)
	open := !strings.HasPrefix(op.path, "/v1/")
	require.Equal(t, open, op.Security == nil)
	require.Equal(t, open, op.Responses.Status(http.StatusUnauthorized) == nil)
	require.Equal(t, op.path == "/healthz", op.Responses.Status(http.StatusTooManyRequests) == nil)
	for part := range strings.SplitSeq(strings.TrimPrefix(op.path, "/"), "/") {
		require.True(t, kebab.MatchString(strings.Trim(part, "{}")) || part == "v1", op.path)
	}
	if op.RequestBody != nil {
		require.Len(t, op.RequestBody.Value.Content, 1)
		require.NotNil(t, op.RequestBody.Value.Content["application/json"].Example)
	}
}

func requireParameters(t *testing.T, op operation) {
	t.Helper()
	for _, ref := range op.Parameters {
		p := ref.Value
		require.NotEmpty(t, p.Description, p.Name)
		require.NotNil(t, p.Schema, p.Name)
		if p.In == openapi3.ParameterInHeader {
			require.Regexp(t, header, p.Name)
		} else {
			require.Regexp(t, snake, p.Name)
		}
		if p.In == openapi3.ParameterInPath {
			require.True(t, len(p.Schema.Value.Examples) > 0 || p.Example != nil, "%s has no example", p.Name)
		}
	}
	key := slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Name == "Idempotency-Key" && p.Value.Required })
	require.Equal(t, op.method == http.MethodPost, key)
}

func requireAnswers(t *testing.T, op operation) {
	t.Helper()
	succeeds := false
	for code, ref := range op.Responses.Map() {
		status, err := strconv.Atoi(code)
		require.NoError(t, err, "each status is described by itself")
		require.NotEmpty(t, *ref.Value.Description, code)
		for name, h := range ref.Value.Headers {
			require.NotEmpty(t, h.Value.Description+h.Value.Schema.Value.Description, "%s %s", code, name)
		}
		switch {
		case status >= 400:
			require.Len(t, ref.Value.Content, 1, code)
			problem := ref.Value.Content["application/problem+json"]
			require.Equal(t, "#/components/schemas/Problem", problem.Schema.Ref, code)
		case status == http.StatusNoContent, status == http.StatusNotModified:
			require.Empty(t, ref.Value.Content, code)
		default:
			succeeds = true
			require.Len(t, ref.Value.Content, 1, code)
			for _, content := range ref.Value.Content {
				require.NotNil(t, content.Schema, code)
			}
		}
	}
	require.True(t, succeeds)
}

// requireAllUsed requires that something refers to each component.
func requireAllUsed(t *testing.T, doc *openapi3.T) {
	t.Helper()
	text, err := doc.MarshalJSON()
	require.NoError(t, err)
	for name := range doc.Components.Schemas {
		require.Contains(t, string(text), `"#/components/schemas/`+name+`"`)
	}
	for name := range doc.Components.Examples {
		require.Contains(t, string(text), `"#/components/examples/`+name+`"`)
	}
	for name := range doc.Components.SecuritySchemes {
		require.Contains(t, string(text), `"security":[{"`+name+`":[]}]`)
	}
}
