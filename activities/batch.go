package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/connect"
)

// FindSagas asks for the sagas that match.
type FindSagas struct {
	// Query is a visibility query.
	Query string `json:"query"`
	// PageToken continues an earlier answer.
	PageToken []byte `json:"page_token,omitempty"`
}

// SagaPage is a part of the sagas that match.
type SagaPage struct {
	IDs []string `json:"ids"`
	// PageToken is empty at the end.
	PageToken []byte `json:"page_token,omitempty"`
}

// FindSagas lists sagas.
func (*Sagas) FindSagas(ctx context.Context, in FindSagas) (SagaPage, error) {
	return findSagas(ctx, activity.GetClient(ctx), in)
}

func findSagas(ctx context.Context, c client.Client, in FindSagas) (SagaPage, error) {
	r, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: pageSize, NextPageToken: in.PageToken, Query: in.Query,
	})
	if err != nil {
		return SagaPage{}, fmt.Errorf("find sagas: %w", err)
	}
	page := SagaPage{PageToken: r.GetNextPageToken()}
	for _, info := range r.GetExecutions() {
		page.IDs = append(page.IDs, info.GetExecution().GetWorkflowId())
	}
	return page, nil
}

// ActOnSagas asks for the same act on several sagas.
type ActOnSagas struct {
	IDs []string `json:"ids"`
	// Name is the update's: [compensation.UpdateCancel] or one that takes an Act.
	Name string           `json:"name"`
	Act  compensation.Act `json:"act"`
	// UpdateID makes it one act of a saga, however often it is sent.
	UpdateID  string `json:"update_id"`
	PerSecond int    `json:"per_second"`
}

// Acted is what became of the first sagas of those.
type Acted struct {
	// Done counts those that took the act.
	Done     int          `json:"done"`
	Failures []ActFailure `json:"failures,omitempty"`
}

// Handled is how many sagas that was.
func (a Acted) Handled() int { return a.Done + len(a.Failures) }

// ActFailure is a saga that did not take an act.
type ActFailure struct {
	Saga string `json:"saga"`
	// Reason is why, for people.
	Reason string `json:"reason"`
}

// ActOnSagas sends the act to one saga after the other. Its heartbeats tell how far it has come, so that the next try goes
// on there; what is sent again is the same update. If the activity is canceled or its worker stops, the answer is of
// fewer sagas than were asked for.
func (*Sagas) ActOnSagas(ctx context.Context, in ActOnSagas) (Acted, error) {
	return actOnSagas(ctx, activity.GetClient(ctx), in)
}

func actOnSagas(ctx context.Context, c client.Client, in ActOnSagas) (Acted, error) {
	var acted Acted
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &acted); err != nil {
			return Acted{}, fmt.Errorf("read how far the try before came: %w", err)
		}
	}
	pace := time.NewTicker(time.Second / time.Duration(in.PerSecond))
	defer pace.Stop()
	for acted.Handled() < len(in.IDs) {
		select {
		case <-pace.C:
		case <-ctx.Done():
		case <-activity.GetWorkerStopChannel(ctx):
		}
		if stopping(ctx) { // also where the tick came with it: select takes either
			return acted, nil
		}
		id := in.IDs[acted.Handled()]
		reason, err := actOn(ctx, c, id, in)
		switch {
		case ctx.Err() != nil && (err != nil || reason != ""):
			return acted, nil // nobody waited long enough to know
		case err != nil:
			return Acted{}, fmt.Errorf("%s %s: %w", in.Name, id, err)
		case reason == "":
			acted.Done++
		default:
			acted.Failures = append(acted.Failures, ActFailure{Saga: id, Reason: reason})
		}
		activity.RecordHeartbeat(ctx, acted)
	}
	return acted, nil
}

// stopping tells whether the activity is canceled or its worker stops.
func stopping(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-activity.GetWorkerStopChannel(ctx):
		return true
	default:
		return false
	}
}

// unsent explains, for people, why Temporal does not pass the act on to the saga; "" if err has another cause.
func unsent(err error) string {
	switch connect.WhyUnsent(err) {
	case connect.UnsentInFlight:
		return fmt.Sprintf("as many messages to it as Temporal takes at a time were unanswered for %s", actTimeout)
	case connect.UnsentTotal:
		return "it has had as many messages as Temporal accepts for one workflow (history.maxTotalUpdates), and takes no more"
	case connect.UnsentPaused:
		return "its workflow is paused in Temporal"
	case connect.UnsentFailing:
		return "its workflow task fails; the worker's log says why"
	}
	return ""
}

// actTimeout is how long a saga has to take an act, and then to answer. The activity's heartbeat comes after both.
const actTimeout = 5 * time.Second

// actOn sends the act to a saga. It tells why the saga did not take it; "" if it did. One that took it, and is busy with what
// follows, need not have answered.
func actOn(ctx context.Context, c client.Client, id string, in ActOnSagas) (reason string, _ error) {
	var arg any = in.Act
	if in.Name == compensation.UpdateCancel {
		arg = compensation.CancelRequest{By: in.Act.By, Reason: in.Act.Reason}
	}
	sendCtx, stop := context.WithTimeout(ctx, actTimeout)
	defer stop()
	handle, err := c.UpdateWorkflow(sendCtx, client.UpdateWorkflowOptions{
		UpdateID: in.UpdateID, WorkflowID: id, UpdateName: in.Name, Args: []any{arg}, WaitForStage: client.WorkflowUpdateStageAccepted,
	})
	taken := err == nil
	if taken {
		answerCtx, stop := context.WithTimeout(ctx, actTimeout)
		defer stop()
		err = handle.Get(answerCtx, nil)
	}
	var (
		notFound  *serviceerror.NotFound
		timeout   *client.WorkflowUpdateServiceTimeoutOrCanceledError
		rejected  *temporal.ApplicationError
		invalid   *serviceerror.InvalidArgument
		condition *serviceerror.FailedPrecondition
	)
	reason = unsent(err)
	switch {
	case err == nil:
		return "", nil
	case reason != "":
		return reason, nil
	case errors.As(err, &notFound):
		return "it has ended", nil
	case errors.As(err, &rejected):
		switch rejected.Type() {
		case compensation.ErrTypeTurnsBack, compensation.ErrTypeUnchanged, compensation.ErrTypeUndecided:
			return "", nil // the saga is as the act asks, or was asked already
		}
		return rejected.Message(), nil
	case errors.As(err, &invalid):
		return "Temporal refuses it: " + invalid.Message, nil // another try of the batch would be refused, too
	case errors.As(err, &condition):
		return "Temporal refuses it: " + condition.Message, nil
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		if taken {
			return "", nil
		}
		return fmt.Sprintf("no worker answered within %s; it may still take the act, or not", actTimeout), nil
	}
	return "", err
}
