package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/order"
)

// What passes as a body is read alike by everybody, which encoding/json stands for here; what does not is a problem of
// the caller's.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"id":"42","lines":[{"sku":"A","quantity":1}]}`, `{"a":1,"a":2}`, `{"a":"\ud83d\ude80"}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}",
		`[[[[]]]]`, `{"a":1e3}`, `{"a":-9223372036854775808}`, `{} {}`, `{"a":"\u0000"}`, `{"a b":1}`, `"\\ud800"`, ``,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := checkJSON(body, nil, nil); err != nil {
			var refused *failure
			require.ErrorAs(t, err, &refused)
			require.Contains(t, []Code{codeMalformed, codeInvalid}, refused.code)
			for _, fault := range refused.faults {
				require.Less(t, len(fault.Pointer), (maxDepth+1)*8*maxName)
			}
			return
		}
		require.True(t, utf8.Valid(body))
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var value any
		require.NoError(t, d.Decode(&value))
		require.False(t, d.More())
		requirePlain(t, value)
		// A name that was there twice, or half of a pair, would be lost here.
		again, err := json.Marshal(value)
		require.NoError(t, err)
		require.Equal(t, tokensOf(t, body), tokensOf(t, again))
	})
}

// requirePlain asserts that the value has no text with hidden characters, and only whole numbers.
func requirePlain(t *testing.T, value any) {
	t.Helper()
	switch v := value.(type) {
	case string:
		_, hidden := compensation.Hidden(v)
		require.False(t, hidden)
	case json.Number:
		_, err := v.Int64()
		require.NoError(t, err)
	case []any:
		for _, item := range v {
			requirePlain(t, item)
		}
	case map[string]any:
		for name, field := range v {
			require.Regexp(t, fieldName, name)
			requirePlain(t, field)
		}
	}
}

// tokensOf counts the tokens of JSON text.
func tokensOf(t *testing.T, text []byte) int {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	n := 0
	for ; ; n++ {
		if _, err := d.Token(); err != nil {
			return n
		}
	}
}

// A text has half of a pair if Go makes a replacement character of it that is not in the text.
func FuzzSurrogates(f *testing.F) {
	for _, text := range []string{`\ud83d\ude80`, `\ud800`, `\udc00x`, `\\ud800`, `\ufffd`, `\uD83D\uD83D\uDE80`, `\\\ud800`, "\ufffd"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw := []byte(`"` + text + `"`)
		var read string
		if !utf8.Valid(raw) || json.Unmarshal(raw, &read) != nil {
			t.Skip("no JSON")
		}
		// Escaped backslashes must not look like the escape.
		escapes := strings.ToLower(strings.ReplaceAll(text, `\\`, ``))
		meant := strings.Count(text, "\ufffd") + strings.Count(escapes, `\ufffd`)
		require.Equal(t, strings.Count(read, "\ufffd") > meant, halfPair(raw))
	})
}

// listQuery is what is asked for sagas of a collection in a state.
func listQuery(c collection, at compensation.State) string {
	query, _ := Filter{Type: c.workflowType, State: state(at)}.visibility(access.Caller{Role: access.Admin})
	return query
}

// Only a token that was made for the list is taken, and means what it meant.
func FuzzPageToken(f *testing.F) {
	query, seal := listQuery(orders, compensation.Running), pageSeal("key")
	f.Add(seal.token([]byte("next"), query), []byte("next"))
	f.Add(seal.token([]byte("next"), listQuery(returns, "")), []byte{})
	f.Add("AAAA", []byte{0xff})
	f.Fuzz(func(t *testing.T, text string, token []byte) {
		if got, err := seal.open(text, query); err != nil {
			require.ErrorIs(t, err, errPageToken)
		} else if text != "" {
			require.Equal(t, strings.NewReplacer("\r", "", "\n", "").Replace(text), seal.token(got, query))
		}
		got, err := seal.open(seal.token(token, query), query)
		require.NoError(t, err)
		require.True(t, bytes.Equal(token, got))
		_, err = seal.open(seal.token(token, query), listQuery(returns, compensation.Running))
		require.ErrorIs(t, err, errPageToken)
		_, err = pageSeal("another key").open(seal.token(token, query), query)
		require.ErrorIs(t, err, errPageToken)
	})
}

