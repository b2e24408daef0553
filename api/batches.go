package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// batchesPath is where acts on many sagas are.
const batchesPath = "/v1/batches"

func (s *server) routeBatches(api huma.API) {
	tags := []string{"batches"}
	register(s, api, huma.Operation{
		OperationID: "start-batch", Method: http.MethodPost, Path: batchesPath, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Do the same to many sagas",
		Description: "To all that match the filter and have not ended, one after the other. A saga that refuses is reported, and the batch goes on. " +
			"With `dry_run`, they are only counted; its " + keyHeader + " is not remembered, since nothing is done.",
		Responses: batchResponses(api),
	}, []Code{codeUnavailable}, s.createBatch)
	register(s, api, huma.Operation{
		OperationID: "get-batch", Method: http.MethodGet, Path: batchesPath + "/{id}", Tags: tags,
		Summary: "Show how far a batch has come", Description: "Also while no worker runs.",
	}, []Code{codeNotFound, codeUnavailable}, s.getBatch)
	register(s, api, huma.Operation{
		OperationID: "cancel-batch", Method: http.MethodPost, Path: batchesPath + "/{id}/cancel", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Stop a batch", Description: "What it has done stays done. It stops within a quarter of a minute, and harmlessly again when it has ended. It takes no body.",
		Middlewares: huma.Middlewares{s.takesNoBody},
	}, []Code{codeNotFound, codeUnavailable}, s.cancelBatch)
}

// batchResponses describe the two answers to the start of a batch.
func batchResponses(api huma.API) map[string]*huma.Response {
	describe := func(text string, body reflect.Type) *huma.Response {
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{
			"application/json": {Schema: api.OpenAPI().Components.Schemas.Schema(body, true, "")},
		}}
	}
	started := describe("The batch runs.", reflect.TypeFor[batch]())
	started.Headers = map[string]*huma.Param{
		"Location":            {Description: "The batch.", Schema: &huma.Schema{Type: huma.TypeString}},
		"Idempotent-Replayed": replayedParameter(),
	}
	return map[string]*huma.Response{"200": describe("So many sagas match now; nothing is done.", reflect.TypeFor[batchCount]()), "202": started}
}

type batchInput struct{ Body batchRequest }

// batchRequest is an act, and the sagas that it is for.
type batchRequest struct {
	Act       string     `json:"act" enum:"cancel,retry,skip,mark-done,extend-deadline" doc:"What to do, as for one saga."`
	Filter    Filter     `json:"filter" doc:"To which sagas. It must choose: one that leaves nothing out is refused."`
	Step      string     `json:"step,omitempty" maxLength:"200" doc:"The parked step that the act is about. Default: whichever is parked, in sagas where only one is." example:"ReserveStock"`
	Item      string     `json:"item,omitempty" maxLength:"64" doc:"Which of the step's repeats."`
	By        string     `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who decides. Default: the caller, who is named in any case." example:"grace"`
	Reason    string     `json:"reason" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Why." example:"the service is mended"`
	Reference string     `json:"reference,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Where it is written down. Required for mark-done." example:"T-17"`
	Deadline  *time.Time `json:"deadline,omitempty" doc:"The new deadline. Required for extend-deadline." example:"2027-01-31T12:00:00Z"`
	PerSecond int        `json:"per_second,omitempty" default:"10" minimum:"1" maximum:"100" doc:"To how many sagas a second at most."`
	DryRun    bool       `json:"dry_run,omitempty" doc:"Only count the sagas."`
}

// batchCount is the answer to a dry run.
type batchCount struct {
	Matched int64 `json:"matched" doc:"How many sagas match, and have not ended."`
}

// batch is an act on many sagas, and how far it has come.
type batch struct {
	ID        string         `json:"id"`
	State     string         `json:"state" enum:"running,completed,canceled,failed" doc:"completed: every saga was asked. canceled: stopped by somebody. failed: ended from outside, or by a defect."`
	Act       string         `json:"act" enum:"cancel,retry,skip,mark-done,extend-deadline"`
	Filter    Filter         `json:"filter"`
	Step      string         `json:"step,omitempty" example:"ReserveStock"`
	Item      string         `json:"item,omitempty"`
	By        string         `json:"by" example:"grace"`
	Reason    string         `json:"reason" example:"the service is mended"`
	Reference string         `json:"reference,omitempty" example:"T-17"`
	Deadline  *time.Time     `json:"deadline,omitempty"`
	Matched   int64          `json:"matched" doc:"How many sagas matched when it started."`
	Done      int            `json:"done" doc:"How many took the act so far."`
	Failed    int            `json:"failed" doc:"How many did not."`
	Failures  []batchFailure `json:"failures" nullable:"false" doc:"The first thousand of those."`
	StartedAt time.Time      `json:"started_at"`
	EndedAt   *time.Time     `json:"ended_at,omitempty"`
	Links     batchLinks     `json:"links"`
}

// batchFailure is a saga that did not take the act.
type batchFailure struct {
	Saga   string `json:"saga" example:"order-42"`
	Reason string `json:"reason" doc:"Why."`
	Link   string `json:"link" format:"uri-reference" doc:"The saga."`
}

