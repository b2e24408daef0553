package api_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/apitest"
)

// bundle is an API on a Temporal that the test holds in its hands.
type bundle struct {
	temporal *fakeTemporal
	handler  http.Handler
	log      *syncBuffer
	// spans are those of the requests; nil where nothing is traced.
	spans *tracetest.SpanRecorder
}

// traceID is the trace of the last request; empty where nothing is traced.
func (b *bundle) traceID() string {
	if b.spans == nil {
		return ""
	}
	ended := b.spans.Ended()
	return ended[len(ended)-1].SpanContext().TraceID().String()
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{temporal: newFakeTemporal(), log: &syncBuffer{}}
	b.handler = api.New(b.temporal, api.Options{WebUI: "http://127.0.0.1:8233/", Access: access.Open(), Logger: b.logger()})
	return b
}

func (b *bundle) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type answer struct {
	status int
	header http.Header
	body   string
}

// json is the answer's body, or a part of it by the names that lead there.
func (a answer) json(t *testing.T, names ...string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(a.body), &v), a.body)
	for _, name := range names {
		object, ok := v.(map[string]any)
		require.True(t, ok, "%s in %s", name, a.body)
		v = object[name]
	}
	return v
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

func (b *bundle) get(t *testing.T, path string) answer {
	t.Helper()
	return b.do(t, httptest.NewRequest(http.MethodGet, path, nil))
}

func (b *bundle) post(t *testing.T, path, body string) answer {
	t.Helper()
	return b.ask(t, http.MethodPost, path, body)
}

// ask sends a request with headers, given as name and value in turn. Without a key of its own it asks for one order, for
// one return, and for every other thing anew.
func (b *bundle) ask(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if method == http.MethodPost && r.Header.Get("Idempotency-Key") == "" {
		r.Header.Set("Idempotency-Key", cmp.Or(map[string]string{"/v1/orders": orderKey, "/v1/returns": returnKey}[path], rand.Text()))
	}
	return b.do(t, r)
}

// do serves the request, and checks the answer, and the request if it was taken, against the API's own description.
func (b *bundle) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), body: w.Body.String()}

	if a.status >= 400 {
		b.requireProblem(t, a)
	}
	route, params, err := description(t).FindRoute(r)
	if err != nil {
		return a // outside the description
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	asked := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if a.status < 400 {
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), asked))
	}
	answered := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: a.status, Header: a.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	answered.SetBodyBytes([]byte(a.body))
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), answered))
	return a
}

func (b *bundle) requireProblem(t *testing.T, a answer) {
	t.Helper()
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.body)
	require.InDelta(t, a.status, a.json(t, "status"), 0)
	require.Equal(t, fmt.Sprintf("https://github.com/amends-dev/amends/blob/main/docs/problems.md#%s", a.json(t, "code")), a.json(t, "type"))
	require.NotEmpty(t, a.json(t, "title"))
	require.Equal(t, cmp.Or(b.traceID(), a.header.Get("X-Request-Id")), a.json(t, "trace_id"))
	if a.status == http.StatusServiceUnavailable {
		require.Equal(t, "5", a.header.Get("Retry-After"))
	}
}

// requireProblem asserts that the answer is this problem, with faults as "place: detail".
func requireProblem(t *testing.T, a answer, status int, code string, faults ...string) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	require.Equal(t, code, a.json(t, "code"), a.body)
	var p api.Problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p))
	var got []string
	for _, f := range p.Errors {
		got = append(got, f.Pointer+f.Parameter+": "+f.Detail)
	}
	require.Equal(t, faults, got, a.body)
}

// quiet is a logger for tests that make very many requests.
var quiet = slog.New(slog.DiscardHandler)

// described is the API's own description, read by somebody else's reader.
var described = func() func(*testing.T) (routers.Router, *openapi3.T) {
	var doc *openapi3.T
	parse := sync.OnceValues(func() (_ routers.Router, err error) {
		apitest.ReadStreams()
		w := httptest.NewRecorder()
		api.New(newFakeTemporal(), api.Options{Logger: quiet}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
		if doc, err = openapi3.NewLoader().LoadFromData(w.Body.Bytes()); err != nil {
			return nil, err
		}
		if err := doc.Validate(context.Background()); err != nil {
			return nil, err
		}
		return gorillamux.NewRouter(doc)
	})
	return func(t *testing.T) (routers.Router, *openapi3.T) {
		t.Helper()
		router, err := parse()
		require.NoError(t, err)
		return router, doc
	}
}()

func description(t *testing.T) routers.Router {
	t.Helper()
	router, _ := described(t)
	return router
}

func TestDescription(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.get(t, "/openapi.json")

	require.Equal(t, 200, a.status)
	require.Equal(t, "3.1.0", a.json(t, "openapi"))
	paths, ok := a.json(t, "paths").(map[string]any)
	require.True(t, ok)
	var operations []string
	for path, item := range paths {
		methods, ok := item.(map[string]any)
		require.True(t, ok)
		for method := range methods {
			operations = append(operations, method+" "+path)
		}
	}
	require.ElementsMatch(t, []string{
		"post /v1/orders", "get /v1/orders", "get /v1/orders/{id}", "post /v1/orders/{id}/cancel", "post /v1/orders/{id}/approval",
		"post /v1/returns", "get /v1/returns", "get /v1/returns/{id}", "post /v1/returns/{id}/cancel", "post /v1/returns/{id}/arrival",
		"get /v1/sagas", "get /v1/sagas/{id}", "get /v1/sagas/{id}/events", "post /v1/sagas/{id}/cancel", "post /v1/sagas/{id}/approval",
		"post /v1/sagas/{id}/steps/{step}/retry", "post /v1/sagas/{id}/steps/{step}/skip",
		"post /v1/sagas/{id}/steps/{step}/mark-done", "post /v1/sagas/{id}/steps/{step}/mark-happened",
		"post /v1/sagas/{id}/steps/{step}/mark-prevented", "post /v1/sagas/{id}/extend-deadline",
		"post /v1/batches", "get /v1/batches/{id}", "post /v1/batches/{id}/cancel",
		"get /v1/overview",
		"get /v1/saga-types", "get /v1/saga-types/{type}", "get /v1/saga-types/{type}/plan",
		"get /v1/caller", "get /healthz", "get /readyz", "get /version",
	}, operations)
	require.NotContains(t, a.body, "ErrorModel")
}

func TestServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := api.NewServer("", b.handler)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	url := "http://" + listener.Addr().String()
	post := func(header, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/orders", strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Long", header)
		r.Header.Set("Idempotency-Key", orderKey)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}

	require.Equal(t, 202, post("short", exampleOrder))
	require.Equal(t, 413, post("short", strings.Repeat(" ", 3<<20)))
	require.Equal(t, 202, post(strings.Repeat("x", 15<<10), exampleOrder))
	// net/http allows 4 KiB more than it is told.
	require.Equal(t, 431, post(strings.Repeat("x", 20<<10), exampleOrder))

	require.NoError(t, server.Shutdown(t.Context()))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}
