package api

import (
	"bytes"
	"context"
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
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/go-chi/chi/v5"

	"github.com/amends-dev/amends/internal/inbound"
)

// Limits of a request's body.
const (
	maxBody   = 1 << 20 // bytes
	maxDepth  = 64      // arrays and objects inside one another
	maxValues = 5_000   // arrays, objects, and their members
	maxText   = 4096    // bytes of a text whose length the description bounds, always to less than this
)

// readBody reads the body, within limits, and refuses one that is not strict JSON: of another media type, malformed, with
// a name twice in one object, with a number that is no int64, or with text that is not Unicode or controls a terminal. A
// body that passes means the same to every JSON reader. If the method has no use for a body, it is read within the same
// limits, and dropped.
func (s *server) readBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := s.takeBody(w, r)
		if err != nil {
			writeProblem(w, s.problem(r.Context(), err))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// takeBody returns the body of a request that has a use for one.
func (s *server) takeBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	limited := http.MaxBytesReader(w, r.Body, maxBody)
	if r.Method != http.MethodPost {
		_, err := io.Copy(io.Discard, limited)
		return nil, unread(r.Context(), err)
	}
	body, err := io.ReadAll(limited)
	if err != nil {
		return nil, unread(r.Context(), err)
	}
	if len(body) == 0 {
		return nil, nil // the operation decides whether it needs one
	}
	if err := checkMedia(r.Header); err != nil {
		return nil, err
	}
	return body, checkJSON(body, s.bodies[chi.RouteContext(r.Context()).RoutePattern()], s.schemas)
}

// unread returns the failure of a body that could not be read; nil if err is nil.
func unread(ctx context.Context, err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return &failure{code: codeBodyTooLarge, detail: fmt.Sprintf("A body has at most %d bytes.", maxBody)}
	case errors.Is(err, os.ErrDeadlineExceeded) && inbound.Stopping(ctx):
		return &failure{code: codeStopping, detail: "This process stops, and the body has not arrived. Repeat the request: others take it."}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failure{code: codeBodyTimeout, detail: fmt.Sprintf("A body has %s to arrive.", inbound.BodyTimeout)}
	}
	return &failure{code: codeMalformed, detail: "The body broke off."}
}

// checkMedia refuses a body that is declared as anything but plain JSON, and gives all JSON the same Content-Type.
func checkMedia(h http.Header) error {
	for _, coding := range h.Values("Content-Encoding") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return &failure{code: codeUnsupportedMedia, detail: "Send the body as it is, without Content-Encoding.", identity: true}
		}
	}
	if media, params, err := mime.ParseMediaType(h.Get("Content-Type")); err != nil || media != "application/json" ||
		(params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8")) {
		return &failure{code: codeUnsupportedMedia, detail: "Send the body with Content-Type: application/json, in UTF-8."}
	}
	// huma reads the header too, and does not know that its case is free.
	h.Set("Content-Type", "application/json")
	return nil
}

// checkJSON returns a [*failure] unless body is strict JSON within the limits of the schema; nil is a schema of anything.
// It does bounded work for each byte of the body, and keeps nothing of it. The code that runs after it does not: huma's
// validation first collects every fault and makes values of every part.
func checkJSON(body []byte, schema *huma.Schema, schemas huma.Registry) error {
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
	c := strictness{body: body, tokens: json.NewDecoder(bytes.NewReader(body)), schemas: schemas}
	c.tokens.UseNumber()
	return c.value(schema)
}

// maxName is how long the name of a field may be.
const maxName = 64

// fieldName is what the names of this API's fields are made of.
var fieldName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// strictness walks over well-formed JSON.
type strictness struct {
	body    []byte
	tokens  *json.Decoder
	schemas huma.Registry
	// at is the place: the names of fields, and the indexes of items. It becomes text only for a fault, since the text of
	// a deep place would be longer than the values there.
	at []any
	// values counts the values so far.
	values int
	// unknown are the fields so far that the schema does not have.
	unknown []Fault
}