type batchLinks struct {
	Self   string `json:"self" format:"uri-reference"`
	Cancel string `json:"cancel,omitempty" format:"uri-reference" doc:"Where to stop it, while it runs."`
	WebUI  string `json:"web_ui,omitempty" format:"uri" doc:"Its page in the Temporal Web UI."`
}

// check finds faults that the description does not.
func (r batchRequest) check(now time.Time) []Fault {
	var faults []Fault
	aboutStep := r.Act != compensation.UpdateCancel && r.Act != compensation.UpdateExtendDeadline
	if r.Filter == (Filter{}) {
		faults = append(faults, Fault{Pointer: "/filter", Detail: "chooses every saga there is"})
	}
	if !aboutStep && (r.Step != "" || r.Item != "") {
		faults = append(faults, Fault{Pointer: "/step", Detail: r.Act + " is about the saga and not about a step"})
	}
	if aboutStep && r.Step != "" && !hasStep(workflowTypes(), r.Step) {
		faults = append(faults, Fault{Pointer: "/step", Detail: "is no step of any saga"})
	}
	if r.Act == compensation.UpdateMarkDone && r.Reference == "" {
		faults = append(faults, Fault{Pointer: "/reference", Detail: "is missing"})
	}
	if r.Act == compensation.UpdateExtendDeadline {
		faults = append(faults, deadlineFaults(cmp.Or(r.Deadline, &time.Time{}), now)...)
	}
	return faults
}

// deadlineFaults returns the faults of a new deadline. Temporal would silently shorten one that is too far away.
func deadlineFaults(deadline *time.Time, now time.Time) []Fault {
	latest := now.Add(compensation.MaxWait)
	switch {
	case !deadline.After(now):
		return []Fault{{Pointer: "/deadline", Detail: "must be in the future"}}
	case deadline.After(latest):
		return []Fault{{Pointer: "/deadline", Detail: "must be before " + latest.UTC().Format(time.RFC3339) + ", the latest that Temporal keeps"}}
	}
	return nil
}

// batchOutput is the answer to a request for a batch.
type batchOutput struct {
	Status             int
	Location           string `header:"Location" doc:"The batch."`
	IdempotentReplayed string `header:"Idempotent-Replayed" enum:"true" doc:"The request was taken before, and this is its answer again."`
	Body               any
}

func (s *server) createBatch(ctx context.Context, in *batchInput) (_ *batchOutput, err error) {
	id, by := commandOf(ctx).id(), actor(ctx, in.Body.By)
	defer func() {
		if !in.Body.DryRun || err != nil {
			s.audit(ctx, deed{
				act: "batch of " + in.Body.Act, saga: workflows.BatchWorkflowID(id), step: in.Body.Step, by: by, reason: in.Body.Reason,
			}, err)
		}
	}()
	fingerprint, err := commandOf(ctx).fingerprint(in.Body)
	if err != nil {
		return nil, err
	}
	// A repeat gets the answer of its batch, even if by now a new batch would be refused.
	if _, before, err := s.startedBy(ctx, workflows.BatchWorkflowID(id), fingerprint); err != nil || before {
		return s.startedBatch(ctx, id, before, err)
	}
	now := time.Now().UTC()
	faults := in.Body.check(now)
	query, inFilter := in.Body.Filter.visibility(callerOf(ctx))
	for _, f := range inFilter {
		faults = append(faults, Fault{Pointer: "/filter/" + f.Parameter, Detail: f.Detail})
	}
	if len(faults) > 0 {
		return nil, &failure{code: codeInvalid, detail: "Some fields cannot be as they are.", faults: faults}
	}
	// Of those that start later there would be no end, and one that has ended takes no act.
	query += " AND ExecutionStatus = 'Running' AND StartTime <= " + timeLiteral(now)
	matched, err := s.countMatching(ctx, query)
	if err != nil {
		return nil, err
	}
	if in.Body.DryRun {
		return &batchOutput{Status: http.StatusOK, Body: batchCount{Matched: matched}}, nil
	}
	filter, err := json.Marshal(in.Body.Filter)
	if err != nil {
		return nil, fmt.Errorf("filter of a batch: %w", err)
	}
	act := compensation.Act{
		Step: in.Body.Step, Item: in.Body.Item, By: by, Reason: in.Body.Reason, Reference: in.Body.Reference,
	}
	if in.Body.Deadline != nil {
		act.Deadline = in.Body.Deadline.UTC()
	}
	b := workflows.Batch{Name: in.Body.Act, Act: act, Filter: filter, StartedAt: now, Matched: matched}
	_, before, err := s.once(ctx, client.StartWorkflowOptions{
		ID: workflows.BatchWorkflowID(id),
		TypedSearchAttributes: temporal.NewSearchAttributes(
			workflows.SearchAttributeTenant.ValueSet(callerOf(ctx).Tenant), workflows.SearchAttributeStarter.ValueSet(callerOf(ctx).ID())),
		Memo:          map[string]any{workflows.MemoBatch: b},
		StaticSummary: fmt.Sprintf("%s of %s, by %s", b.Name, count(int(matched), "saga"), compensation.EscapeMarkdown(b.Act.By)),
	}, in.Body, workflows.TypeActOnSagas, workflows.BatchInput{Query: query, PerSecond: in.Body.PerSecond, Batch: b})
	return s.startedBatch(ctx, id, before, err)
}

