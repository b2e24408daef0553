package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// collection is one of the API's two collections of sagas.
type collection struct {
	path string
	// noun is what one saga of it is called.
	noun         string
	workflowType string
	workflowID   func(id string) string
	plan         *compensation.Plan
	matters      []matter
	// schema is the name of what starts one, in the API's description.
	schema string
	// awaits is the update that its sagas may wait for.
	awaits string
	// insteadOfCancel says what to do when it is too late to cancel.
	insteadOfCancel string
}

// find is the workflow ID of the saga with the ID that a caller gave. One that no saga can have is not found.
func (c collection) find(id string) (string, error) {
	if _, err := order.ParseID(id); err != nil {
		return "", errNoSuchID
	}
	return c.workflowID(id), nil
}

var errNoSuchID = &failure{code: codeNotFound, detail: "Nothing has this ID."}

func (c collection) resource(id string) string { return c.path + "/" + id }

// idOf is the resource's ID in a workflow ID.
func (c collection) idOf(workflowID string) string {
	return strings.TrimPrefix(workflowID, c.workflowID(""))
}

// start is a request for a saga.
type start struct {
	id string
	// request is what the caller asked for: the same key with an equal request is the same saga.
	request any
	input   any
	// customer is the ID of the saga's customer; empty if it is not known, or a guest.
	customer string
	// tenant is whose saga it is.
	tenant string
	// summary is one line of Markdown for the Web UI.
	summary string
}

// taken is a saga that a request has started.
type taken struct {
	accepted

	runID string
	// before is set if it was started by an equal request before.
	before bool
}

// start starts the saga, or finds it started by an equal request before.
func (s *server) start(ctx context.Context, c collection, st start) (taken, error) {
	attributes := []temporal.SearchAttributeUpdate{
		compensation.SearchAttributeState.ValueSet(string(compensation.Running)),
		workflows.SearchAttributeTenant.ValueSet(st.tenant),
		workflows.SearchAttributeStarter.ValueSet(callerOf(ctx).ID()),
	}
	if st.customer != "" {
		attributes = append(attributes, workflows.SearchAttributeCustomer.ValueSet(order.CustomerKey(st.customer)))
	}
	runID, before, err := s.once(ctx, client.StartWorkflowOptions{
		ID:                    c.workflowID(st.id),
		TypedSearchAttributes: temporal.NewSearchAttributes(attributes...),
		StaticSummary:         st.summary,
		EnableEagerStart:      s.options.EagerStart,
		WorkflowTaskTimeout:   workflows.TaskTimeout,
	}, st.request, c.workflowType, st.input)
	if errors.Is(err, errKeyReused) {
		err = about(err, c.workflowID(st.id))
	}
	if err != nil {
		return taken{}, err
	}
	learn(ctx).saga = c.workflowID(st.id)
	if !before {
		s.meters.start(ctx, c.workflowType)
	}
	// Also another time it is answered as the first time, to the letter.
	return taken{accepted: s.accepted(c, st.id, runID, compensation.Running), runID: runID, before: before}, nil
}

// once starts the workflow, whose ID follows from the request's key. before tells that an equal request has started it.
func (s *server) once(ctx context.Context, o client.StartWorkflowOptions, request any, kind string, input any) (runID string, before bool, _ error) {
	command := commandOf(ctx)
	fingerprint, err := command.fingerprint(request)
	if err != nil {
		return "", false, err
	}
	leave, err := s.flights.enter(command)
	if err != nil {
		return "", false, err
	}
	defer leave()
	o.TaskQueue = workflows.TaskQueue
	// A saga's effects are named after its ID, so there is one for each ID, ever.
	o.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	o.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	o.WorkflowExecutionErrorWhenAlreadyStarted = true
	if o.Memo == nil {
		o.Memo = map[string]any{}
	}
	o.Memo[workflows.MemoFingerprint] = fingerprint
	run, err := s.temporal.ExecuteWorkflow(ctx, o, kind, input)
	if err == nil {
		return run.GetRunID(), false, nil
	}
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if !errors.As(err, &started) {
		return "", false, fmt.Errorf("start %s %s: %w", kind, o.ID, err)
	}
	runID, before, err = s.startedBy(ctx, o.ID, fingerprint)
	if err == nil && !before {
		// It was there a moment ago, so this is no fault of the caller's.
		err = fmt.Errorf("%s was started before, but is not there", o.ID)
	}
	return runID, before, err
}

// startedBy finds the workflow, if a request with that fingerprint started it. If another request did, the error is
// [errKeyReused].
func (s *server) startedBy(ctx context.Context, workflowID, fingerprint string) (runID string, found bool, _ error) {
	d, err := s.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	switch {
	case errors.As(err, new(*serviceerror.NotFound)):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("describe %s: %w", workflowID, err)
	case memo(d.GetWorkflowExecutionInfo(), workflows.MemoFingerprint) != fingerprint:
		return "", false, errKeyReused
	}
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId(), true, nil
}