// pointer returns the place as a JSON pointer.
func (c *strictness) pointer() string {
	var b strings.Builder
	for _, part := range c.at {
		b.WriteByte('/')
		switch part := part.(type) {
		case int:
			b.WriteString(strconv.Itoa(part))
		case string:
			b.WriteString(pointerEscapes.Replace(part))
		}
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// refuse returns the failure of the value at the place.
func (c *strictness) refuse(code Code, detail string) error { return refuse(code, c.pointer(), detail) }

// value reads the next value.
func (c *strictness) value(schema *huma.Schema) error {
	if c.values++; c.values > maxValues {
		return &failure{code: codeMalformed, detail: fmt.Sprintf("The body has more than %d values.", maxValues)}
	}
	for schema != nil && schema.Ref != "" {
		schema = c.schemas.SchemaFromRef(schema.Ref)
	}
	start := c.tokens.InputOffset()
	token, err := c.tokens.Token()
	if err != nil {
		return fmt.Errorf("read well-formed JSON: %w", err)
	}
	switch t := token.(type) {
	case nil:
		if len(c.at) > 0 { // the operation decides what it needs
			return c.refuse(codeInvalid, "is null: leave it out instead")
		}
	case string:
		return c.text(t, c.body[start:c.tokens.InputOffset()], schema)
	case json.Number:
		if _, err := strconv.ParseInt(t.String(), 10, 64); err != nil {
			return c.refuse(codeInvalid, "must be a whole number of at most 64 bits, without fraction or exponent")
		}
	case json.Delim:
		if len(c.at) == maxDepth {
			return c.refuse(codeMalformed, fmt.Sprintf("is nested more than %d deep", maxDepth))
		}
		if t == '{' {
			err = c.object(schema)
		} else {
			err = c.array(schema)
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

func (c *strictness) text(text string, raw []byte, schema *huma.Schema) error {
	detail := unreadable(text)
	switch {
	case halfPair(raw):
		return c.refuse(codeMalformed, "has half of a surrogate pair")
	case detail != "":
		return c.refuse(codeInvalid, detail)
	case schema != nil && schema.Type != "" && len(text) > maxText:
		return c.refuse(codeInvalid, fmt.Sprintf("is longer than %d bytes", maxText))
	}
	return nil
}

func (c *strictness) object(schema *huma.Schema) error {
	var seen map[string]bool
	for c.tokens.More() {
		token, err := c.tokens.Token()
		if err != nil {
			return fmt.Errorf("read well-formed JSON: %w", err)
		}
		name, _ := token.(string)
		if len(name) > maxName {
			return c.refuse(codeMalformed, fmt.Sprintf("has a field with a name of more than %d characters", maxName))
		}
		c.at = append(c.at, name)
		if !fieldName.MatchString(name) {
			return c.refuse(codeMalformed, unknownField)
		}
		if seen[name] {
			return c.refuse(codeMalformed, "is there twice")
		}
		if seen == nil {
			seen = map[string]bool{}
		}
		seen[name] = true
		field, err := c.field(schema, name)
		if err != nil {
			return err
		}
		if err := c.value(field); err != nil {
			return err
		}
		c.at = c.at[:len(c.at)-1]
	}
	return nil
}

// field returns the schema of an object's field, nil for anything. A few unknown fields pass: huma reports them together
// with all other faults.
func (c *strictness) field(schema *huma.Schema, name string) (*huma.Schema, error) {
	if schema == nil || schema.Type != huma.TypeObject {
		return nil, nil //nolint:nilnil // a schema of anything
	}
	if field, ok := schema.Properties[name]; ok {
		return field, nil
	}
	c.unknown = append(c.unknown, Fault{Pointer: c.pointer(), Detail: unknownField})
	if len(c.unknown) == maxFaults {
		return nil, &failure{code: codeMalformed, detail: unknownFields, faults: c.unknown}
	}
	return nil, nil //nolint:nilnil // a schema of anything
}

func (c *strictness) array(schema *huma.Schema) error {
	var items *huma.Schema
	most := maxValues
	if schema != nil && schema.Type == huma.TypeArray {
		items = schema.Items
		if schema.MaxItems != nil {
			most = *schema.MaxItems
		}
	}
	for i := 0; c.tokens.More(); i++ {
		if i == most {
			return c.refuse(codeInvalid, fmt.Sprintf(validation.MsgExpectedMaxItems, most))
		}
		c.at = append(c.at, i)
		if err := c.value(items); err != nil {
			return err
		}
		c.at = c.at[:len(c.at)-1]
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
