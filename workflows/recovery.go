package workflows

import (
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
)

// sagas is for its method names only, as the participants are.
var sagas *activities.Sagas

// RecoverInput starts RecoverSaga.
type RecoverInput struct {
	// Type is the saga's workflow type.
	Type  string             `json:"type"`
	Ended compensation.Ended `json:"ended"`
	// Revision is [compensation.Revision]. A recovery keeps the one that it was started with; 0 is 1.
	Revision int `json:"revision,omitempty"`
}

// StartHeaders are those of the saga that is recovered: tracing goes on in its trace.
func (in RecoverInput) StartHeaders() map[string]*commonpb.Payload { return in.Ended.Headers }

// RecoverSaga undoes what a saga left behind that was ended from outside.
func RecoverSaga(ctx workflow.Context, in RecoverInput) (compensation.Recovery, error) {
	for _, plan := range Plans() {
		if plan.Name() == in.Type {
			return compensation.Recover(ctx, plan.AtRevision(in.Revision), in.Ended)
		}
	}
	return compensation.Recovery{}, fmt.Errorf("recover %s: %s is no saga's type", in.Ended.SagaID, in.Type)
}

// SweepInput starts SweepSagas.
type SweepInput struct {
	// Lookback limits how long ago a saga may have ended. Sagas that ended before the namespace's retention began are
	// left out, whatever the lookback. Default [DefaultSweepLookback].
	Lookback time.Duration `json:"lookback,omitempty"`
}

// Limits of one sweep, and with it of its history. The next one goes on.
const (
	// maxRecoveries limits the recoveries that it starts for sagas without an earlier one, maxRepeats those that it
	// starts again: recoveries that fail each time must not keep it from the others.
	maxRecoveries = 500
	maxRepeats    = 100
	// maxReads limits the sagas that it reads.
	maxReads = 2000
	// findTries and readTries limit its tries to list sagas, and to read one: the sagas behind it wait meanwhile.
	findTries = 5
	readTries = 3
	// maxSkipped limits the skipped sagas that its result lists.
	maxSkipped = 20
)

// Sweep is what SweepSagas did.
type Sweep struct {
	// Found is how many sagas were ended from outside within the lookback, as far as this sweep came.
	Found int `json:"found"`
	// Started are the sagas whose recovery this sweep started.
	Started []string `json:"started,omitempty"`
	// Repeated are those of Started whose recovery had been started before, and was terminated, timed out or failed. The
	// recovery of a saga that is among them sweep after sweep cannot complete.
	Repeated []string `json:"repeated,omitempty"`
	// Known counts those whose recovery runs or completed.
	Known int `json:"known"`
	// NothingToDo counts those that have another run, or none any more.
	NothingToDo int `json:"nothing_to_do"`
	// Skipped counts those that could not be read, or whose recovery could not be started. The next sweep tries them again.
	Skipped int `json:"skipped,omitempty"`
	// SkippedSagas are the first 20 of those.
	SkippedSagas []activities.UnreadableSaga `json:"skipped_sagas,omitempty"`
	// reads counts the sagas that were read.
	reads int
}

// MetricSweptSagas counts the results of sweeps, by outcome: "started" and "repeated" recoveries, and "skipped" sagas.
const MetricSweptSagas = "amends_swept_sagas"

// SweepSagas finds the sagas that were terminated, timed out or failed without turning back. It starts a recovery for
// each that has none running or completed. It may run any number of times. A saga that cannot be read does not keep it
// from the others.
func SweepSagas(ctx workflow.Context, in SweepInput) (Sweep, error) {
	if in.Lookback <= 0 {
		in.Lookback = DefaultSweepLookback
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: findTries}, // the next sweep comes soon
	})
	find := activities.FindEnded{Since: workflow.Now(ctx).Add(-in.Lookback), RecoveryPrefix: RecoveryWorkflowID("")}
	for _, plan := range Plans() {
		find.Types = append(find.Types, plan.Name())
	}
	var sweep Sweep
	for {
		var page activities.EndedPage
		if err := workflow.ExecuteActivity(ctx, sagas.FindEnded, find).Get(ctx, &page); err != nil {
			return sweep, err
		}
		if err := sweep.take(ctx, page); err != nil {
			return sweep, err
		}
		find.PageToken = page.PageToken
		if len(find.PageToken) == 0 || sweep.full() {
			sweep.count(ctx)
			return sweep, nil
		}
	}
}

