package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/amends-dev/amends/compensation"
)

// sagasPath is where every saga is under its workflow ID, whatever it is about.
const sagasPath = "/v1/sagas"

func (s *server) routeSagas(api huma.API) {
	tags := []string{"sagas"}
	register(s, api, huma.Operation{
		OperationID: "list-sagas", Method: http.MethodGet, Path: sagasPath, Tags: tags,
		Summary: "List sagas",
		Description: listOrder + " With sort=parked_since, parked sagas come in the order of since when they wait, as long as fewer than " +
			strconv.Itoa(maxSorted) + " match.",
	}, []Code{codeBadParameter, codeUnavailable}, s.listSagas)
	register(s, api, huma.Operation{
		OperationID: "get-saga", Method: http.MethodGet, Path: sagasPath + "/{id}", Tags: tags,
		Summary: "Show a saga, step by step", Description: "As its order or return shows it. Its ETag is what operators' acts need.",
		Responses: notModified(),
	}, []Code{codeNotFound, codeUnavailable}, s.getSaga)
	register(s, api, huma.Operation{
		OperationID: "cancel-saga", Method: http.MethodPost, Path: sagasPath + "/{id}/cancel", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary:     "Cancel a saga",
		Description: "Turns it back, as canceling its order or return does: everything that was done is undone. Possible until its pivot. " + cancelDoubt,
	}, cancelCodes, s.cancelSaga)
	register(s, api, huma.Operation{
		OperationID: "decide-saga", Method: http.MethodPost, Path: sagasPath + "/{id}/approval", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary:     "Approve or reject what a saga waits for",
		Description: "Decides a saga that waits for a person, such as an order that fraud screening doubts.",
	}, tellCodes, s.decideSaga)

	act := func(id, path, summary, description string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: sagasPath + "/{id}" + path, Tags: tags, DefaultStatus: http.StatusOK,
			Summary: summary,
			Description: strings.TrimSpace(description + " What is done, by whom and why stays in the saga's history. " +
				"Send the saga's ETag as If-Match, so that you decide about the saga that you saw."),
		}
	}
	codes := append([]Code{codeNotFound, codeActRefused, codeAlreadyEnded, codePreconditionFailed, codePreconditionRequired}, messageCodes...)
	register(s, api, act("retry-step", "/steps/{step}/retry", "Try a parked step again, or its undo",
		"With an `input`, the step is asked for that instead; only after the pivot, since before it the saga would turn back."), codes, s.retryStep)
	register(s, api, act("skip-step", "/steps/{step}/skip", "Go on without a parked step, or without its undo",
		"The effect of a step whose undo is skipped stands, and the saga ends as compensated_with_exceptions. A step that is skipped has an empty result."),
		codes, s.skipStep)
	register(s, api, act("mark-step-done", "/steps/{step}/mark-done", "Go on because a parked step, or its undo, was done by hand",
		"Refused for a pivot's undo: there the saga has to know whether the pivot itself happened."), codes, s.markStepDone)
	register(s, api, act("mark-pivot-happened", "/steps/{step}/mark-happened", "Say that the pivot happened, so that the saga goes forward",
		"For a pivot whose undo is parked, when its service or its books say that the pivot took effect. Nothing is undone: the saga goes on to its end, "+
			"with the result that you give."), codes, s.markHappened)
	register(s, api, act("mark-pivot-prevented", "/steps/{step}/mark-prevented", "Say that the pivot never happens, so that the saga undoes everything",
		"For a pivot whose undo is parked, when its service or its books say that the pivot has no effect, and somebody made sure that it cannot have one later. "+
			"Everything before it is undone."), codes, s.markPrevented)
	register(s, api, act("extend-deadline", "/extend-deadline", "Give a saga more time",
		"For a saga that has a deadline and did not turn back; one that its deadline has parked goes on."), codes, s.extendDeadline)
}

// sagasInput asks for a page of the sagas that match.
type sagasInput struct {
	Filter
	Paging
	Sort string `query:"sort" enum:"parked_since" doc:"parked_since: those that wait longest first, with state=parked. Default: newest first."`
}

func (s *server) listSagas(ctx context.Context, in *sagasInput) (*listOutput, error) {
	if in.Sort != "" {
		return s.longestParked(ctx, in)
	}
	return s.page(ctx, in.Filter, in.Paging, s.sagaItem)
}

// findSaga is the collection of the saga with that workflow ID, and its ID there.
func findSaga(workflowID string) (collection, string, error) {
	for _, c := range collections {
		if id, ok := strings.CutPrefix(workflowID, c.workflowID("")); ok {
			return c, id, nil
		}
	}
	return collection{}, "", errNoSuchID
}

// sagaView is any saga.
type sagaView view[json.RawMessage]

// sagaInput asks for a saga, or for news of it.
type sagaInput struct {
	ID string `path:"id" doc:"The saga." example:"order-42"`
	News
}

