package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// keyHeader names what a caller asks for, so that asking again is harmless
// (draft-ietf-httpapi-idempotency-key-header).
const keyHeader = "Idempotency-Key"

// usableKey is what a key is made of: up to 255 visible ASCII characters, in the draft's quotes or without.
var usableKey = regexp.MustCompile(`^(?:"([\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x5b\x5d-\x7e]{1,255}))$`)

// command is a request that has an effect. Its key means nothing beyond its caller and its route.
type command struct {
	caller string
	// route is the method and the path, such as "POST /v1/orders/42/cancel".
	route string
	key   string
}

// IDOf is the ID of what a caller starts with that Idempotency-Key and a POST to the path, such as /v1/orders. The caller is
// named by the ID that GET /v1/caller tells. There is no table of keys: since the ID follows from the key, Temporal itself
// sees to it that a key starts one saga.
func IDOf(caller, path, key string) string {
	return command{caller: caller, route: http.MethodPost + " " + path, key: key}.id()
}

func (c command) id() string {
	// None of them has a zero byte. Version 8 is a UUID by rules of its own.
	name := strings.Join([]string{c.caller, c.route, c.key}, "\x00")
	return uuid.NewHash(sha256.New(), uuid.Nil, []byte(name), 8).String()
}

// fingerprint is the same for requests by the same route with equal bodies, and differs for others.
func (c command) fingerprint(body any) (string, error) {
	canonical, err := canonicalJSON([]any{c.route, body})
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}

// canonicalJSON is JSON that is the same for equal values, also where v holds JSON that its caller wrote.
func canonicalJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

type commandKey struct{}

// commandOf is the request with an effect that ctx belongs to.
func commandOf(ctx context.Context) command {
	c, _ := ctx.Value(commandKey{}).(command)
	return c
}

// readKey refuses a request that has an effect and no usable key.
func (s *server) readKey(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		given := r.Header.Values(keyHeader)
		var parts []string
		if len(given) == 1 {
			parts = usableKey.FindStringSubmatch(given[0])
		}
		if parts == nil {
			f := &failure{code: codeKeyRequired, detail: "Send an " + keyHeader + ", such as a new UUID, and the same one when you repeat the request."}
			if len(given) > 0 {
				f.detail = "An " + keyHeader + " is given once and has 1 to 255 visible ASCII characters, none of them a quote or a backslash."
			}
			writeProblem(w, s.problem(r.Context(), f))
			return
		}
		c := command{caller: idOf(callerOf(r.Context())), route: r.Method + " " + r.URL.EscapedPath(), key: parts[1] + parts[2]}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), commandKey{}, c)))
	})
}

// keyParameter describes the header.
func keyParameter() *huma.Param {
	length := 257 // with its quotes
	return &huma.Param{
		Name: keyHeader, In: "header", Required: true, Example: "5f0c2d5e-7a9b-4f1e-9d57-3a8f6f0f8f5b",
		Description: "Names the request, for this caller and this path. The same key and body again is the same request: it has no other effect, " +
			"and its answer says Idempotent-Replayed. A key is known as long as what it started or steered.",
		Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &length, Pattern: usableKey.String()},
	}
}

// replayedParameter describes the header of an answer to a repeated request.
func replayedParameter() *huma.Param {
	return &huma.Param{
		Description: "true, if the request was taken before, and this is its answer again.",
		Schema:      &huma.Schema{Type: huma.TypeString, Enum: []any{"true"}},
	}
}

// replayed is the Idempotent-Replayed header.
func replayed(is bool) string {
	if is {
		return "true"
	}
	return ""
}

var errKeyReused = &failure{
	code:   codeKeyReused,
	detail: "This " + keyHeader + " was used for a request with another body. Repeat that one exactly, or use another key.",
}

// flights are the commands that this process is carrying out. Those that get past each other at two processes meet in
// Temporal, where only one of them has an effect.
type flights struct {
	mu  sync.Mutex
	set map[command]struct{}
}

// enter refuses a command that is being carried out; leave ends it.
func (f *flights) enter(c command) (leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, flying := f.set[c]; flying {
		return nil, &failure{
			code: codeInFlight, detail: "A request with this " + keyHeader + " is being carried out. Repeat it in a moment for its answer.",
		}
	}
	if f.set == nil {
		f.set = map[command]struct{}{}
	}
	f.set[c] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.set, c)
	}, nil
}
