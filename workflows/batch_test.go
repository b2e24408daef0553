package workflows_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// batchEnv runs a batch over pages of sagas, and acts on them as act says.
type batchEnv struct {
	*testsuite.TestWorkflowEnvironment
	// acted are the IDs and the update's of each call.
	acted [][]string
	// memo is the last progress that was written.
	memo workflows.Batch
}

func newBatchEnv(t *testing.T, pages map[string]activities.SagaPage, act func(ids []string) activities.Acted) *batchEnv {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := &batchEnv{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment()}
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "batch-7"})
	workflows.Register(env)
	var sagas *activities.Sagas
	env.RegisterActivity(sagas)
	env.OnActivity(sagas.FindSagas, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.FindSagas) (activities.SagaPage, error) {
		require.Equal(t, "SagaState = 'parked'", in.Query)
		return pages[string(in.PageToken)], nil
	}).Maybe()
	env.OnActivity(sagas.ActOnSagas, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ActOnSagas) (activities.Acted, error) {
		require.Equal(t, 20, in.PerSecond)
		require.Equal(t, retryBatch.Batch.Act, in.Act)
		env.acted = append(env.acted, append(in.IDs[:len(in.IDs):len(in.IDs)], in.Name+" as "+in.UpdateID))
		return act(in.IDs), nil
	}).Maybe()
	env.OnUpsertMemo(mock.Anything).Run(func(args mock.Arguments) {
		env.memo, _ = args.Get(0).(map[string]any)[workflows.MemoBatch].(workflows.Batch)
	}).Return(nil).Maybe()
	return env
}

var retryBatch = workflows.BatchInput{
	Query: "SagaState = 'parked'", PerSecond: 20,
	Batch: workflows.Batch{Name: compensation.UpdateRetry, Act: compensation.Act{By: "grace", Reason: "mended"}, Matched: 3},
}

// twoPages are three sagas.
var twoPages = map[string]activities.SagaPage{
	"":     {IDs: []string{"order-1", "order-2"}, PageToken: []byte("more")},
	"more": {IDs: []string{"order-3"}},
}

func (env *batchEnv) run(in workflows.BatchInput) error {
	env.ExecuteWorkflow(workflows.TypeActOnSagas, in)
	return env.GetWorkflowError()
}

// A saga that refuses is reported, and what an activity has not come to is for the next one.
func TestBatch(t *testing.T) {
	t.Parallel()
	env := newBatchEnv(t, twoPages, func(ids []string) activities.Acted {
		if ids[0] == "order-2" {
			return activities.Acted{Failures: []activities.ActFailure{{Saga: "order-2", Reason: "not parked"}}}
		}
		return activities.Acted{Done: 1}
	})

	require.NoError(t, env.run(retryBatch))

	const as = "retry as retry-batch-7"
	require.Equal(t, [][]string{{"order-1", "order-2", as}, {"order-2", as}, {"order-3", as}}, env.acted)
	var result workflows.Batch
	require.NoError(t, env.GetWorkflowResult(&result))
	want := retryBatch.Batch
	want.Done, want.Failed = 2, 1
	want.Failures = []activities.ActFailure{{Saga: "order-2", Reason: "not parked"}}
	require.Equal(t, want, result)
	require.Equal(t, want, env.memo)
}

// What a batch that is stopped has done is in its failure, and stays in its memo.
func TestBatchIsCanceled(t *testing.T) {
	t.Parallel()
	env := newBatchEnv(t, twoPages, func([]string) activities.Acted { return activities.Acted{Done: 1} })
	env.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) {
		if len(env.acted) == 1 {
			env.CancelWorkflow()
		}
	})

	err := env.run(retryBatch)

	var canceled *temporal.CanceledError
	require.ErrorAs(t, err, &canceled)
	var report workflows.Batch
	require.NoError(t, canceled.Details(&report))
	require.Equal(t, 1, report.Done)
	require.Equal(t, report, env.memo)
	require.Len(t, env.acted, 1)
}

func TestLongBatchContinuesAsNew(t *testing.T) {
	t.Parallel()
	env := newBatchEnv(t, twoPages, func(ids []string) activities.Acted { return activities.Acted{Done: len(ids)} })
	env.SetContinueAsNewSuggested(true)

	err := env.run(retryBatch)

	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &next)
	require.Equal(t, workflows.TypeActOnSagas, next.WorkflowType.Name)
	var in workflows.BatchInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &in))
	want := retryBatch
	want.PageToken, want.Batch.Done = []byte("more"), 2
	require.Equal(t, want, in)
}

func TestBatchTellsSoManyFailures(t *testing.T) {
	t.Parallel()
	const each = 400
	ids := make([]string, each)
	pages := map[string]activities.SagaPage{
		"": {IDs: ids, PageToken: []byte("2")}, "2": {IDs: ids, PageToken: []byte("3")}, "3": {IDs: ids},
	}
	env := newBatchEnv(t, pages, func(ids []string) activities.Acted {
		return activities.Acted{Failures: make([]activities.ActFailure, len(ids))}
	})

	require.NoError(t, env.run(retryBatch))

	require.Equal(t, 3*each, env.memo.Failed)
	require.Len(t, env.memo.Failures, workflows.MaxFailures)
}
