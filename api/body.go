package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of a request's body.
const (
	maxBody         = 1 << 20 // bytes
	maxDepth        = 64      // arrays and objects in one another
	bodyReadTimeout = 10 * time.Second
)

// readBody takes the body in, within limits, and refuses one that is not strict JSON: of another media type, malformed,
// with a name twice in one object, with a number that is no int64, or with text that is not Unicode or controls a terminal.
// What passes means the same to every JSON reader.
func (s *server) readBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		body, err := takeBody(w, r)
		if err != nil {
			writeProblem(w, s.problem(r.Context(), err))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func takeBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	connection := http.NewResponseController(w)
	// Connections without deadlines are those of tests.
	_ = connection.SetReadDeadline(time.Now().Add(bodyReadTimeout)) // see above
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		// It would cancel the request when it runs out. After an error it stays: net/http reads on before it answers.
		_ = connection.SetReadDeadline(time.Time{}) // see above
	}

	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &failure{code: codeBodyTooLarge, detail: fmt.Sprintf("A body has at most %d bytes.", maxBody)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &failure{code: codeBodyTimeout, detail: fmt.Sprintf("A body has %s to arrive.", bodyReadTimeout)}
	case err != nil:
		return nil, &failure{code: codeMalformed, detail: "The body broke off."}
	case len(body) == 0:
		return nil, nil // the operation says whether it needs one
	}
	if media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" ||
		(params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8")) {
		return nil, &failure{code: codeUnsupportedMedia, detail: "Send the body with Content-Type: application/json, in UTF-8."}
	}
	// huma reads the header too, and does not know that its case is free.
	r.Header.Set("Content-Type", "application/json")
	return body, checkJSON(body)
}

// checkJSON returns a [*failure] unless body is strict JSON.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return &failure{code: codeMalformed, detail: "The body is not UTF-8."}
	}
	var value json.RawMessage
	if err := json.Unmarshal(body, &value); err != nil {
		detail := "The body is not JSON."
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			detail = fmt.Sprintf("The body is not JSON: at byte %d, %s.", syntax.Offset, syntax.Error())
		}
		return &failure{code: codeMalformed, detail: detail}
	}
	c := strictness{body: body, tokens: json.NewDecoder(bytes.NewReader(body))}
	c.tokens.UseNumber()
	return c.value("", 0)
}

// maxName is how long the name of a field may be.
const maxName = 64

// fieldName is what the names of this API's fields are made of.
var fieldName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// strictness walks over well-formed JSON.
type strictness struct {
	body   []byte
	tokens *json.Decoder
}

func (c *strictness) value(at string, depth int) error {
	start := c.tokens.InputOffset()
	token, err := c.tokens.Token()
	if err != nil {
		return fmt.Errorf("read well-formed JSON: %w", err)
	}
	switch t := token.(type) {
	case nil:
		if at != "" { // the operation says what it needs
			return refuse(codeInvalid, at, "is null: leave it out instead")
		}
	case string:
		if halfPair(c.body[start:c.tokens.InputOffset()]) {
			return refuse(codeMalformed, at, "has half of a surrogate pair")
		}
		if detail := unreadable(t); detail != "" {
			return refuse(codeInvalid, at, detail)
		}
	case json.Number:
		if _, err := strconv.ParseInt(t.String(), 10, 64); err != nil {
			return refuse(codeInvalid, at, "must be a whole number of at most 64 bits, without fraction or exponent")
		}
	case json.Delim:
		if depth == maxDepth {
			return refuse(codeMalformed, at, fmt.Sprintf("is nested more than %d deep", maxDepth))
		}
		if t == '{' {
			err = c.object(at, depth+1)
		} else {
			err = c.array(at, depth+1)
		}
		if err != nil {
			return err
		}
		if _, err := c.tokens.Token(); err != nil { // the closing bracket
			return fmt.Errorf("read well-formed JSON: %w", err)
		}
	}
	return nil
}

func (c *strictness) object(at string, depth int) error {
	seen := map[string]bool{}
	for c.tokens.More() {
		token, err := c.tokens.Token()
		if err != nil {
			return fmt.Errorf("read well-formed JSON: %w", err)
		}
		name, _ := token.(string)
		if len(name) > maxName {
			return refuse(codeMalformed, at, fmt.Sprintf("has a field with a name of more than %d characters", maxName))
		}
		field := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if !fieldName.MatchString(name) {
			return refuse(codeMalformed, field, "is not a field of this resource")
		}
		if seen[name] {
			return refuse(codeMalformed, field, "is there twice")
		}
		seen[name] = true
		if err := c.value(field, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *strictness) array(at string, depth int) error {
	for i := 0; c.tokens.More(); i++ {
		if err := c.value(at+"/"+strconv.Itoa(i), depth); err != nil {
			return err
		}
	}
	return nil
}

// halfPair tells whether a text, as well-formed JSON has it, has an escape like \ud800 without its other half. Go reads it
// as U+FFFD; other readers refuse or keep it.
func halfPair(raw []byte) bool {
	for {
		at := bytes.IndexByte(raw, '\\')
		if at < 0 {
			return false
		}
		if raw[at+1] != 'u' {
			raw = raw[at+2:]
			continue
		}
		half := escaped(raw[at:])
		raw = raw[at+6:]
		if !utf16.IsSurrogate(half) {
			continue
		}
		if !bytes.HasPrefix(raw, []byte(`\u`)) || utf16.DecodeRune(half, escaped(raw)) == unicode.ReplacementChar {
			return true
		}
		raw = raw[6:]
	}
}

// escaped is the UTF-16 unit of an escape like \u00e4.
func escaped(raw []byte) rune {
	unit, _ := strconv.ParseUint(string(raw[2:6]), 16, 16) // four digits
	return rune(unit)
}

// refuse is the failure of one field of a body.
func refuse(c Code, pointer, detail string) *failure {
	text := "One field cannot be as it is."
	if c == codeMalformed {
		text = "The body is not what this resource reads."
	}
	return &failure{code: c, detail: text, faults: []Fault{{Pointer: pointer, Detail: detail}}}
}