// A wait is never longer than allowed, and what is said to be applied is read as the same wait.
func FuzzPrefer(f *testing.F) {
	for _, prefer := range []string{"wait=10", "respond-async, WAIT = 5", `wait="7"; x=1`, "wait=-1", "wait=99999999999", "wait", "", ",;=,wait=1,wait=2"} {
		f.Add(prefer)
	}
	f.Fuzz(func(t *testing.T, prefer string) {
		wait := waitOf(prefer)
		require.GreaterOrEqual(t, wait, time.Duration(0))
		require.LessOrEqual(t, wait, maxWait)
		require.Equal(t, wait, waitOf(appliedOf(prefer)))
		require.Equal(t, wait, waitOf("respond-async, "+appliedOf(prefer)))
	})
}

// A tag is found in every list that has it, and in none that lacks it.
func FuzzETags(f *testing.F) {
	for _, list := range []string{`"a"`, `W/"a", "b"`, `*`, ``, `"a`, `"0Kc9bRkDVnhdWvyh"`, `,,`, `W/`} {
		f.Add(list)
	}
	tag, err := tagOf("a saga")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, list string) {
		if matches(list, tag) {
			require.True(t, strings.Contains(list, tag) || strings.Contains(list, "*"))
		}
		for _, with := range []string{tag, list + "," + tag, tag + " ," + list, "W/" + tag + "," + list, list + ", *"} {
			require.True(t, matches(with, tag))
		}
	})
}

// An ID in a path is one that a saga can have, or nothing is found and nobody is asked.
func FuzzSagaID(f *testing.F) {
	for _, id := range []string{"order-42", "return-r1", "order-", "order--", "recovery-order-42", "order-a/b", "ORDER-42", "order-\u00e4"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		c, short, err := findSaga(id)
		if err != nil {
			require.ErrorIs(t, err, errNoSuchID)
			return
		}
		workflowID, err := c.find(short)
		if err != nil {
			require.ErrorIs(t, err, errNoSuchID)
			return
		}
		require.Equal(t, id, workflowID)
		require.Equal(t, short, c.idOf(workflowID))
		_, err = order.ParseID(short)
		require.NoError(t, err)
	})
}

// noSagas is a Temporal that has none, and remembers what was asked for.
type noSagas struct {
	client.Client
	asked *workflowservice.ListWorkflowExecutionsRequest
}

func (n *noSagas) ListWorkflow(
	_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	n.asked = r
	return &workflowservice.ListWorkflowExecutionsResponse{}, nil
}

func (*noSagas) WorkflowService() workflowservice.WorkflowServiceClient { return noService{} }

type noService struct {
	workflowservice.WorkflowServiceClient
}

func (noService) DescribeNamespace(
	context.Context, *workflowservice.DescribeNamespaceRequest, ...grpc.CallOption,
) (*workflowservice.DescribeNamespaceResponse, error) {
	return &workflowservice.DescribeNamespaceResponse{}, nil
}

// Whatever a query says, it is refused, or asks Temporal for one of the lists that there are.
func FuzzListFilters(f *testing.F) {
	for _, query := range []string{
		"", "state=running", "state=parked&page_size=7", "page_size=0", "state=x'%20OR%20''='", "state=running&state=parked", "page_token=AAAA",
		"%zz", "a;b", "state=%00", "page_size=1e1", "state=RUNNING", "&&", "=",
	} {
		f.Add(query)
	}
	queries := map[string]bool{listQuery(orders, ""): true}
	for _, value := range state("").Schema(nil).Enum {
		queries[listQuery(orders, compensation.State(fmt.Sprint(value)))] = true
	}
	temporal := &noSagas{}
	handler := New(temporal, Options{Access: access.Open(), Logger: slog.New(slog.DiscardHandler)})
	f.Fuzz(func(t *testing.T, query string) {
		temporal.asked = nil
		r := httptest.NewRequest(http.MethodGet, "/v1/orders", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if temporal.asked == nil {
			require.Equal(t, http.StatusBadRequest, w.Code, w.Body.String())
			require.Contains(t, w.Body.String(), `"code":"bad_parameter"`)
			return
		}
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.True(t, queries[temporal.asked.GetQuery()], temporal.asked.GetQuery())
		require.Positive(t, temporal.asked.GetPageSize())
		require.LessOrEqual(t, temporal.asked.GetPageSize(), int32(200))
	})
}
