package api

import (
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// Code names a kind of problem, for programs.
type Code string

const (
	codeMalformed            Code = "malformed"
	codeKeyRequired          Code = "idempotency_key_required"
	codeBadParameter         Code = "bad_parameter"
	codeUnauthenticated      Code = "unauthenticated"
	codeForbidden            Code = "forbidden"
	codeNotFound             Code = "not_found"
	codeMethodNotAllowed     Code = "method_not_allowed"
	codeBodyTimeout          Code = "body_timeout"
	codeInFlight             Code = "in_flight"
	codeOrderNotCompleted    Code = "order_not_completed"
	codeTooLate              Code = "too_late_to_cancel"
	codeAlreadyEnded         Code = "already_ended"
	codeNotAwaited           Code = "not_awaited"
	codeActRefused           Code = "act_refused"
	codeTooManyUpdates       Code = "too_many_updates"
	codePaused               Code = "saga_paused"
	codePreconditionFailed   Code = "precondition_failed"
	codeBodyTooLarge         Code = "body_too_large"
	codeUnsupportedMedia     Code = "unsupported_media_type"
	codeInvalid              Code = "invalid"
	codeUnknownOrder         Code = "unknown_order"
	codeKeyReused            Code = "idempotency_key_reused"
	codePreconditionRequired Code = "precondition_required"
	codeTooManyStreams       Code = "too_many_streams"
	codeTooManyWaits         Code = "too_many_waits"
	codeTooManyRequests      Code = "too_many_requests"
	codeBusy                 Code = "saga_busy"
	codeInternal             Code = "internal"
	codeNamespaceIncomplete  Code = "namespace_incomplete"
	codeUnchecked            Code = "credentials_unchecked"
	codeNoWorker             Code = "no_worker"
	codeUnavailable          Code = "temporal_unavailable"
	codeAuditUnwritten       Code = "audit_unwritten"
	codeStopping             Code = "stopping"
)

// kind is what all problems of one code have in common.
type kind struct {
	status int
	title  string
	// retryAfter is in seconds; 0 for problems that trying again does not mend, or whose time differs.
	retryAfter int
	// means says when the problem is answered, and remedy what to do about it, in Markdown for docs/problems.md.
	means, remedy string
}

// problems is the closed list of what can go wrong.
var problems = map[Code]kind{
	codeMalformed: {
		status: http.StatusBadRequest, title: "The body is not what this resource reads.",
		means:  "The body is not JSON in UTF-8, has fields that the resource does not know, a name twice in one object, half of a surrogate pair (`\\ud800`), more than 64 arrays and objects in one another, or more behind its end.",
		remedy: "Mend the body: `detail` and `errors` say where.",
	},
	codeKeyRequired: {
		status: http.StatusBadRequest, title: "There is no usable Idempotency-Key.",
		means:  "A `POST` needs one `Idempotency-Key` of 1 to 255 visible ASCII characters, none of them a quote or a backslash; quotes around it do not count.",
		remedy: "Send a new UUID for each thing that you want done, and the same one whenever you repeat that request.",
	},
	codeBadParameter: {
		status: http.StatusBadRequest, title: "A parameter is wrong.",
		means:  "A parameter in the query, the path or a header is unknown, empty, there twice, or cannot be read.",
		remedy: "`errors[].parameter` names it, and [openapi.json](openapi.json) says what it may be.",
	},
	codeUnauthenticated: {
		status: http.StatusUnauthorized, title: "Nobody knows who asks.",
		means:  "The request does not say who sends it, or its API key or token is not good: unknown, expired, revoked, or made for another system. `WWW-Authenticate` says `error=\"invalid_token\"` where there was one.",
		remedy: "Send an API key, or a token of this system's issuer: see [access.md](access.md). Why one was refused is in the API's log only, under the `trace_id`.",
	},
	codeForbidden: {
		status: http.StatusForbidden, title: "Your role may not do this.",
		means:  "The caller is known, but the operation is not for its [role](access.md#roles).",
		remedy: "`detail` names the roles that may.",
	},
	codeNotFound: {
		status: http.StatusNotFound, title: "There is no such resource.",
		means:  "There is no such resource, or no saga with that ID that you may see. Temporal forgets ended sagas after its namespace's retention.",
		remedy: "Look for it with `GET /v1/sagas`, which lists the sagas that you may see.",
	},
	codeMethodNotAllowed: {
		status: http.StatusMethodNotAllowed, title: "The resource does not take this method.",
		means:  "The path is one of the API's, but not with this method.",
		remedy: "The header `Allow` lists those that it takes.",
	},
	codeBodyTimeout: {
		status: http.StatusRequestTimeout, title: "The body did not arrive in time.",
		means:  "The body did not arrive within ten seconds, whatever the method.",
		remedy: "Send the request again, with its `Idempotency-Key`.",
	},
	codeInFlight: {
		status: http.StatusConflict, title: "The same request is being carried out.", retryAfter: 1,
		means:  "A request with the same `Idempotency-Key` is being carried out.",
		remedy: "Repeat it when `Retry-After` says: then its answer is there.",
	},
	codeOrderNotCompleted: {
		status: http.StatusConflict, title: "The order is not completed.",
		means:  "A return is for an order that is completed. This one still runs, or was undone.",
		remedy: "Cancel an order that runs: see [Steer](rest-api.md#steer). Of one that was undone there is nothing to return.",
	},
	codeTooLate: {
		status: http.StatusConflict, title: "It is too late to cancel.",
		means:  "The saga is past its point of no return (CapturePayment, RefundPayment), and goes on to its end.",
		remedy: "What an order brought can be taken back once it is completed, with a return.",
	},
	codeAlreadyEnded: {
		status: http.StatusConflict, title: "The saga has ended.",
		means:  "The saga has ended, so there is nothing to cancel, and nothing left that an act could change. `state` says how it ended.",
		remedy: "Nothing: it stays as it is. What is still wanted is ordered anew, with another `Idempotency-Key`.",
	},
	codeNotAwaited: {
		status: http.StatusConflict, title: "Nothing waits for this.",
		means:  "The saga does not wait for this: an approval, or the arrival of goods. It may not have come that far, somebody else may have been first, it may have ended, or it is of a type that never does.",
		remedy: "`waits` of the saga says what it waits for.",
	},
	codeActRefused: {
		status: http.StatusConflict, title: "The act does not fit the saga.",
		means:  "An operator's act does not fit where the saga stands: the step is not parked, or this is not what can be done about it. Nothing has changed.",
		remedy: "`detail` says what can be done; [what fits where](parked-sagas.md#what-you-can-do).",
	},
	codeTooManyUpdates: {
		status: http.StatusConflict, title: "The saga takes no more messages.",
		means:  "Temporal accepts 2,000 messages to one workflow (`history.maxTotalUpdates`), and this saga has had that many. It goes on, but takes no cancel, no decision and no act any more.",
		remedy: "[A saga that takes no more messages](parked-sagas.md#a-saga-that-takes-no-more-messages) says what still works. All of it needs access to Temporal.",
	},
	codePaused: {
		status: http.StatusConflict, title: "The saga's workflow is paused.",
		means:  "Somebody has paused the saga's workflow in Temporal, which lets no message through to it. Nothing has changed.",
		remedy: "Ask who paused it, and why. `temporal workflow unpause` lets it go on.",
	},
	codePreconditionFailed: {
		status: http.StatusPreconditionFailed, title: "The saga has changed.",
		means:  "The saga is not the one whose ETag the `If-Match` has: something has happened since. It may have been your own act, if that is repeated with another `Idempotency-Key` because its answer was lost.",
		remedy: "Look at the saga again, and decide anew. Its `acts` tell what was taken.",
	},
	codeBodyTooLarge: {
		status: http.StatusRequestEntityTooLarge, title: "The body is too large.",
		means:  "A body has at most one MiB.",
		remedy: "Send less. Nothing that the API reads needs as much.",
	},
	codeUnsupportedMedia: {
		status: http.StatusUnsupportedMediaType, title: "The body is not JSON.",
		means:  "The `Content-Type` says that the body is not JSON in UTF-8, or there is a `Content-Encoding`.",
		remedy: "Send JSON in UTF-8, with `Content-Type: application/json`, and not compressed.",
	},
	codeInvalid: {
		status: http.StatusUnprocessableEntity, title: "The body is well-formed, but some of it is not possible.",
		means:  "The body is well-formed, but some of it cannot be as it is.",
		remedy: "`errors` lists the faults, up to a hundred of them, each with a pointer to its place. Mend them all.",
	},
	codeUnknownOrder: {
		status: http.StatusUnprocessableEntity, title: "There is no such order.",
		means:  "A return names an order that does not exist, or that Temporal has forgotten (see [not_found](#not_found)).",
		remedy: "Name the order by the `id` that the API gave it.",
	},
	codeKeyReused: {
		status: http.StatusUnprocessableEntity, title: "The Idempotency-Key belongs to another request.",
		means:  "The `Idempotency-Key` was used for a request to this path with another body.",
		remedy: "Repeat that one exactly, or use another key.",
	},
	codePreconditionRequired: {
		status: http.StatusPreconditionRequired, title: "If-Match is missing.",
		means:  "An operator's act needs the saga's ETag as `If-Match`, so that nobody decides about a saga that has moved on.",
		remedy: "`GET /v1/sagas/{id}` has it.",
	},
	codeTooManyStreams: {
		status: http.StatusTooManyRequests, title: "Too many streams are open.", retryAfter: 5,
		means:  "One caller may have twenty streams of events open at a process of the API (`--streams-per-caller`).",
		remedy: "End one, or ask for news with `Prefer: wait` instead ([Watch](rest-api.md#watch)).",
	},
	codeTooManyWaits: {
		status: http.StatusTooManyRequests, title: "Too many answers wait.", retryAfter: 1,
		means:  "One caller may have 500 requests with `Prefer: wait` open at a process of the API (`--waits-per-caller`). This one had no effect.",
		remedy: "Ask without `Prefer: wait`, or when one of them is answered.",
	},
	codeTooManyRequests: {
		status: http.StatusTooManyRequests, title: "The caller asks too often.",
		means:  "The caller has made as many requests as it may for now.",
		remedy: "`Retry-After` says in how many seconds there is room again, and `RateLimit` of every answer how much is left. See [Limits](rest-api.md#limits).",
	},
	codeBusy: {
		status: http.StatusTooManyRequests, title: "The saga has too much to answer.", retryAfter: 1,
		means:  "Temporal takes ten messages to one workflow at a time (`history.maxInFlightUpdates`). That many were unanswered, and there was no room within five seconds. Nothing of this one has reached the saga.",
		remedy: "Repeat it unchanged after `Retry-After`. If it lasts, see whether a worker runs: `GET /readyz` tells.",
	},
	codeInternal: {
		status: http.StatusInternalServerError, title: "Something went wrong here.",
		means:  "Something went wrong in the API, which is a fault of its own.",
		remedy: "The cause is in the API's logs, under the `trace_id`. Repeating the request unchanged is harmless.",
	},
	codeNamespaceIncomplete: {
		status: http.StatusServiceUnavailable, title: "The namespace lacks search attributes.", retryAfter: 5,
		means:  "The namespace lacks a search attribute that sagas need, so none can be started.",
		remedy: "`detail` is the command that makes it; it can be used some seconds later.",
	},
	codeUnchecked: {
		status: http.StatusServiceUnavailable, title: "The credentials cannot be checked now.", retryAfter: 5,
		means:  "The issuer of the token does not answer, so nobody can say whether it is good.",
		remedy: "Try again after `Retry-After`. API keys do not need the issuer.",
	},
	codeNoWorker: {
		status: http.StatusServiceUnavailable, title: "No worker answers.", retryAfter: 5,
		means:  "No worker took the message within five seconds. It may still be taken when one comes, or be lost. Or the saga's workflow task fails, as after a deployment that does not fit its history; then Temporal lets no message through to it.",
		remedy: "Look at the saga, and ask again, which is harmless. If it lasts, see whether a worker runs: `GET /readyz` tells. `detail` says if one fails: its log says why ([runbook](runbooks/replay-difference.md)).",
	},
	codeUnavailable: {
		status: http.StatusServiceUnavailable, title: "Temporal is not available.", retryAfter: 5,
		means:  "Temporal did not answer in time.",
		remedy: "Repeat the request unchanged after `Retry-After`.",
	},
	codeAuditUnwritten: {
		status: http.StatusServiceUnavailable, title: "Acts cannot be written down.", retryAfter: 5,
		means:  "`GET /readyz` says that this process cannot write its [audit log](access.md#who-did-it), so that people should act elsewhere.",
		remedy: "Its log says why, and has what is missing. Once the file can be written, the lines that wait are, and it is ready again.",
	},
	codeStopping: {
		status: http.StatusServiceUnavailable, title: "The process stops.", retryAfter: 5,
		means:  "`GET /readyz` says that this process is about to stop, and takes no more requests soon. Until then it answers all of them, but for those whose body does not arrive.",
		remedy: "Ask another one: a load balancer that looks at `/readyz` does.",
	},
}

// Schema implements [huma.SchemaProvider].
func (Code) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, c := range slices.Sorted(maps.Keys(problems)) {
		s.Enum = append(s.Enum, string(c))
	}
	s.PrecomputeMessages()
	return s
}
