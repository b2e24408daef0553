// Package apitest holds what talks to the API against the API's own description.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"
)

// Document reads the API's description from a file, with somebody else's reader.
func Document(file string) (*openapi3.T, error) {
	ReadStreams()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil { //nolint:forbidigo // it reads what it holds, and needs no time
		return nil, err
	}
	return doc, nil
}

// ReadStreams lets kin-openapi read answers that are streams of events.
func ReadStreams() {
	decoders.Do(func() { openapi3filter.RegisterBodyDecoder("text/event-stream", decodeEvents) })
}

// decoders are those of kin-openapi, which all tests share.
var decoders sync.Once

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

// Server is a made-up API, for tests of what talks to one.
type Server struct {
	*httptest.Server
	t      testing.TB
	router routers.Router
	answer http.HandlerFunc

	mu sync.Mutex
	// sent are the names of the parameters that requests for an operation had.
	sent map[string]map[string]bool
}

// Serve answers requests as answer does, and fails the test if a request or an answer is not as the API's description
// in that file has it. It ends with the test.
func Serve(t testing.TB, description string, answer http.HandlerFunc) *Server {
	t.Helper()
	doc, err := Document(description)
	require.NoError(t, err)
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	s := &Server{t: t, router: router, answer: answer, sent: map[string]map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// Sent tells whether a request for the operation had the parameter.
func (s *Server) Sent(operation, parameter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[operation][parameter]
}

// serve reports with Errorf, since it runs in the server's goroutines.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == "PRI" {
		return // a gRPC client of another test looks for its server, which had this port before
	}
	body, _ := io.ReadAll(r.Body)
	again := func() { r.Body = io.NopCloser(bytes.NewReader(body)) }
	plain := r.Clone(r.Context())
	plain.URL.Scheme, plain.URL.Host = "", ""
	route, params, err := s.router.FindRoute(plain)
	if err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		return
	}
	again()
	asked := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		// Who may call is for the API to decide, and not for a made-up one.
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(r.Context(), asked); err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	s.note(route.Operation, r)

	again()
	recorded := httptest.NewRecorder()
	s.answer(recorded, r)
	answered := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: recorded.Code, Header: recorded.Header(),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	answered.SetBodyBytes(recorded.Body.Bytes())
	if err := openapi3filter.ValidateResponse(r.Context(), answered); err != nil {
		s.t.Errorf("answer to %s %s: %v", r.Method, r.URL, err)
	}
	maps.Copy(w.Header(), recorded.Header())
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes()) // the client is gone
}

func (s *Server) note(op *openapi3.Operation, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent[op.OperationID] == nil {
		s.sent[op.OperationID] = map[string]bool{}
	}
	for _, p := range op.Parameters {
		if p.Value.In == "path" || r.Header.Get(p.Value.Name) != "" || r.URL.Query().Has(p.Value.Name) {
			s.sent[op.OperationID][p.Value.Name] = true
		}
	}
}
