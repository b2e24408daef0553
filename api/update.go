package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/workflows"
)

// update is a message to a saga that a worker answers.
type update struct {
	name string
	arg  any
	// check refuses a message that is new to a saga in that state, or binds it to that state alone; nil for neither.
	check func(compensation.Status) (arg any, _ error)
	// refused is the problem of a saga in that state, which cannot take the message.
	refused func(compensation.State) *failure
}

// messageCodes are the problems of any message to a saga.
var messageCodes = []Code{codeTooManyUpdates, codePaused, codeBusy, codeNoWorker, codeUnavailable}

// updateTimeout is how long a worker has to answer. It polls all the time, so a second is long; a worker that is busy
// with the saga's steps looks up once before [workflows.TaskTimeout] is over.
const updateTimeout = 5 * time.Second

// outcome is what came of a message.
type outcome struct {
	// answered is false for a message that a worker has taken, but could not answer in time: the saga is busy with the
	// consequences. It is also false for a cancel while another one is not answered.
	answered bool
	// before is set if the message was taken from an equal request before.
	before bool
}

// update sends the message and waits for the worker's answer, which it decodes into result (nil for none). A message that
// the saga has taken before, from a request with this key, is not sent again.
//
// Temporal keeps an update only once a worker has accepted it. One that no worker accepted in time may still be taken
// by one that comes soon, or be forgotten; so the problem says just that, and a repeat, which has the same ID, joins
// what is left of the first. Temporal's own cancel request would be kept, but no worker could refuse it, so the caller
// would never learn that it came too late.
func (s *server) update(ctx context.Context, c collection, id string, u update, result any) (_ outcome, err error) {
	defer func() { err = about(err, c.workflowID(id)) }()
	request := commandOf(ctx)
	leave, err := s.flights.enter(request)
	if err != nil {
		return outcome{}, err
	}
	defer leave()
	status, err := s.status(ctx, c, id)
	if err != nil {
		return outcome{}, err
	}
	leadTo(ctx, status)
	updateID := u.name + "-" + request.id() + sentBy
	arg := u.arg
	taken, before, err := request.taken(status, u)
	if err != nil {
		return outcome{}, err
	}
	switch {
	case before:
		updateID = taken
	case !status.EndedAt.IsZero():
		return outcome{}, u.refused(status.State)
	case u.check != nil:
		if arg, err = u.check(status); err != nil {
			return outcome{}, err
		}
	}

	sendCtx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	var handle client.WorkflowUpdateHandle
	if before {
		handle = s.temporal.GetWorkflowUpdateHandle(client.GetWorkflowUpdateHandleOptions{
			WorkflowID: status.SagaID, RunID: status.RunID, UpdateID: updateID,
		})
	} else {
		handle, err = s.temporal.UpdateWorkflow(sendCtx, client.UpdateWorkflowOptions{
			UpdateID:     updateID,
			WorkflowID:   status.SagaID,
			RunID:        status.RunID,
			UpdateName:   u.name,
			Args:         []any{arg},
			WaitForStage: client.WorkflowUpdateStageAccepted,
		})
	}
	accepted := err == nil
	if accepted {
		// The saga may first have to find out whether it can, so the answer has time of its own.
		answerCtx, stop := context.WithTimeout(ctx, updateTimeout)
		defer stop()
		err = asItStands(handle.Get(answerCtx, result), result)
	}
	o := outcome{answered: err == nil, before: before}
	if err != nil {
		if err := s.updateFailure(ctx, c, id, u, status, accepted, err); err != nil {
			return outcome{}, err
		}
	}
	if before {
		return o, nil
	}
	return o, s.confirm(ctx, c, id, u)
}

// confirm returns an error if the answer was to another request with the same key, which another process sent at the same
// moment: Temporal takes the two for one.
func (s *server) confirm(ctx context.Context, c collection, id string, u update) error {
	status, err := s.status(ctx, c, id)
	if err != nil {
		return err
	}
	_, _, err = commandOf(ctx).taken(status, u)
	return err
}

// sentBy ends the IDs of updates. IDs once had a hash of the request there, against which anybody who can read Temporal
// could test guesses. The form of the ID is the same, so processes of that time take a repeat for one, or refuse it.
const sentBy = "-sent"