// take starts the recoveries that the sagas of the page need.
func (s *Sweep) take(ctx workflow.Context, page activities.EndedPage) error {
	for _, id := range page.IDs { // found by a sweep that began before Sagas existed
		page.Sagas = append(page.Sagas, activities.FoundSaga{ID: id, Type: page.Types[id]})
	}
	s.Found += len(page.Sagas) + page.Known + page.NothingToDo + len(page.Unreadable)
	s.Known += page.Known
	s.NothingToDo += page.NothingToDo
	for _, saga := range page.Unreadable {
		s.skip(ctx, saga.ID, saga.Error)
	}
	for _, saga := range page.Sagas {
		if saga.Before == activities.RecoveryEnded && len(s.Repeated) >= maxRepeats {
			continue // left to the next sweep
		}
		if len(page.IDs) == 0 { // otherwise a sweep that began earlier could not replay
			s.reads++
		}
		err := s.recover(ctx, saga)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err // the sweep is canceled
		}
		// Sweeps that began before this check gave up, and replay.
		if workflow.GetVersion(ctx, "skip-unreadable-sagas", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return err
		}
		s.skip(ctx, saga.ID, plain(err))
	}
	return nil
}

// full reports whether the sweep has reached its limits.
func (s *Sweep) full() bool {
	return len(s.Started)-len(s.Repeated) >= maxRecoveries || s.reads >= maxReads
}

// skip notes that the sweep goes past the saga.
func (s *Sweep) skip(ctx workflow.Context, id, why string) {
	s.Skipped++
	if len(s.SkippedSagas) < maxSkipped {
		s.SkippedSagas = append(s.SkippedSagas, activities.UnreadableSaga{ID: id, Error: why})
	}
	workflow.GetLogger(ctx).Error("a saga that was ended from outside is not recovered", "saga", id, "error", why)
}

// recover starts the recovery of the saga, unless it has one.
func (s *Sweep) recover(ctx workflow.Context, saga activities.FoundSaga) error {
	id := saga.ID
	var ended activities.EndedSaga
	options := workflow.GetActivityOptions(ctx)
	options.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: readTries}
	ctx = workflow.WithActivityOptions(ctx, options)
	if err := workflow.ExecuteActivity(ctx, sagas.ReadEnded, id).Get(ctx, &ended); err != nil {
		return err
	}
	if !ended.Recover {
		s.NothingToDo++
		return nil
	}
	// Two sweeps may come here at the same time.
	reuse := enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
	if saga.Before == activities.RecoveryOfOtherRun {
		reuse = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	}
	memo := map[string]any{}
	if ended.RunID != "" { // a worker of the previous version does not report it
		memo[activities.MemoRecoveredRun] = ended.RunID
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            RecoveryWorkflowID(id),
		WorkflowIDReusePolicy: reuse,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		Memo:                  memo,
		TypedSearchAttributes: temporal.NewSearchAttributes(compensation.SearchAttributeState.ValueSet(string(compensation.Compensating))),
		StaticSummary:         "recovery of " + compensation.EscapeMarkdown(id),
	})
	err := workflow.ExecuteChildWorkflow(ctx, TypeRecoverSaga, RecoverInput{Type: saga.Type, Ended: ended.Ended, Revision: compensation.Revision}).
		GetChildWorkflowExecution().Get(ctx, nil)
	switch {
	case err == nil && saga.Before == activities.RecoveryEnded:
		s.Started, s.Repeated = append(s.Started, id), append(s.Repeated, id)
		workflow.GetLogger(ctx).Warn("a recovery ended without completing, and is started again", "saga", id)
	case err == nil:
		s.Started = append(s.Started, id)
	case temporal.IsWorkflowExecutionAlreadyStartedError(err):
		s.Known++
	default:
		return err
	}
	return nil
}

// count adds the sweep's results to the worker's metrics.
func (s *Sweep) count(ctx workflow.Context) {
	for _, swept := range []struct {
		outcome string
		n       int
	}{{"started", len(s.Started) - len(s.Repeated)}, {"repeated", len(s.Repeated)}, {"skipped", s.Skipped}} {
		// Add 0, too: a counter that begins with 1 has not increased yet.
		workflow.GetMetricsHandler(ctx).WithTags(map[string]string{"outcome": swept.outcome}).Counter(MetricSweptSagas).Inc(int64(swept.n))
	}
}

// plain returns the innermost message of an activity's or a child's failure.
func plain(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return err.Error()
}
