package fence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/amends-dev/amends/internal/strictjson"
)

const (
	maxBody = 1 << 20
	// maxKey is the key length that the step contract requires of every service. Sagas have no longer keys.
	maxKey = 512
)

// request is the body of a PUT: compact JSON with the keys of its objects sorted.
type request struct {
	json        []byte
	fingerprint string // hex SHA-256 of json
}

// readRequest reads the body of r into in. Its errors are problems.
func readRequest(w http.ResponseWriter, r *http.Request, in any) (request, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return request{}, newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type",
			"the body must be sent as application/json")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return request{}, newProblem(http.StatusRequestEntityTooLarge, "too_large",
			"the body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return request{}, newProblem(http.StatusRequestTimeout, "incomplete", "the body did not arrive as a whole")
	}
	canonical, err := canonicalJSON(raw)
	if err != nil {
		return request{}, err
	}
	if err := strictjson.CheckNames(raw, in); err != nil {
		return request{}, malformed("%s", err)
	}
	// The kept body is decoded, not the one that was sent: Do gets the body that Undo will get and that the fingerprint
	// covers.
	d := json.NewDecoder(bytes.NewReader(canonical))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		return request{}, malformed("%s", describe(err))
	}
	sum := sha256.Sum256(canonical)
	return request{json: canonical, fingerprint: hex.EncodeToString(sum[:])}, nil
}

// canonicalJSON returns the one JSON value in raw without white space and with sorted keys. Numbers
// stay as they are written, so 1 and 1.0 differ.
func canonicalJSON(raw []byte) ([]byte, error) {
	if !utf8.Valid(raw) {
		return nil, malformed("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, malformed("%s", describe(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("something follows the JSON value")
	}
	if value == nil {
		return nil, malformed("the body is null")
	}
	return json.Marshal(value)
}

// describe says what is wrong with a body in words for its sender, without our types' names.
func describe(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if t.Field == "" {
			return "the body: unexpected " + t.Value
		}
		return t.Field + ": unexpected " + t.Value
	}
	if errors.Is(err, io.EOF) {
		return "the body is empty"
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "the body ends too early"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// keyOf returns the key that r names.
func keyOf(r *http.Request) (string, error) {
	key := r.PathValue("key")
	if len(key) > maxKey {
		return "", malformed("the key is longer than %d bytes", maxKey)
	}
	if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
		return "", malformed("the key is not printable UTF-8")
	}
	return key, nil
}