func (s *server) getSaga(ctx context.Context, in *sagaInput) (*showOutput[sagaView], error) {
	c, id, err := findSaga(in.ID)
	if err != nil {
		return nil, err
	}
	return news(ctx, s, c, id, &in.News, views[sagaView]{
		show: func(ctx context.Context, status compensation.Status) (*sagaView, error) {
			return s.sagaViewOf(ctx, c, id, status)
		},
		shared: func(n snapshot) (*sagaView, string, error) { return n.view, `"` + n.id + `"`, nil },
	})
}

func (s *server) saga(ctx context.Context, c collection, id string) (*sagaView, error) {
	status, err := s.status(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return s.sagaViewOf(ctx, c, id, status)
}

func (s *server) sagaViewOf(ctx context.Context, c collection, id string, status compensation.Status) (*sagaView, error) {
	v, err := viewOf[json.RawMessage](ctx, s, c, id, status)
	if err != nil {
		return nil, err
	}
	v.ID = c.workflowID(id)
	v.Links = v.Links.amongSagas()
	return (*sagaView)(&v), nil
}

type sagaCancelInput struct {
	ID   string `path:"id" doc:"The saga." example:"order-42"`
	Body *cancelRequest
}

func (s *server) cancelSaga(ctx context.Context, in *sagaCancelInput) (*acceptedOutput, error) {
	out, err := s.cancel(ctx, in.ID, in.Body.request())
	return out.amongSagas(in.ID), err
}

type sagaApprovalInput struct {
	ID   string `path:"id" doc:"The saga." example:"order-42"`
	Body approvalRequest
}

func (s *server) decideSaga(ctx context.Context, in *sagaApprovalInput) (*acceptedOutput, error) {
	out, err := s.decide(ctx, in.ID, in.Body)
	return out.amongSagas(in.ID), err
}

// stepActInput is an act about a step, with what it says.
type stepActInput[B any] struct {
	ID      string `path:"id" doc:"The saga." example:"order-42"`
	Step    string `path:"step" maxLength:"200" doc:"The step." example:"ReserveStock"`
	Item    string `query:"item" maxLength:"64" doc:"Which of the step's repeats."`
	IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of the saga as you saw it." example:"\"0Kc9bRkDVnhdWvyh\""`
	Body    B
}

type retryRequest struct {
	By     string          `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who decides. Default: the caller, who is named in any case." example:"grace"`
	Reason string          `json:"reason,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Why. Required with an input." example:"the service is mended"`
	Input  json.RawMessage `json:"input,omitempty" doc:"What to ask the step for instead. It is checked as the step's own input is."`
}

type skipRequest struct {
	By     string `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who decides. Default: the caller, who is named in any case." example:"grace"`
	Reason string `json:"reason" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Why." example:"the goods are lost"`
}

type markDoneRequest struct {
	By        string          `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who decides. Default: the caller, who is named in any case." example:"grace"`
	Reason    string          `json:"reason" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Why." example:"released at the desk"`
	Reference string          `json:"reference" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Where it is written down." example:"T-17"`
	Result    json.RawMessage `json:"result,omitempty" doc:"The step's result, if later steps use it. Default: the empty one."`
}

type markHappenedRequest struct {
	By        string          `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who decides. Default: the caller, who is named in any case." example:"grace"`
	Reason    string          `json:"reason" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"How you know that it happened." example:"the bank's statement has the charge"`
	Reference string          `json:"reference" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Where it is written down." example:"T-17"`
	Result    json.RawMessage `json:"result,omitempty" doc:"What the pivot returned, which later steps may use. Default: the empty result."`
}

type markPreventedRequest struct {
	By        string `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who decides. Default: the caller, who is named in any case." example:"grace"`
	Reason    string `json:"reason" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"How you know that it has not happened, and why it cannot happen later." example:"the bank has no charge and has blocked the reference"`
	Reference string `json:"reference" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Where it is written down." example:"T-17"`
}

func (s *server) retryStep(ctx context.Context, in *stepActInput[retryRequest]) (*actOutput, error) {
	name := compensation.UpdateRetry
	if len(in.Body.Input) > 0 {
		name = compensation.UpdateRetryWithInput
	}
	return s.act(ctx, in.ID, in.IfMatch, name, compensation.Act{
		Step: in.Step, Item: in.Item, By: in.Body.By, Reason: in.Body.Reason, Input: in.Body.Input,
	})
}

func (s *server) skipStep(ctx context.Context, in *stepActInput[skipRequest]) (*actOutput, error) {
	return s.act(ctx, in.ID, in.IfMatch, compensation.UpdateSkip, compensation.Act{
		Step: in.Step, Item: in.Item, By: in.Body.By, Reason: in.Body.Reason,
	})
}

func (s *server) markStepDone(ctx context.Context, in *stepActInput[markDoneRequest]) (*actOutput, error) {
	return s.act(ctx, in.ID, in.IfMatch, compensation.UpdateMarkDone, compensation.Act{
		Step: in.Step, Item: in.Item, By: in.Body.By, Reason: in.Body.Reason, Reference: in.Body.Reference, Result: in.Body.Result,
	})
}

func (s *server) markHappened(ctx context.Context, in *stepActInput[markHappenedRequest]) (*actOutput, error) {
	return s.act(ctx, in.ID, in.IfMatch, compensation.UpdateMarkHappened, compensation.Act{
		Step: in.Step, Item: in.Item, By: in.Body.By, Reason: in.Body.Reason, Reference: in.Body.Reference, Result: in.Body.Result,
	})
}

func (s *server) markPrevented(ctx context.Context, in *stepActInput[markPreventedRequest]) (*actOutput, error) {
	return s.act(ctx, in.ID, in.IfMatch, compensation.UpdateMarkPrevented, compensation.Act{
		Step: in.Step, Item: in.Item, By: in.Body.By, Reason: in.Body.Reason, Reference: in.Body.Reference,
	})
}

type extendInput struct {
	ID      string `path:"id" doc:"The saga." example:"order-42"`
	IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of the saga as you saw it." example:"\"0Kc9bRkDVnhdWvyh\""`
	Body    struct {
		By       string    `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who decides. Default: the caller, who is named in any case." example:"grace"`
		Reason   string    `json:"reason" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Why." example:"the service is being mended"`
		Deadline time.Time `json:"deadline" doc:"The new deadline." example:"2027-01-31T12:00:00Z"`
	} `nameHint:"ExtendDeadlineRequest"`
}

