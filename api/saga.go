package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

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

// collection is one of the API's two collections of sagas.
type collection struct {
	path string
	// noun is what one saga of it is called.
	noun         string
	workflowType string
	workflowID   func(id string) string
	plan         *compensation.Plan
	// schema is the name of what starts one, in the API's description.
	schema string
	// insteadOfCancel says what to do when it is too late to cancel.
	insteadOfCancel string
	// idReused is the problem of an ID that belongs to another saga.
	idReused Code
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
	// request is what the caller asked for: the same ID with an equal request is the same saga.
	request any
	input   any
	// summary is one line of Markdown for the Web UI.
	summary string
}

// start starts the saga, or finds it started by an equal request before.
func (s *server) start(ctx context.Context, c collection, st start) (accepted, error) {
	fingerprint, err := fingerprintOf(st.request)
	if err != nil {
		return accepted{}, err
	}
	run, err := s.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:        c.workflowID(st.id),
		TaskQueue: workflows.TaskQueue,
		// A saga's effects are named after its ID, so there is one for each ID, ever.
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    temporal.NewSearchAttributes(compensation.SearchAttributeState.ValueSet(string(compensation.Running))),
		Memo:                                     map[string]any{workflows.MemoFingerprint: fingerprint},
		StaticSummary:                            st.summary,
		EnableEagerStart:                         s.options.EagerStart,
		WorkflowTaskTimeout:                      workflows.TaskTimeout,
	}, c.workflowType, st.input)

	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		return s.startedBefore(ctx, c, st.id, fingerprint)
	case err != nil:
		return accepted{}, fmt.Errorf("start %s %s: %w", c.noun, st.id, err)
	}
	return s.accepted(c, st.id, run.GetRunID(), compensation.Running), nil
}

func (s *server) startedBefore(ctx context.Context, c collection, id, fingerprint string) (accepted, error) {
	info, err := s.describe(ctx, c, id)
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		// It was there a moment ago, so this is no fault of the caller's.
		return accepted{}, fmt.Errorf("%s %s was started before, but is not there: %s", c.noun, id, notFound.Message)
	case err != nil:
		return accepted{}, err
	}
	if memo(info, workflows.MemoFingerprint) != fingerprint {
		return accepted{}, &failure{
			code:   c.idReused,
			detail: fmt.Sprintf("There is another %s %s. Repeat its request exactly, or use another id.", c.noun, id),
			state:  compensation.StateOf(info),
			faults: []Fault{{Pointer: "/id", Detail: "belongs to another " + c.noun}},
		}
	}
	return s.accepted(c, id, info.GetExecution().GetRunId(), compensation.StateOf(info)), nil
}

// describe is what Temporal says of the saga. The error for an unknown ID is a [*serviceerror.NotFound].
func (s *server) describe(ctx context.Context, c collection, id string) (*workflowpb.WorkflowExecutionInfo, error) {
	workflowID, err := c.find(id)
	if err != nil {
		return nil, err
	}
	d, err := s.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return nil, fmt.Errorf("describe %s %s: %w", c.noun, id, err)
	}
	return d.GetWorkflowExecutionInfo(), nil
}

// update is a message to a saga that a worker answers.
type update struct {
	name string
	// id makes repeats of the message one message.
	id  string
	arg any
	// refused is the problem of a saga in that state, which cannot take the message.
	refused func(compensation.State) *failure
}

// updateTimeout is how long a worker has to answer. It polls all the time, so a second is long; a worker that is busy
// with the saga's steps looks up once before [workflows.TaskTimeout] is over.
const updateTimeout = 5 * time.Second

