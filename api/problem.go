package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.temporal.io/api/serviceerror"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/order"
)

// commandCodes are the problems of any operation that has an effect.
var commandCodes = []Code{codeKeyRequired, codeInFlight, codeKeyReused, codeMalformed, codeInvalid, codeUnsupportedMedia}

// typeBase is where each code is explained.
const typeBase = "https://github.com/amends-dev/amends/blob/main/docs/problems.md#"

// Problem is the body of every error: an RFC 9457 problem.
type Problem struct {
	Type    string  `json:"type" format:"uri" doc:"Names the kind of problem, and says where it is explained."`
	Title   string  `json:"title" doc:"The kind of problem in words."`
	Status  int     `json:"status" doc:"The HTTP status."`
	Detail  string  `json:"detail,omitempty" doc:"What went wrong this time, and what to do about it."`
	Code    Code    `json:"code" doc:"The kind of problem, for programs."`
	State   state   `json:"state,omitempty" doc:"The saga's state, where that is the reason."`
	SagaURL string  `json:"saga_url,omitempty" format:"uri-reference" doc:"The saga that it is about, if there is one."`
	Errors  []Fault `json:"errors,omitempty" nullable:"false" doc:"What is wrong where in the request."`
	TraceID string  `json:"trace_id,omitempty" doc:"The request's trace, which finds it in the logs."`

	retryAfter int
	challenge  string
	identity   bool
}

// Fault is something wrong at one place of a request.
type Fault struct {
	Pointer   string `json:"pointer,omitempty" doc:"A JSON pointer (RFC 6901) into the body; absent where the fault is not in one field of it." example:"/lines/0/quantity"`
	Parameter string `json:"parameter,omitempty" doc:"The name of a parameter, in the query, the path or a header."`
	Detail    string `json:"detail" doc:"What is wrong."`
}

// Error implements error. GetStatus, GetHeaders and ContentType are what huma asks of an error that is an answer.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus implements [huma.StatusError].
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements [huma.HeadersError].
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.challenge != "" {
		h.Set("WWW-Authenticate", "Bearer "+p.challenge)
	}
	if p.identity {
		h.Set("Accept-Encoding", "identity")
	}
	return h
}

// ContentType implements [huma.ContentTypeFilter].
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// maxFaults is how many faults a problem lists at most: a large body may have very many.
const maxFaults = 100

// failure is an error that knows which problem it is. Its texts are for the caller; a cause is for the log.
type failure struct {
	code   Code
	detail string
	state  compensation.State
	// saga is the workflow ID of the saga that it is about; empty if it is about none.
	saga   string
	faults []Fault
	// challenge is what WWW-Authenticate says of it (RFC 6750).
	challenge string
	// identity marks a body that is accepted only without a Content-Encoding (RFC 9110, section 15.5.16).
	identity bool
}

func (f *failure) Error() string { return string(f.code) + ": " + f.detail }

func newProblem(traceID string, f *failure) *Problem {
	k := problems[f.code]
	return &Problem{
		Type: typeBase + string(f.code), Title: k.title, Status: k.status, Detail: f.detail, Code: f.code,
		State: state(f.state), SagaURL: sagaURL(f.saga), Errors: f.faults[:min(len(f.faults), maxFaults)], TraceID: traceID, retryAfter: k.retryAfter,
		challenge: f.challenge, identity: f.identity,
	}
}

// sagaURL is where a saga is; empty for none.
func sagaURL(workflowID string) string {
	if workflowID == "" {
		return ""
	}
	return sagasPath + "/" + workflowID
}

// about makes err, if it is of a saga's own, say of which one.
func about(err error, workflowID string) error {
	var f *failure
	if !errors.As(err, &f) || f.code == codeNotFound {
		return err
	}
	of := *f
	of.saga = workflowID
	return &of
}

// problem is the answer to err. The cause of one that the caller cannot know is logged, and not sent.
func (s *server) problem(ctx context.Context, err error) *Problem {
	f := failureOf(err)
	noteRefusal(ctx, f.code)
	if status := problems[f.code].status; status >= http.StatusInternalServerError {
		level := slog.LevelError
		if status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		s.log.Log(ctx, level, "request failed", "code", f.code, "error", err, "request_id", requestID(ctx))
	}
	return newProblem(traceID(ctx), f)
}

// failureOf is the table from errors to problems.
func failureOf(err error) *failure {
	var (
		own         *failure
		invalid     *order.InvalidError
		notFound    *serviceerror.NotFound
		unavailable *serviceerror.Unavailable
		deadline    *serviceerror.DeadlineExceeded
		canceled    *serviceerror.Canceled
		exhausted   *serviceerror.ResourceExhausted
		notReady    *serviceerror.WorkflowNotReady
		incomplete  *connect.IncompleteError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &invalid):
		faults := make([]Fault, len(invalid.Fields))
		for i, f := range invalid.Fields {
			faults[i] = Fault{Pointer: f.Pointer, Detail: f.Detail}
		}
		return &failure{code: codeInvalid, detail: "Some fields cannot be as they are.", faults: faults}
	case errors.As(err, &incomplete):
		return &failure{code: codeNamespaceIncomplete, detail: "No saga can be started: " + incomplete.Error() + "."}
	case errors.As(err, &notFound):
		return &failure{code: codeNotFound, detail: "Nothing has this ID."}
	case errors.As(err, &unavailable), errors.As(err, &deadline), errors.As(err, &canceled), errors.As(err, &exhausted),
		errors.As(err, &notReady), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &failure{
			code:   codeUnavailable,
			detail: "Temporal did not answer in time. A request for a change may have been taken all the same: repeat it unchanged.",
		}
	}
	return &failure{code: codeInternal, detail: "The cause is in the logs, under the trace_id."}
}

// problemResponses describes the problems by status.
func problemResponses(api huma.API, codes []Code) map[string]*huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(problemType, true, "")
	byStatus := map[int][]string{}
	for _, c := range codes {
		k := problems[c]
		text := "`" + string(c) + "`: " + k.title
		if !slices.Contains(byStatus[k.status], text) {
			byStatus[k.status] = append(byStatus[k.status], text)
		}
	}
	responses := map[string]*huma.Response{}
	for status, texts := range byStatus {
		r := &huma.Response{
			Description: strings.Join(texts, " "),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
		}
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			r.Headers = map[string]*huma.Param{"WWW-Authenticate": {
				Description: "How callers prove who they are (RFC 6750).", Schema: &huma.Schema{Type: huma.TypeString},
			}}
		}
		if status == http.StatusTooManyRequests ||
			slices.ContainsFunc(codes, func(c Code) bool { return problems[c].status == status && problems[c].retryAfter > 0 }) {
			r.Headers = map[string]*huma.Param{"Retry-After": {
				Description: "Seconds after which trying again makes sense.", Schema: &huma.Schema{Type: huma.TypeInteger},
			}}
		}
		responses[strconv.Itoa(status)] = r
	}
	return responses
}
