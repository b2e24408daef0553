package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/api"
)

func TestBodiesThatAreNot(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	text := func(escapes string) string { return with(`"12 Analytical Row"`, `"`+escapes+`"`) }
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
		faults     []string
	}{
		{"empty", "", 400, "malformed", nil},
		{"no JSON", `{"id":`, 400, "malformed", nil},
		{"something behind", exampleOrder + `{}`, 400, "malformed", nil},
		{"not UTF-8", "{\"id\":\"\xff\"}", 400, "malformed", nil},
		{"a name twice", with(`"currency":"EUR"`, `"currency":"EUR","currency":"USD"`), 400, "malformed", []string{"/currency: is there twice"}},
		{
			"a name twice, inside", with(`"quantity":2`, `"quantity":2,"quantity":3`), 400, "malformed",
			[]string{"/lines/0/quantity: is there twice"},
		},
		{
			"unknown field", with(`"sku":`, `"price":1,"sku":`), 400, "malformed",
			[]string{"/lines/0/price: is not a field of this resource"},
		},
		{
			"field in capitals", with(`"currency":`, `"Currency":`), 400, "malformed",
			[]string{"/Currency: is not a field of this resource", "/currency: is missing"},
		},
		{
			"strange field", with(`"sku":`, `"a/b.c[1]":1,"sku":`), 400, "malformed",
			[]string{"/lines/0/a~1b.c[1]: is not a field of this resource"},
		},
		{
			"too deep", nested(65), 400, "malformed",
			[]string{strings.Repeat("/a", 64) + ": is nested more than 64 deep"},
		},
		{
			"as deep as can be", with(`"sku":`, `"a":`+nested(61)+`,"sku":`), 400, "malformed",
			[]string{"/lines/0/a: is not a field of this resource"},
		},
		{
			"long name", with(`"sku":`, `"`+strings.Repeat("a", 65)+`":1,"sku":`), 400, "malformed",
			[]string{"/lines/0: has a field with a name of more than 64 characters"},
		},
		{"half a pair", text(`\ud800`), 400, "malformed", []string{"/ship_to/street: has half of a surrogate pair"}},
		{"the other half", text(`a\uDC00b`), 400, "malformed", []string{"/ship_to/street: has half of a surrogate pair"}},
		{"two first halves", text(`\ud83d\ud83d`), 400, "malformed", []string{"/ship_to/street: has half of a surrogate pair"}},
		{"half a pair and a letter", text(`\ud800\u0041`), 400, "malformed", []string{"/ship_to/street: has half of a surrogate pair"}},
		{"half a pair in a name", with(`"sku":`, `"\ud800":1,"sku":`), 400, "malformed", []string{"/lines/0/\ufffd: is not a field of this resource"}},
		{"no letter", text(`\ud800A`), 400, "malformed", []string{"/ship_to/street: has half of a surrogate pair"}},
		{"NUL", text(`\u0000`), 422, "invalid", []string{"/ship_to/street: has control characters"}},
		{"escape sequence", text(`\u001b[31m`), 422, "invalid", []string{"/ship_to/street: has control characters"}},
		{"line break", text(`1\n2`), 422, "invalid", []string{"/ship_to/street: has control characters"}},
		{"raw line break", text("1\n2"), 400, "malformed", nil},
		{"control character above ASCII", text(`\u009b`), 422, "invalid", []string{"/ship_to/street: has control characters"}},
		{"right-to-left override", text(`\u202e21`), 422, "invalid", []string{"/ship_to/street: has U+202E, which readers do not see: leave it out"}},
		{"zero width, raw", text("1\u200b2"), 422, "invalid", []string{"/ship_to/street: has U+200B, which readers do not see: leave it out"}},
		{"tag", text(`\udb40\udc41`), 422, "invalid", []string{"/ship_to/street: has U+E0041, which readers do not see: leave it out"}},
		{"blank", text(` `), 422, "invalid", []string{"/ship_to/street: must be 1 to 200 characters, without control characters"}},
		{"no object", `[]`, 422, "invalid", []string{": expected object"}},
		{"null", `null`, 422, "invalid", []string{": expected object"}},
		{"field that is null", with(`"currency"`, `"voucher":null,"currency"`), 422, "invalid", []string{"/voucher: is null: leave it out instead"}},
		{"field missing", with(`"sku":"TEA-EARL-GREY",`, ``), 422, "invalid", []string{"/lines/0/sku: is missing"}},
		{"text for a number", with(`"quantity":2`, `"quantity":"2"`), 422, "invalid", []string{"/lines/0/quantity: expected integer"}},
		{
			"fraction", with(`"quantity":2`, `"quantity":2.5`), 422, "invalid",
			[]string{"/lines/0/quantity: must be a whole number of at most 64 bits, without fraction or exponent"},
		},
		{
			"exponent", with(`"quantity":2`, `"quantity":2e3`), 422, "invalid",
			[]string{"/lines/0/quantity: must be a whole number of at most 64 bits, without fraction or exponent"},
		},
		{
			"overflow", with(`"quantity":2`, `"quantity":9223372036854775808`), 422, "invalid",
			[]string{"/lines/0/quantity: must be a whole number of at most 64 bits, without fraction or exponent"},
		},
		{"nothing of it", with(`"quantity":2`, `"quantity":0`), 422, "invalid", []string{"/lines/0/quantity: expected number >= 1"}},
		{"less than nothing", with(`"quantity":2`, `"quantity":-1`), 422, "invalid", []string{"/lines/0/quantity: expected number >= 1"}},
		{"too much", with(`"quantity":2`, `"quantity":9223372036854775807`), 422, "invalid", []string{"/lines/0/quantity: expected number <= 100000"}},
		{"negative points", with(`"currency":`, `"points":-1,"currency":`), 422, "invalid", []string{"/points: expected number >= 0"}},
		{"points overflow", with(`"currency":`, `"points":1000000001,"currency":`), 422, "invalid", []string{"/points: expected number <= 1e+09"}},
		{
			"two faults", with(`"quantity":2`, `"quantity":0`, `"EUR"`, `"euro"`), 422, "invalid",
			[]string{"/currency: expected string to be an ISO 4217 code, such as EUR", "/lines/0/quantity: expected number >= 1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			a := b.post(t, "/v1/orders", tt.body)

			requireProblem(t, a, tt.status, tt.code, tt.faults...)
			require.Empty(t, b.temporal.sagas, "a saga was started")
		})
	}
}