// startedBatch returns the answer to the start of a batch, or its error.
func (s *server) startedBatch(ctx context.Context, id string, before bool, err error) (*batchOutput, error) {
	if err != nil {
		return nil, err
	}
	started, err := s.showBatch(ctx, id)
	if err != nil {
		return nil, err
	}
	return &batchOutput{Status: http.StatusAccepted, Location: started.Links.Self, IdempotentReplayed: replayed(before), Body: started}, nil
}

const batchRunning = "running"

// batch shows the batch.
func (s *server) batch(id, state string, b workflows.Batch) (batch, error) {
	v := batch{
		ID: id, State: state, Act: b.Name, Step: b.Act.Step, Item: b.Act.Item, By: b.Act.By, Reason: b.Act.Reason,
		Reference: b.Act.Reference, Deadline: optional(b.Act.Deadline), Matched: b.Matched, Done: b.Done, Failed: b.Failed,
		Failures: make([]batchFailure, len(b.Failures)), StartedAt: b.StartedAt.UTC(),
		Links: batchLinks{Self: batchesPath + "/" + id, WebUI: s.webUI(workflows.BatchWorkflowID(id))},
	}
	if err := json.Unmarshal(b.Filter, &v.Filter); err != nil {
		return batch{}, fmt.Errorf("filter of batch %s: %w", id, err)
	}
	for i, f := range b.Failures {
		v.Failures[i] = batchFailure{Saga: f.Saga, Reason: f.Reason, Link: sagasPath + "/" + f.Saga}
	}
	if state == batchRunning {
		v.Links.Cancel = v.Links.Self + cancelPath
	}
	return v, nil
}

type batchIDInput struct {
	ID string `path:"id" doc:"The batch." example:"bf8b9d55-2c9d-8152-b7d1-4baf78cf77ea"`
}

type batchView struct{ Body batch }

func (s *server) getBatch(ctx context.Context, in *batchIDInput) (*batchView, error) {
	v, err := s.showBatch(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &batchView{Body: v}, nil
}

// showBatch reads the batch.
func (s *server) showBatch(ctx context.Context, id string) (batch, error) {
	info, err := s.describeBatch(ctx, id)
	if err != nil {
		return batch{}, err
	}
	var b workflows.Batch
	if err := converter.GetDefaultDataConverter().FromPayload(info.GetMemo().GetFields()[workflows.MemoBatch], &b); err != nil {
		return batch{}, fmt.Errorf("memo of batch %s: %w", id, err)
	}
	v, err := s.batch(id, batchState(info.GetStatus()), b)
	if err == nil && info.GetCloseTime() != nil {
		v.EndedAt = optional(info.GetCloseTime().AsTime())
	}
	return v, err
}

func batchState(status enumspb.WorkflowExecutionStatus) string {
	switch status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:
		return batchRunning
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return "completed"
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return "canceled"
	default:
		return "failed"
	}
}

func (s *server) describeBatch(ctx context.Context, id string) (*workflowpb.WorkflowExecutionInfo, error) {
	if _, err := order.ParseID(id); err != nil {
		return nil, errNoSuchID
	}
	d, err := s.temporal.DescribeWorkflowExecution(ctx, workflows.BatchWorkflowID(id), "")
	if err != nil {
		return nil, fmt.Errorf("describe batch %s: %w", id, err)
	}
	if !sees(callerOf(ctx), d.GetWorkflowExecutionInfo()) {
		return nil, errNoSuchID
	}
	return d.GetWorkflowExecutionInfo(), nil
}

// takesNoBody refuses a request with a body: otherwise two requests with one key might not ask for the same.
func (s *server) takesNoBody(answer huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(answer)
	body, err := io.ReadAll(r.Body)
	if err == nil {
		switch string(bytes.TrimSpace(body)) {
		case "", "{}":
			next(answer)
			return
		}
		err = &failure{code: codeMalformed, detail: "This takes no body: leave it out."}
	}
	writeProblem(w, s.problem(answer.Context(), err))
}

func (s *server) cancelBatch(ctx context.Context, in *batchIDInput) (_ *batchView, err error) {
	defer func() {
		s.audit(ctx, deed{act: "cancel", saga: workflows.BatchWorkflowID(in.ID), by: callerOf(ctx).Name}, err)
	}()
	info, err := s.describeBatch(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if info.GetCloseTime() == nil {
		err := s.temporal.CancelWorkflow(ctx, workflows.BatchWorkflowID(in.ID), "")
		if err != nil && !errors.As(err, new(*serviceerror.NotFound)) { // it ended between the two calls
			return nil, fmt.Errorf("cancel batch %s: %w", in.ID, err)
		}
	}
	return s.getBatch(ctx, in)
}
