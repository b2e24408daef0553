package client

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Code names a kind of problem. docs/problems.md explains each.
type Code string

// The codes that the API answers with.
const (
	CodeActRefused           Code = "act_refused"
	CodeAlreadyEnded         Code = "already_ended"
	CodeBadParameter         Code = "bad_parameter"
	CodeBodyTimeout          Code = "body_timeout"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeKeyRequired          Code = "idempotency_key_required"
	CodeKeyReused            Code = "idempotency_key_reused"
	CodeInFlight             Code = "in_flight"
	CodeInternal             Code = "internal"
	CodeInvalid              Code = "invalid"
	CodeMalformed            Code = "malformed"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeNamespaceIncomplete  Code = "namespace_incomplete"
	CodeNoWorker             Code = "no_worker"
	CodeNotAwaited           Code = "not_awaited"
	CodeNotFound             Code = "not_found"
	CodeOrderNotCompleted    Code = "order_not_completed"
	CodePreconditionFailed   Code = "precondition_failed"
	CodePreconditionRequired Code = "precondition_required"
	CodeTooLate              Code = "too_late_to_cancel"
	CodeCredentialsUnchecked Code = "credentials_unchecked"
	CodeForbidden            Code = "forbidden"
	CodeAuditUnwritten       Code = "audit_unwritten"
	CodeStopping             Code = "stopping"
	CodeSagaBusy             Code = "saga_busy"
	CodeSagaPaused           Code = "saga_paused"
	CodeTooManyRequests      Code = "too_many_requests"
	CodeTooManyUpdates       Code = "too_many_updates"
	CodeUnauthenticated      Code = "unauthenticated"
	CodeTooManyStreams       Code = "too_many_streams"
	CodeTooManyWaits         Code = "too_many_waits"
	CodeUnavailable          Code = "temporal_unavailable"
	CodeUnknownOrder         Code = "unknown_order"
	CodeUnsupportedMedia     Code = "unsupported_media_type"
)

// Problem is an answer that is none of success (RFC 9457). Find it with [errors.As].
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what went wrong this time, and what to do about it.
	Detail string `json:"detail,omitempty"`
	// Code is empty where not the API answered, but something on the way to it.
	Code Code `json:"code"`
	// State is the saga's, where that is the reason.
	State State `json:"state,omitempty"`
	// SagaURL is the saga that it is about, if there is one; [Client.URL] makes it whole.
	SagaURL string `json:"saga_url,omitempty"`
	// Errors say what is wrong where in the request.
	Errors []Fault `json:"errors,omitempty"`
	// TraceID finds the request in the API's logs.
	TraceID string `json:"trace_id,omitempty"`

	// RetryAfter is how long to wait before the request is sent again; 0 if the answer did not say.
	RetryAfter time.Duration `json:"-"`
}

// Fault is something wrong at one place of a request.
type Fault struct {
	// Pointer is a JSON pointer (RFC 6901) into the body.
	Pointer string `json:"pointer,omitempty"`
	// Parameter is the name of one in the query, the path or a header.
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
}

// Error implements error, in one line of printable characters: U+FFFD replaces others that the server sent.
func (p *Problem) Error() string {
	text := strconv.Itoa(p.Status)
	if p.Code != "" {
		text += " " + string(p.Code)
	}
	text += ": " + p.Title
	if p.Detail != "" {
		text += " " + p.Detail
	}
	for _, f := range p.Errors {
		text += fmt.Sprintf(" %s%s: %s.", f.Pointer, f.Parameter, strings.TrimSuffix(f.Detail, "."))
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// problemOf is the problem that an answer tells of. One that is no problem document did not come from the API.
func problemOf(status int, header http.Header, body []byte) *Problem {
	p := &Problem{}
	media, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if media != "application/problem+json" || json.Unmarshal(body, p) != nil {
		p = &Problem{Title: http.StatusText(status) + "."}
	}
	p.Status = status
	if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}

// passing tells whether the request may succeed if it is sent again as it is.
func (p *Problem) passing() bool {
	switch p.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusConflict:
		return p.Code == CodeInFlight
	}
	return false
}
