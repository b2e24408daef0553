package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"
)

// operation is one of the description.
type operation struct {
	id, method, path string
	*openapi3.Operation
}

// generator makes requests from a description. With the same seed it makes the same ones.
type generator struct {
	*rand.Rand
	matching map[string]*rapid.Generator[string]
}

func newGenerator(seed uint64) *generator {
	return &generator{rand.New(rand.NewPCG(seed, 0)), map[string]*rapid.Generator[string]{}}
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// oneIn is true once in so many times.
func (g *generator) oneIn(n int) bool { return g.IntN(n) == 0 }

// hostile are texts that something somewhere has stumbled over.
var hostile = []string{
	"", " ", "null", "-1", "0", "1e400", "99999999999999999999", "\x00", "a\nb", "\u202e", "\ufffd", "\xff\xfe", "é", "日本", "../../etc/passwd",
	"' OR '1'='1", "<script>", "${jndi:ldap://x}", "%s%n", "{{7*7}}", "*", `"`, "\\", ";", ",", "=", "a=b&c=d", strings.Repeat("x", 300),
	strings.Repeat("9", 5000), "wait=-1", "W/", "\u009b", "true", "[]", "{}",
}

// known are values that find something, by the name of their parameter or field.
var known = map[string][]string{
	"id":              {"42", "42", "43", "44", "r1", "r1", "r-2", "b1", "order-42", "order-42", "order-42", "order-43", "order-44", "return-r1", "99"},
	"order_id":        {"42", "43", "44", "99"},
	"type":            {"PlaceOrder", "ReturnOrder"},
	"step":            {"ReserveStock", "CapturePayment"},
	"fail_at":         {"ReserveStock", "BookShipment", "CapturePayment", "BookReturn"},
	"Idempotency-Key": {"k", `"5f0c2d5e-7a9b"`},
	"Prefer":          {"wait=1", "wait=0", "respond-async", `wait="2"`},
	"If-Match":        {asSeen, asSeen, asSeen, asSeen, "*", `"0Kc9bRkDVnhdWvyh"`},
	"If-None-Match":   {"*", `"0Kc9bRkDVnhdWvyh"`},
	"email":           {"ada@example.com"},
	"deadline":        {"2027-01-31T12:00:00Z"},
	"started_after":   {"2026-05-04T10:00:00Z"},
	"started_before":  {"2026-05-04T10:00:00Z"},
	"ended_after":     {"2026-05-04T10:00:00Z"},
	"ended_before":    {"2026-05-04T10:00:00Z"},
	"parked_after":    {"2026-05-04T10:00:00Z"},
	"parked_before":   {"2026-05-04T10:00:00Z"},
	"customer":        {"c-1001"},
	"voucher":         {"SPRING-0001"},
	"currency":        {"EUR"},
	"country":         {"DE"},
	"sku":             {"TEA-EARL-GREY", "TEA-SENCHA", "MUG-STONEWARE"},
	"carrier":         {"parcel"},
	"page_token":      {"AAAA"},
	"token":           {"tok_visa"},
}

// asSeen stands for the ETag of the saga that the request is about.
const asSeen = `"as seen"`

// request makes a request for the operation, and says in words what it is.
func (g *generator) request(op operation) (*http.Request, string) {
	path, query, header := op.path, url.Values{}, http.Header{}
	for _, ref := range op.Parameters {
		p := ref.Value
		if !p.Required && g.oneIn(2) {
			continue
		}
		value := fmt.Sprint(g.value(p.Name, p.Schema, 0))
		if g.oneIn(8) {
			value = pick(g, hostile)
		}
		switch p.In {
		case openapi3.ParameterInPath:
			if value == "" {
				value = " "
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case openapi3.ParameterInQuery:
			query.Add(p.Name, value)
		case openapi3.ParameterInHeader:
			header.Set(p.Name, value)
		}
	}
	if g.oneIn(20) {
		query.Add(pick(g, []string{"unknown", "", "state", "page_size"}), pick(g, hostile))
	}
	raw := query.Encode()
	if g.oneIn(50) {
		raw += pick(g, []string{"&%zz", ";", "&=", "&a"})
	}
	var body string
	if op.RequestBody != nil {
		body = g.body(op.RequestBody.Value.Content["application/json"].Schema)
		header.Set("Content-Type", "application/json")
		if g.oneIn(30) {
			header.Set("Content-Type", pick(g, []string{"", "text/plain", "application/json; charset=latin1", "a/b/c", "application/xml"}))
		}
	}
	r := httptest.NewRequest(op.method, "/", strings.NewReader(body))
	r.URL.RawQuery = raw
	// As net/http reads a path from the wire.
	var err error
	if r.URL.Path, err = url.PathUnescape(path); err != nil {
		panic(err) // it was escaped here
	}
	r.URL.RawPath, r.RequestURI = path, path+"?"+raw
	for name, values := range header {
		r.Header[name] = values
	}
	r.RemoteAddr = fmt.Sprintf("10.0.%d.%d:1000", g.IntN(4), g.IntN(256))
	return r, fmt.Sprintf("%s %s?%s %q %q", op.method, path, raw, header, body)
}

// body is a body that fits the schema, or almost.
func (g *generator) body(schema *openapi3.SchemaRef) string {
	value := g.value("", schema, 0)
	if g.oneIn(4) {
		value = g.spoil(value)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err) // it is made of plain values
	}
	text := string(encoded)
	if !g.oneIn(10) {
		return text
	}
	switch at := g.IntN(len(text) + 1); g.IntN(7) {
	case 0:
		return text[:at]
	case 1:
		return text + pick(g, []string{"{}", "x", "\x00", " "})
	case 2:
		return text[:at] + pick(g, []string{"\xff", "\\ud800", "\x00", `"`, "}", "{", ",", "1e5"}) + text[at:]
	case 3:
		return strings.Replace(text, "{", `{"id":"42","id":"43",`, 1)
	case 4:
		return strings.Repeat("[", at) + strings.Repeat("]", at)
	case 5:
		return ""
	default:
		return strings.Repeat(" ", 1<<20) + text
	}
}

// spoil changes one thing somewhere in the value.
func (g *generator) spoil(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 || g.oneIn(4) {
			v[pick(g, []string{"unknown", "ID", "a/b", "a.b", "", "\u009b", strings.Repeat("n", 100)})] = g.oddity()
			return v
		}
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		name := pick(g, names)
		if g.oneIn(4) {
			delete(v, name)
			return v
		}
		v[name] = g.spoil(v[name])
		return v
	case []any:
		if len(v) > 0 && !g.oneIn(3) {
			i := g.IntN(len(v))
			v[i] = g.spoil(v[i])
			return v
		}
	}
	return g.oddity()
}