func (s *server) extendDeadline(ctx context.Context, in *extendInput) (*actOutput, error) {
	// The saga refuses a deadline that is past: this may be a repeat, with its key, from a time when it was to come.
	if now := time.Now(); in.Body.Deadline.After(now) {
		if faults := deadlineFaults(&in.Body.Deadline, now); len(faults) > 0 {
			return nil, &failure{code: codeInvalid, detail: "Some fields cannot be as they are.", faults: faults}
		}
	}
	return s.act(ctx, in.ID, in.IfMatch, compensation.UpdateExtendDeadline, compensation.Act{
		By: in.Body.By, Reason: in.Body.Reason, Deadline: in.Body.Deadline,
	})
}

// actOutput is the saga after an operator's act.
type actOutput struct {
	ETag               string `header:"ETag" doc:"Stands for the saga as it is now."`
	IdempotentReplayed string `header:"Idempotent-Replayed" enum:"true" doc:"The request was taken before, and this is the saga now."`
	Body               *sagaView
}

// act carries out an operator's act on the saga, if it is still the one that the operator saw.
func (s *server) act(ctx context.Context, workflowID, ifMatch, name string, a compensation.Act) (_ *actOutput, err error) {
	a.By = actor(ctx, a.By)
	defer func() { s.audit(ctx, deed{act: name, saga: workflowID, step: a.Step, by: a.By, reason: a.Reason}, err) }()
	c, id, err := findSaga(workflowID)
	if err != nil {
		return nil, err
	}
	check := func(at compensation.Status) (any, error) {
		// Another act may come between here and the saga; the saga detects that.
		acts := len(at.Acts)
		ifSeen := a
		ifSeen.IfActs = &acts
		return ifSeen, s.checkSeen(ctx, c, id, at, ifMatch)
	}
	// It may be answered late, when what follows from it takes long; the saga tells.
	o, err := s.update(ctx, c, id, update{name: name, arg: a, check: check, refused: hasEnded}, nil)
	if err != nil {
		return nil, err
	}
	now, tag, err := s.tagged(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return &actOutput{ETag: tag, IdempotentReplayed: replayed(o.before), Body: now}, nil
}

// checkSeen refuses an act on a saga other than the one that its operator saw.
func (s *server) checkSeen(ctx context.Context, c collection, id string, at compensation.Status, ifMatch string) error {
	seen, err := s.sagaViewOf(ctx, c, id, at)
	if err != nil {
		return err
	}
	tag, err := tagOf(seen)
	if err != nil {
		return err
	}
	switch {
	case ifMatch == "" || strings.TrimSpace(ifMatch) == "*": // which names no version
		return &failure{
			code: codePreconditionRequired, state: compensation.State(seen.State),
			detail: "Send the saga's ETag as If-Match: " + seen.Links.Self + " has it.",
		}
	case !matchesStrongly(ifMatch, tag):
		return hasChanged(compensation.State(seen.State))
	}
	return nil
}

func hasChanged(at compensation.State) *failure {
	return &failure{code: codePreconditionFailed, state: at, detail: "The saga is not as you saw it any more. Look at it again, and decide anew."}
}

// tagged is the saga with its ETag.
func (s *server) tagged(ctx context.Context, c collection, id string) (*sagaView, string, error) {
	v, err := s.saga(ctx, c, id)
	if err != nil {
		return nil, "", err
	}
	tag, err := tagOf(v)
	return v, tag, err
}

func hasEnded(at compensation.State) *failure {
	return &failure{code: codeAlreadyEnded, state: at, detail: "The saga has ended already: it is " + string(at) + "."}
}
