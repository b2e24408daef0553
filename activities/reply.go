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

// headerKey is the answer's header that repeats the key from the URL (docs/step-contract.md). A service sets it; what
// stands between it and us does not know it, whatever problem it makes up.
const headerKey = "Saga-Key"

// reply is an answer that was read to its end. It is the participant's word only as far as its methods say so: gateways,
// proxies and wrong addresses answer, too.
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
	// UndoReason is with the code undone: why it was.
	UndoReason string `json:"undo_reason"`
}

// problemCode is what the contract's codes look like.
var problemCode = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// isSuccess reports whether the status is one with which a participant may say that a step is done.
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

// refusal returns the problem with which the participant refuses. The error says why the answer is not its word.
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

// checkKey reports why the answer is not about the key that was asked for. An answer that does not name any is only accepted if
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

// media is the content type without its parameters; "" if it is missing or malformed.
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

// describe is the answer in words for people.
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
