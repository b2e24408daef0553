package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/internal/access"
)

const (
	largestBody = 1 << 20
	// mostValues is the size of a body that may just hold all the small objects that it has.
	mostValues = 18 << 10
	// hostileAllocated limits the bytes that a request may allocate for each byte of its body, besides hostileAllowance.
	hostileAllocated = 16
	hostileAllowance = 4 << 20
	// hostileSlowdown limits how much longer any body may take than a good one of the largest size.
	hostileSlowdown = 20
)

// fill returns a body of nearly that size: before, then as many items as fit with a comma between, then after.
func fill(size int, before string, item func(i int) string, after string) string {
	var b strings.Builder
	b.WriteString(before)
	for i := 0; ; i++ {
		next := item(i)
		if b.Len()+len(next)+len(after)+1 > size {
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(next)
	}
	b.WriteString(after)
	return b.String()
}

func same(item string) func(int) string { return func(int) string { return item } }

// A hostileBody is a body of about that size, made to cost as much as it can.
type hostileBody struct {
	name, path string
	make       func(size int) string
}

const (
	markDone42 = "/v1/sagas/order-" + orderID + "/steps/ReserveStock/mark-done"
	retry42    = "/v1/sagas/order-" + orderID + "/steps/ReserveStock/retry"
)

// around returns the example order before and after that part of it.
func around(part string) (before, after string) {
	before, after, _ = strings.Cut(exampleOrder, part)
	return before, after
}

func hostileBodies() []hostileBody {
	orderBefore, orderAfter := around(`[{"sku":"TEA-EARL-GREY","quantity":2}]`)
	unknown := func(i int) string { return fmt.Sprintf(`"f%d":1`, i) }
	order := func(item string) func(int) string {
		return func(size int) string { return fill(size, orderBefore+"[", same(item), "]"+orderAfter) }
	}
	within := func(before string, item func(int) string, after string) func(int) string {
		return func(size int) string { return fill(size, before, item, after) }
	}
	deep := strings.Repeat(`{"`+strings.Repeat("a", 64)+`":`, 62)
	text := func(field string, item string) func(int) string {
		return func(size int) string {
			before, after := around(field)
			return before + `"` + strings.Repeat(item, (size-len(before)-len(after)-2)/len(item)) + `"` + after
		}
	}
	batch := `{"act":"cancel","reason":"r","filter":{"state":"parked"`
	return []hostileBody{
		{"lines that are empty", "/v1/orders", order(`{}`)},
		{"lines that are no lines", "/v1/orders", order(`0`)},
		{"lines with wrong fields", "/v1/orders", order(`{"sku":"","quantity":0}`)},
		{"lines with unknown fields", "/v1/orders", order(`{"a":1,"b":1,"c":1}`)},
		{"lines of a return", "/v1/returns", within(`{"order_id":"42","reason":"r","lines":[`, same(`{}`), `]}`)},
		{"unknown fields", "/v1/orders", within(`{`, unknown, `}`)},
		{"unknown fields of a line", "/v1/orders", within(orderBefore+`[{`, unknown, `}]`+orderAfter)},
		{"unknown fields that are large", "/v1/orders", within(`{`, func(i int) string { return fmt.Sprintf(`"f%d":{"a":[{},{}]}`, i) }, `}`)},
		{"unknown fields of a batch", "/v1/batches", within(`{`, unknown, `}`)},
		{"unknown fields of a filter", "/v1/batches", within(batch+`,`, unknown, `}}`)},
		{"unknown fields of a cancel", "/v1/orders/" + orderID + "/cancel", within(`{`, unknown, `}`)},
		{"an array for a filter", "/v1/batches", within(`{"act":"cancel","reason":"r","filter":[`, same(`{}`), `]}`)},
		{"an array for everything", "/v1/orders", within(`[`, same(`{}`), `]`)},
		{"arrays in arrays", "/v1/orders", func(size int) string { return strings.Repeat("[", size) }},
		{"objects in objects", "/v1/orders", func(size int) string { return strings.Repeat(`{"a":`, size/5) }},
		{"many values deep down", "/v1/orders", within(deep+`[`, same(`1`), `]`+strings.Repeat("}", 62))},
		{"many fields deep down", "/v1/orders", within(deep+`{`, unknown, `}`+strings.Repeat("}", 62))},
		{"arrays side by side", "/v1/orders", within(`{"x":[`, same(`[[[[1]]]]`), `]}`)},
		{"a name that is there again and again", "/v1/orders", within(`{`, same(`"currency":"EUR"`), `}`)},
		{"a long name", "/v1/orders", func(size int) string { return `{"` + strings.Repeat("a", size-10) + `":1}` }},
		{"a long name of escapes", "/v1/orders", func(size int) string { return `{"` + strings.Repeat(`\u0061`, size/6-4) + `":1}` }},
		{"a large number", "/v1/orders", func(size int) string { return with(`"quantity":2`, `"quantity":`+strings.Repeat("9", size-1000)) }},
		{"a long exponent", "/v1/orders", func(size int) string { return with(`"quantity":2`, `"quantity":1e`+strings.Repeat("9", size-1000)) }},
		{"a long text", "/v1/orders", text(`"12 Analytical Row"`, "a")},
		{"a long text of escapes", "/v1/orders", text(`"12 Analytical Row"`, `\u0041`)},
		{"a long text of quotes", "/v1/orders", text(`"12 Analytical Row"`, `\"`)},
		{"a long address", "/v1/orders", text(`"ada@example.com"`, "a.")},
		{"a long address of domains", "/v1/orders", text(`"ada@example.com"`, "a@[1.")},
		{"a long address of comments", "/v1/orders", text(`"ada@example.com"`, "(")},
		{"a long article", "/v1/orders", text(`"TEA-EARL-GREY"`, "A")},
		{"a long time", "/v1/batches", func(size int) string {
			return batch + `,"started_after":"` + strings.Repeat("2", size-len(batch)-30) + `"}}`
		}},
		{"a result of many values", markDone42, within(`{"reason":"r","reference":"r","result":[`, same(`{}`), `]}`)},
		{"a result of many fields", markDone42, within(`{"reason":"r","reference":"r","result":{`, unknown, `}}`)},
		{"an input of many objects", retry42, within(`{"reason":"r","input":[`, same(`{"a":1}`), `]}`)},
		{"a bare text", "/v1/orders", func(size int) string { return `"` + strings.Repeat("a", size-2) + `"` }},
		{"nothing but blanks", "/v1/orders", func(size int) string { return strings.Repeat(" ", size) }},
	}
}

// costOf sends the body, as cheaply as a test can. It returns the answer, the bytes allocated and the time taken.
func costOf(handler http.Handler, path, body string) (w *httptest.ResponseRecorder, allocated uint64, took time.Duration) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "k")
	r.Header.Set("If-Match", `"x"`)
	w = httptest.NewRecorder()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	handler.ServeHTTP(w, r)
	took = time.Since(begin)
	runtime.ReadMemStats(&after)
	return w, after.TotalAlloc - before.TotalAlloc, took
}