// taken returns the ID of the update that the command sent to a saga in that state, if there is one. If that update asked
// for something else, the error is [errKeyReused].
func (c command) taken(status compensation.Status, u update) (id string, found bool, _ error) {
	at := slices.IndexFunc(status.Updates, func(taken compensation.AcceptedUpdate) bool {
		return strings.Contains(taken.ID, "-"+c.id()+"-")
	})
	if at < 0 {
		return "", false, nil
	}
	taken := status.Updates[at]
	var arg map[string]json.RawMessage
	if err := converter.GetDefaultDataConverter().FromPayloads(taken.Args, &arg); err != nil {
		return "", false, fmt.Errorf("update %s: %w", taken.ID, err)
	}
	delete(arg, "if_acts") // the sender's view of the saga, not part of the request
	asked, err := canonicalJSON(u.arg)
	if err != nil {
		return "", false, fmt.Errorf("update %s: %w", taken.ID, err)
	}
	had, err := canonicalJSON(arg)
	if err != nil {
		return "", false, fmt.Errorf("update %s: %w", taken.ID, err)
	}
	if taken.Name != u.name || !bytes.Equal(asked, had) {
		return "", false, errKeyReused
	}
	return taken.ID, true, nil
}

// asItStands turns the rejection of a message that would change nothing into the answer that the message would have got,
// with the saga's state. It passes on every other error.
func asItStands(err error, result any) error {
	var rejected *temporal.ApplicationError
	if !errors.As(err, &rejected) {
		return err
	}
	if t := rejected.Type(); t != compensation.ErrTypeTurnsBack && t != compensation.ErrTypeUnchanged {
		return err
	}
	if result == nil {
		return nil
	}
	return rejected.Details(result)
}

// unsent returns the problem of a message that Temporal did not pass on to the saga; nil if err has another cause.
func unsent(err error) *failure {
	switch connect.WhyUnsent(err) {
	case connect.UnsentInFlight:
		return &failure{code: codeBusy, detail: fmt.Sprintf(
			"Temporal takes ten messages to a saga at a time, and for %s as many were unanswered. Repeat the request unchanged.", updateTimeout)}
	case connect.UnsentTotal:
		return &failure{code: codeTooManyUpdates, detail: "The saga has had as many messages as Temporal accepts for one workflow, so it can be neither " +
			"canceled nor acted on over this API. Somebody with access to Temporal can raise history.maxTotalUpdates, cancel the workflow there " +
			"(before its pivot that turns the saga back), or terminate it, and the recovery undoes it or waits for an operator."}
	case connect.UnsentPaused:
		return &failure{code: codePaused, detail: "Somebody has paused the saga's workflow in Temporal. `temporal workflow unpause` lets it go on."}
	case connect.UnsentFailing:
		return &failure{code: codeNoWorker, detail: "The saga's workflow task fails, so that no worker can answer. The worker's log says why."}
	}
	return nil
}

// updateFailure is what became of a message that was not answered as it should be; nil if it was accepted all the same.
func (s *server) updateFailure(
	ctx context.Context, c collection, id string, u update, status compensation.Status, accepted bool, err error,
) error {
	var (
		notFound *serviceerror.NotFound
		timeout  *client.WorkflowUpdateServiceTimeoutOrCanceledError
		rejected *temporal.ApplicationError
	)
	if f := unsent(err); f != nil {
		f.state = status.State
		return f
	}
	switch {
	case errors.As(err, &notFound), errors.As(err, &rejected) && rejected.Type() == errTypeEnded:
		// It ended between the two calls.
		info, err := s.describe(ctx, c, id)
		if err != nil {
			return err
		}
		return u.refused(compensation.StateOf(info))
	case errors.As(err, &rejected):
		switch rejected.Type() {
		case compensation.ErrTypeTooLate, workflows.ErrTypeNotAwaited:
			return u.refused(status.State)
		case compensation.ErrTypeActStale:
			return hasChanged(status.State)
		case compensation.ErrTypeUndecided:
			return nil
		}
		code := codeInvalid
		if rejected.Type() == compensation.ErrTypeActRefused {
			code = codeActRefused
		}
		return &failure{code: code, state: status.State, detail: "The saga refuses it: " + rejected.Message() + "."}
	case !errors.As(err, &timeout) && !errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s %s: update %s: %w", c.noun, id, u.name, err)
	case accepted:
		return nil
	}
	return &failure{
		code: codeNoWorker,
		detail: fmt.Sprintf("No worker answered within %s. "+
			"The request may still be taken when one comes, or be lost: repeat it with the same %s.", updateTimeout, keyHeader),
	}
}

// errTypeEnded is the failure that Temporal makes of an update that was accepted, but whose workflow ended first.
const errTypeEnded = "AcceptedUpdateCompletedWorkflow"
