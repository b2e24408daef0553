package activities

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/strictjson"
)

// headerKey is the answer's header that repeats the key from the URL (docs/step-contract.md). A service sets it. Anything
// between it and us does not know the key, whatever problem it makes up.
const headerKey = "Saga-Key"

// A reply is an answer that was read to its end. It is the participant's word only as far as its methods confirm that:
// gateways, proxies and wrong addresses answer, too.
type reply struct {
	key    compensation.Key
	status int
	header http.Header
	body   []byte
}

// problem is a failure in the form of the step contract.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	// UndoReason is the reason for the undo, with the code undone.
	UndoReason string `json:"undo_reason"`
}

// problemCode matches the contract's codes.
var problemCode = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// isSuccess reports whether a participant may confirm a step with the status.
func (r reply) isSuccess() bool { return r.status == http.StatusOK || r.status == http.StatusCreated }

// result decodes the result of a step that was done into out.
func (r reply) result(out any) error {
	if err := r.checkKey(false); err != nil {
		return err
	}
	if media := r.media(); media != "application/json" {
		return fmt.Errorf("it is %s, not application/json", describeMedia(media))
	}
	if err := json.Unmarshal(r.body, out); err != nil {
		return err
	}
	return strictjson.CheckNames(r.body, out)
}

// refusal returns the problem with which the participant refuses. The error explains why the answer is not its word.
func (r reply) refusal() (problem, error) {
	var p problem
	if media := r.media(); media != "application/problem+json" {
		return p, fmt.Errorf("it is %s, not application/problem+json", describeMedia(media))
	}
	if err := json.Unmarshal(r.body, &p); err != nil {
		return problem{}, errors.New("its problem is not JSON")
	}
	if err := strictjson.CheckNames(r.body, p); err != nil {
		return problem{}, fmt.Errorf("its problem cannot be understood: %w", err)
	}
	if p.Status != r.status {
		return problem{}, fmt.Errorf("its problem has status %d", p.Status)
	}
	if !problemCode.MatchString(p.Code) {
		return problem{}, fmt.Errorf("its problem has the code %q", p.Code)
	}
	return p, r.checkKey(true)
}

// checkKey reports why the answer is not about the key of the request. An answer without a key is accepted only if
// required is false.
func (r reply) checkKey(required bool) error {
	values := r.header.Values(headerKey)
	if len(values) == 0 {
		if required {
			return errors.New("it has no header " + headerKey)
		}
		return nil
	}
	named, err := url.PathUnescape(values[0])
	if len(values) > 1 || err != nil || named != r.key.String() {
		return fmt.Errorf("its header %s names %q", headerKey, strings.Join(values, ", "))
	}
	return nil
}

// media returns the content type without its parameters; "" if it is missing or malformed.
func (r reply) media() string {
	media, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	return media
}

func describeMedia(media string) string {
	if media == "" {
		return "of no content type"
	}
	return media
}

// describe describes the answer for people.
func (r reply) describe() string {
	var p problem
	if strings.HasSuffix(r.media(), "json") && json.Unmarshal(r.body, &p) == nil {
		switch {
		case p.Detail != "":
			return p.Detail
		case p.Title != "":
			return p.Title
		}
	}
	return r.statusText()
}

func (r reply) statusText() string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", r.status, http.StatusText(r.status)))
}