// oddity is a value that seldom fits.
func (g *generator) oddity() any {
	return pick(g, []any{
		nil, true, -1, 0, 1.5, json.Number("9223372036854775808"), json.Number("1e999"), []any{}, map[string]any{}, []any{[]any{nil}}, pick(g, hostile),
	})
}

// value is one that fits the schema of the field or parameter with that name.
func (g *generator) value(name string, ref *openapi3.SchemaRef, depth int) any {
	s := ref.Value
	switch {
	case len(s.Enum) > 0:
		return pick(g, s.Enum)
	case known[name] != nil && !g.oneIn(20) && !s.Type.Includes(openapi3.TypeObject):
		return pick(g, known[name])
	case s.Type == nil:
		return g.oddity() // anything goes
	case s.Type.Includes(openapi3.TypeObject):
		object := map[string]any{}
		for _, field := range sortedNames(s.Properties) {
			if slices.Contains(s.Required, field) || g.oneIn(3) {
				object[field] = g.value(field, s.Properties[field], depth+1)
			}
		}
		return object
	case s.Type.Includes(openapi3.TypeArray):
		items := make([]any, int(s.MinItems)+g.IntN(3))
		for i := range items {
			items[i] = g.value("", s.Items, depth+1)
		}
		return items
	case s.Type.Includes(openapi3.TypeBoolean):
		return g.oneIn(2)
	case s.Type.Includes(openapi3.TypeInteger):
		low, high := int64(0), int64(1_000)
		if s.Min != nil {
			low = int64(*s.Min)
		}
		if s.Max != nil {
			high = int64(*s.Max)
		}
		return pick(g, []int64{low, high, low + g.Int64N(high-low+1)})
	default:
		return g.text(s)
	}
}

// text is one that fits the schema.
func (g *generator) text(s *openapi3.Schema) string {
	if s.Pattern != "" && !strings.Contains(s.Pattern, `\x`) {
		matching, ok := g.matching[s.Pattern]
		if !ok {
			matching = rapid.StringMatching(s.Pattern)
			g.matching[s.Pattern] = matching
		}
		return matching.Example(g.IntN(1 << 20))
	}
	return strings.Repeat(pick(g, []string{"a", "Ada", "ä", "日", "🚀"}), int(max(s.MinLength, 1)))
}

func sortedNames(properties openapi3.Schemas) []string {
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