// Texts with all that Unicode has are taken as they are.
func TestBodyIsUnicode(t *testing.T) {
	t.Parallel()
	b := setup(t)

	a := b.post(t, "/v1/orders", with(`"12 Analytical Row"`, `"\ud83d\ude80 \\ud800 Größe 日本 \ufffd 🚀 👩\u200d🚒 علی\u200cرضا 葛\udb40\udd00"`))

	require.Equal(t, 202, a.status, a.body)
}

// A body with very many faults has an answer of bounded length.
func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var fields strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&fields, `"field%d":1,`, i)
	}

	a := b.post(t, "/v1/orders", with(`"sku":`, fields.String()+`"sku":`))

	require.Equal(t, 400, a.status)
	faults, ok := a.json(t, "errors").([]any)
	require.True(t, ok)
	require.Len(t, faults, 100)
}

func TestBodyIsTooLarge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fill := func(size int) string { return exampleOrder + strings.Repeat(" ", size-len(exampleOrder)) }

	requireProblem(t, b.post(t, "/v1/orders", fill(1<<20+1)), 413, "body_too_large")
	require.Equal(t, 202, b.post(t, "/v1/orders", fill(1<<20)).status)
}

func TestBodyIsOfAnotherType(t *testing.T) {
	t.Parallel()
	for contentType, status := range map[string]int{
		"":                                  415,
		"text/json":                         415,
		"application/x-www-form-urlencoded": 415,
		"application/problem+json":          415,
		"application/json; charset=latin1":  415,
		"application/json;":                 202,
		"Application/JSON; charset=UTF-8":   202,
	} {
		t.Run(contentType, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(exampleOrder))
			r.Header.Set("Idempotency-Key", orderKey)
			r.Header.Set("Content-Type", contentType)
			w := httptest.NewRecorder()

			b.handler.ServeHTTP(w, r)

			require.Equal(t, status, w.Code, w.Body.String())
		})
	}
}

// A body that is declared as compressed is refused, whether it is or not.
func TestBodyIsCompressed(t *testing.T) {
	t.Parallel()
	for coding, status := range map[string]int{"": 202, "identity": 202, "gzip": 415, "GZIP": 415, "gzip, identity": 415, "br": 415, "nonsense": 415} {
		t.Run(coding, func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			a := b.ask(t, http.MethodPost, "/v1/orders", exampleOrder, "Content-Encoding", coding)

			require.Equal(t, status, a.status, a.body)
			if status == 415 {
				requireProblem(t, a, 415, "unsupported_media_type")
				require.Equal(t, "identity", a.header.Get("Accept-Encoding"))
			}
		})
	}
}

// oneConn is a listener that takes one connection.
type oneConn struct {
	net.Listener
	conn chan net.Conn
}

func (l oneConn) Accept() (net.Conn, error) {
	c, ok := <-l.conn
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l oneConn) Close() error { return nil }

func (l oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// In a real server, which reads on by itself: a request whose body stops in the middle is answered, and let go.
func TestBodyIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ours, theirs := net.Pipe()
		l := oneConn{conn: make(chan net.Conn, 1)}
		l.conn <- theirs
		server := api.NewServer("", b.handler)
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		start := time.Now()

		_, err := io.WriteString(ours, "POST /v1/orders HTTP/1.1\r\nHost: api\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
		require.NoError(t, err)
		got, err := io.ReadAll(ours)

		require.NoError(t, err)
		require.Contains(t, string(got), "408 Request Timeout")
		require.Contains(t, string(got), `"code":"body_timeout"`)
		require.Equal(t, 10*time.Second, time.Since(start))
		close(l.conn)
		require.ErrorIs(t, <-served, net.ErrClosed)
	})
}

func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/orders", io.MultiReader(strings.NewReader(`{"id"`), errorReader{}))
	r.Header.Set("Idempotency-Key", orderKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()

	b.handler.ServeHTTP(w, r)

	require.Equal(t, 400, w.Code, w.Body.String())
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