// Whatever a body holds, refusing it costs about as much as accepting a good one of its size. It is not parallel to other
// tests, which would use memory and the processor while it measures.
func TestHostileBodies(t *testing.T) { //nolint:paralleltest // it measures
	b := setup(t)
	b.started(t, "/v1/orders", exampleOrder)
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, nil }
	handler := api.New(b.temporal, api.Options{Access: access.Open(), Logger: quiet})
	good := exampleOrder + strings.Repeat(" ", largestBody-len(exampleOrder))
	usual := time.Hour
	for range 3 {
		w, _, took := costOf(handler, "/v1/orders", good)
		require.Equal(t, 202, w.Code, w.Body.String())
		usual = min(usual, took)
	}
	for _, size := range []int{mostValues, largestBody} { //nolint:paralleltest // see above
		for _, kind := range hostileBodies() {
			t.Run(fmt.Sprintf("%d bytes/%s", size, kind.name), func(t *testing.T) {
				body := kind.make(size)
				require.LessOrEqual(t, len(body), size)
				require.Greater(t, len(body), size*9/10)

				least, slowdown := uint64(1<<62), 1e9
				for range 3 {
					w, allocated, took := costOf(handler, kind.path, body)
					require.GreaterOrEqual(t, w.Code, 400, w.Body.String())
					require.Less(t, w.Code, 500, w.Body.String())
					require.Less(t, w.Body.Len(), 128<<10, "the answer is as hostile")
					least, slowdown = min(least, allocated), min(slowdown, float64(took)/float64(usual))
				}

				t.Logf("%d bytes allocated, %.1f for each of the body; %.1f times as long as a good body", least, float64(least)/float64(len(body)), slowdown)
				require.LessOrEqual(t, least, uint64(hostileAllowance+hostileAllocated*len(body)), "bytes allocated")
				require.Less(t, slowdown, float64(hostileSlowdown), "times as long as a good body")
			})
		}
	}
}