// update sends the message and waits for the worker's answer, which it decodes into result (nil for none). answered is
// false for a message that a worker has taken, but could not answer in time: the saga is busy with what follows from it.
//
// Temporal keeps an update only once a worker has accepted it. One that no worker accepted in time may still be taken
// by one that comes soon, or be forgotten; so the problem says just that, and a repeat, which has the same ID, joins
// what is left of the first. Temporal's own cancel request would be kept, but no worker could refuse it, so the caller
// would never learn that it came too late.
func (s *server) update(ctx context.Context, c collection, id string, u update, result any) (answered bool, _ error) {
	info, err := s.describe(ctx, c, id)
	if err != nil {
		return false, err
	}
	if info.GetCloseTime() != nil {
		return false, u.refused(compensation.StateOf(info))
	}
	sendCtx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	handle, err := s.temporal.UpdateWorkflow(sendCtx, client.UpdateWorkflowOptions{
		UpdateID:     u.id,
		WorkflowID:   c.workflowID(id),
		RunID:        info.GetExecution().GetRunId(),
		UpdateName:   u.name,
		Args:         []any{u.arg},
		WaitForStage: client.WorkflowUpdateStageAccepted,
	})
	taken := err == nil
	if taken {
		err = handle.Get(sendCtx, result)
	}
	var (
		notFound *serviceerror.NotFound
		timeout  *client.WorkflowUpdateServiceTimeoutOrCanceledError
		rejected *temporal.ApplicationError
	)
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &notFound), errors.As(err, &rejected) && rejected.Type() == errTypeEnded:
		// It ended between the two calls.
		if info, err = s.describe(ctx, c, id); err != nil {
			return false, err
		}
		return false, u.refused(compensation.StateOf(info))
	case errors.As(err, &rejected):
		if t := rejected.Type(); t == compensation.ErrTypeTooLate || t == workflows.ErrTypeNotAwaited {
			return false, u.refused(compensation.StateOf(info))
		}
		code := codeInvalid
		if rejected.Type() == compensation.ErrTypeActRefused {
			code = codeActRefused
		}
		return false, &failure{code: code, state: compensation.StateOf(info), detail: "The saga refuses it: " + rejected.Message() + "."}
	case !errors.As(err, &timeout) && !errors.Is(err, context.DeadlineExceeded):
		return false, fmt.Errorf("%s %s: update %s: %w", c.noun, id, u.name, err)
	case taken:
		return false, nil
	}
	return false, &failure{
		code: codeNoWorker,
		detail: fmt.Sprintf("No worker answered within %s. "+
			"The request may still be taken when one comes, or be lost: look at the saga, and ask again. Asking twice is harmless.", updateTimeout),
	}
}

// errTypeEnded is the failure that Temporal makes of an update that was accepted, but whose workflow ended first.
const errTypeEnded = "AcceptedUpdateCompletedWorkflow"

// cancel asks the saga to turn back, and returns its state then. A saga that lost a record first has to find out
// whether its pivot happened; if that takes long, its state is the one from before.
func (s *server) cancel(ctx context.Context, c collection, id string, r compensation.CancelRequest) (accepted, error) {
	var state compensation.State
	answered, err := s.update(ctx, c, id, update{
		name: compensation.UpdateCancel,
		// Whoever asks, a saga turns back once.
		id:      compensation.UpdateCancel,
		arg:     r,
		refused: c.tooLateToCancel,
	}, &state)
	if err != nil {
		return accepted{}, err
	}
	if !answered {
		return s.acceptedAsItIs(ctx, c, id)
	}
	return s.accepted(c, id, "", state), nil
}

// tell gives the saga something that it waits for, and returns its state afterwards.
func (s *server) tell(ctx context.Context, c collection, id, name string, message any) (accepted, error) {
	fingerprint, err := fingerprintOf(message)
	if err != nil {
		return accepted{}, err
	}
	// An equal message is the same one; another is for the saga to refuse.
	u := update{name: name, id: name + "-" + fingerprint, arg: message, refused: notAwaited}
	if _, err := s.update(ctx, c, id, u, nil); err != nil {
		return accepted{}, err
	}
	return s.acceptedAsItIs(ctx, c, id)
}

// acceptedAsItIs is the answer of a saga that did not say how it stands.
func (s *server) acceptedAsItIs(ctx context.Context, c collection, id string) (accepted, error) {
	info, err := s.describe(ctx, c, id)
	if err != nil {
		return accepted{}, err
	}
	return s.accepted(c, id, "", compensation.StateOf(info)), nil
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

// fingerprintOf is the same for equal values and differs for others.
func fingerprintOf(v any) (string, error) {
	canonical, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}

// memo is a text in a saga's memo, "" if it is not there.
func memo(info *workflowpb.WorkflowExecutionInfo, field string) string {
	payload := info.GetMemo().GetFields()[field]
	var text string
	if payload == nil || converter.GetDefaultDataConverter().FromPayload(payload, &text) != nil {
		return ""
	}
	return text
}