// look asks Temporal for the saga. The error for an unknown ID is a [*serviceerror.NotFound]; so it is for a saga that the
// caller does not see.
func (s *server) look(ctx context.Context, c collection, id string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	d, err := s.lookFor(ctx, c, id)
	if err != nil {
		return nil, err
	}
	if err := seen(ctx, c, id, d.GetWorkflowExecutionInfo()); err != nil {
		return nil, err
	}
	learn(ctx).saga = c.workflowID(id)
	return d, nil
}

// seen is nil if the caller sees the saga, and otherwise the error of one that is not there.
func seen(ctx context.Context, c collection, id string, info *workflowpb.WorkflowExecutionInfo) error {
	if !sees(callerOf(ctx), info) {
		return serviceerror.NewNotFound(c.noun + " " + id + " is somebody else's")
	}
	return nil
}

// lookFor is look for everybody.
func (s *server) lookFor(ctx context.Context, c collection, id string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	workflowID, err := c.find(id)
	if err != nil {
		return nil, err
	}
	d, err := s.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return nil, fmt.Errorf("describe %s %s: %w", c.noun, id, err)
	}
	return d, nil
}

// describe is what Temporal says of the saga; its errors are those of look.
func (s *server) describe(ctx context.Context, c collection, id string) (*workflowpb.WorkflowExecutionInfo, error) {
	d, err := s.look(ctx, c, id)
	return d.GetWorkflowExecutionInfo(), err
}

// status is how the saga stands; its errors are those of look.
func (s *server) status(ctx context.Context, c collection, id string) (compensation.Status, error) {
	d, err := s.look(ctx, c, id)
	if err != nil {
		return compensation.Status{}, err
	}
	return compensation.ReadDescribed(ctx, s.temporal, c.plan, d)
}

// cancel asks the saga to turn back, and returns its state then. A saga that lost a record first has to find out whether
// its pivot happened; if that takes long, the answer is that it is undecided.
func (s *server) cancel(ctx context.Context, workflowID string, r compensation.CancelRequest) (_ *acceptedOutput, err error) {
	r.By = actor(ctx, r.By)
	defer func() { s.audit(ctx, deed{act: "cancel", saga: workflowID, by: r.By, reason: r.Reason}, err) }()
	c, id, err := findSaga(workflowID)
	if err != nil {
		return nil, err
	}
	var state compensation.State
	o, err := s.update(ctx, c, id, update{name: compensation.UpdateCancel, arg: r, refused: c.tooLateToCancel}, &state)
	if err != nil {
		return nil, err
	}
	if o.answered && !o.before {
		return acceptedBy(s.accepted(c, id, "", state), o), nil
	}
	out, err := s.acceptedAsItIs(ctx, c, id, o) // a repeat gets the present state, not that of the first answer
	if err == nil {
		out.Body.Undecided = !o.answered && !compensation.State(out.Body.State).Ended()
	}
	return out, err
}

// tell does the deed: it gives the saga something that it waits for, and returns its state afterwards.
func (s *server) tell(ctx context.Context, name string, message any, d deed) (_ *acceptedOutput, err error) {
	defer func() { s.audit(ctx, d, err) }()
	c, id, err := findSaga(d.saga)
	if err != nil {
		return nil, err
	}
	check := func(at compensation.Status) (any, error) {
		if name != c.awaits {
			return nil, notAwaited(at.State)
		}
		return message, nil
	}
	o, err := s.update(ctx, c, id, update{name: name, arg: message, check: check, refused: notAwaited}, nil)
	if err != nil {
		return nil, err
	}
	return s.acceptedAsItIs(ctx, c, id, o)
}

// acceptedAsItIs is the answer of a saga that did not say how it stands.
func (s *server) acceptedAsItIs(ctx context.Context, c collection, id string, o outcome) (*acceptedOutput, error) {
	info, err := s.describe(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return acceptedBy(s.accepted(c, id, "", compensation.StateOf(info)), o), nil
}

func (c collection) tooLateToCancel(at compensation.State) *failure {
	switch at {
	case compensation.Compensated, compensation.CompensatedWithExceptions, compensation.Terminated:
		return &failure{code: codeAlreadyEnded, state: at, detail: fmt.Sprintf("This %s has ended already, and not as completed: it is %s.", c.noun, at)}
	case compensation.Completed:
		return &failure{code: codeTooLate, state: at, detail: fmt.Sprintf("This %s is completed. %s", c.noun, c.insteadOfCancel)}
	case compensation.Running, compensation.Compensating, compensation.Parked:
	}
	return &failure{
		code: codeTooLate, state: at,
		detail: fmt.Sprintf("This %s is past the point where it can be undone, and goes on to its end. %s", c.noun, c.insteadOfCancel),
	}
}

func notAwaited(at compensation.State) *failure {
	return &failure{code: codeNotAwaited, state: at, detail: "The saga does not wait for this now. Its waits say what it waits for."}
}

// memo is a text in a saga's memo, "" if it is not there.
func memo(info *workflowpb.WorkflowExecutionInfo, field string) string {
	return text(info.GetMemo().GetFields()[field])
}

// text is a payload that holds a string; "" if it holds none.
func text(p *commonpb.Payload) string {
	var t string
	if p == nil || converter.GetDefaultDataConverter().FromPayload(p, &t) != nil {
		return ""
	}
	return t
}
