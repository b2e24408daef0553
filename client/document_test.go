package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"

	"github.com/amends-dev/amends/client"
)

// document is the API's own description, read by somebody else's reader.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/event-stream", decodeEvents)
	doc, err := openapi3.NewLoader().LoadFromFile("../docs/openapi.json")
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// decodeEvents makes of a stream what the description says of it.
func decodeEvents(r io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	events := []any{}
	for e, err := range sse.Read(r, nil) {
		if err != nil {
			return nil, err
		}
		var data any
		if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
			return nil, err
		}
		events = append(events, map[string]any{"id": e.LastEventID, "event": e.Type, "data": data})
	}
	return events, nil
}

// checker is a server's handler that holds every request and every answer against the description.
type checker struct {
	t      *testing.T
	router routers.Router
	answer http.HandlerFunc

	mu sync.Mutex
	// sent are the names of the parameters that requests for an operation had.
	sent map[string]map[string]bool
}

// newChecker serves answers, checked, and returns a client of them that repeats at most twice, quickly.
func newChecker(t *testing.T, answer http.HandlerFunc) (*checker, *client.Client) {
	t.Helper()
	doc, err := document()
	require.NoError(t, err)
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	ch := &checker{t: t, router: router, answer: answer, sent: map[string]map[string]bool{}}
	server := httptest.NewServer(ch)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/", client.Options{
		Token: apiKey, HTTP: server.Client(), Repeats: 2, FirstPause: time.Millisecond, LongestPause: 2 * time.Second,
	})
	require.NoError(t, err)
	return ch, c
}

// ServeHTTP implements [http.Handler]. It reports with Errorf, since it runs in the server's goroutines.
func (ch *checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	again := func() { r.Body = io.NopCloser(bytes.NewReader(body)) }
	plain := r.Clone(r.Context())
	plain.URL.Scheme, plain.URL.Host = "", ""
	route, params, err := ch.router.FindRoute(plain)
	if err != nil {
		ch.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		return
	}
	again()
	asked := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: authenticated},
	}
	if err := openapi3filter.ValidateRequest(r.Context(), asked); err != nil {
		ch.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	ch.note(route.Operation, r)

	again()
	recorded := httptest.NewRecorder()
	ch.answer(recorded, r)
	answered := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: recorded.Code, Header: recorded.Header(),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	answered.SetBodyBytes(recorded.Body.Bytes())
	if err := openapi3filter.ValidateResponse(r.Context(), answered); err != nil {
		ch.t.Errorf("answer to %s %s: %v", r.Method, r.URL, err)
	}
	maps.Copy(w.Header(), recorded.Header())
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes()) // the client is gone
}

// authenticated wants the client's token where the description says that callers prove themselves.
func authenticated(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	if got := in.RequestValidationInput.Request.Header.Get("Authorization"); got != "Bearer "+apiKey {
		return fmt.Errorf("Authorization: %q", got)
	}
	return nil
}

const apiKey = "amends_1_secret"

func (ch *checker) note(op *openapi3.Operation, r *http.Request) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.sent[op.OperationID] == nil {
		ch.sent[op.OperationID] = map[string]bool{}
	}
	for _, p := range op.Parameters {
		if p.Value.In == "path" || r.Header.Get(p.Value.Name) != "" || r.URL.Query().Has(p.Value.Name) {
			ch.sent[op.OperationID][p.Value.Name] = true
		}
	}
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
	case s.Type.Includes("integer"):
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
	doc, err := document()
	require.NoError(t, err)
	want, ok := sample(doc.Components.Schemas["Problem"].Value).(map[string]any)
	require.True(t, ok)
	want["status"] = 404
	want["code"] = "not_found"
	_, c := newChecker(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, encode(t, want))
	})

	_, err = c.Order(t.Context(), "42")

	var p *client.Problem
	require.ErrorAs(t, err, &p)
	require.JSONEq(t, encode(t, want), encode(t, p))
}

// The constants of each closed set are those of the description.
func TestClosedSets(t *testing.T) {
	t.Parallel()
	doc, err := document()
	require.NoError(t, err)
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
