package e2e_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes the spans that processes send by OTLP, in memory.
type collector struct {
	url string

	mu    sync.Mutex
	spans []span
}

// span is one that a process has sent.
type span struct {
	*tracepb.Span

	process           string
	trace, id, parent string
	about             map[string]any
	// links are the traces and spans that it leads to.
	links []string
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// env tells a process to send its spans here.
func (c *collector) env() []string { return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url} }

// ServeHTTP implements [http.Handler]. What it has answered 200 to was taken; of what cannot be read the sender's log tells.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	var sent collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(content, &sent)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range sent.GetResourceSpans() {
		process, _ := attributesOf(of.GetResource().GetAttributes())["service.name"].(string)
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				var links []string
				for _, l := range s.GetLinks() {
					links = append(links, hex.EncodeToString(l.GetTraceId())+hex.EncodeToString(l.GetSpanId()))
				}
				c.spans = append(c.spans, span{
					Span: s, process: process, about: attributesOf(s.GetAttributes()), links: links,
					trace: hex.EncodeToString(s.GetTraceId()), id: hex.EncodeToString(s.GetSpanId()), parent: hex.EncodeToString(s.GetParentSpanId()),
				})
			}
		}
	}
}

// attributesOf are a span's or a process's attributes: strings and numbers, other kinds are nil.
func attributesOf(attrs []*commonpb.KeyValue) map[string]any {
	of := map[string]any{}
	for _, a := range attrs {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			of[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			of[a.GetKey()] = v.IntValue
		}
	}
	return of
}

// received are the spans that have come so far.
func (c *collector) received() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}
