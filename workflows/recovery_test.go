package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
	"github.com/amends-dev/amends/workflows"
)

// sweeping is one sweep, over pages of sagas.
type sweeping struct {
	interceptor.WorkerInterceptorBase
	*testsuite.TestWorkflowEnvironment

	pages []activities.EndedPage
	// unreadable are the sagas whose history cannot be read, over those with nothing to recover, and refused those whose
	// recovery does not start, with the error.
	unreadable map[string]error
	over       map[string]bool
	refused    map[string]error

	asked []activities.FindEnded
	read  []string
	// started are the options of the recoveries that it started, inputs their inputs.
	started []workflow.ChildWorkflowOptions
	inputs  []workflows.RecoverInput
	counted counts
}

var swept = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func newSweep(pages ...activities.EndedPage) *sweeping {
	var suite testsuite.WorkflowTestSuite
	s := &sweeping{pages: pages, counted: counts{sums: map[string]int64{}}}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	suite.SetMetricsHandler(&s.counted)
	s.TestWorkflowEnvironment = suite.NewTestWorkflowEnvironment()
	s.SetStartTime(swept)
	s.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{s}})
	workflows.Register(s)
	var sagas *activities.Sagas
	s.RegisterActivity(sagas)
	s.OnActivity(sagas.FindEnded, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.FindEnded) (activities.EndedPage, error) {
		s.asked = append(s.asked, in)
		return s.pages[len(s.asked)-1], nil
	}).Maybe()
	s.OnActivity(sagas.ReadEnded, mock.Anything, mock.Anything).Return(func(_ context.Context, id string) (activities.EndedSaga, error) {
		s.read = append(s.read, id)
		if err := s.unreadable[id]; err != nil {
			return activities.EndedSaga{}, err
		}
		return activities.EndedSaga{Recover: !s.over[id], Ended: compensation.Ended{SagaID: id, RunID: "run of " + id, How: "terminated"}}, nil
	}).Maybe()
	return s
}

func (s *sweeping) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &sweepInbound{interceptor.WorkflowInboundInterceptorBase{Next: next}, s}
}

type sweepInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	s *sweeping
}

func (i *sweepInbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&sweepOutbound{interceptor.WorkflowOutboundInterceptorBase{Next: out}, i.s})
}

type sweepOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	s *sweeping
}

func (o *sweepOutbound) ExecuteChildWorkflow(ctx workflow.Context, _ string, args ...any) workflow.ChildWorkflowFuture {
	in := args[0].(workflows.RecoverInput)
	o.s.started = append(o.s.started, workflow.GetChildWorkflowOptions(ctx))
	o.s.inputs = append(o.s.inputs, in)
	begun, settle := workflow.NewFuture(ctx)
	settle.Set(nil, o.s.refused[in.Ended.SagaID])
	return childStart{begun: begun}
}

// childStart is a child workflow of which only the start counts.
type childStart struct {
	workflow.ChildWorkflowFuture
	begun workflow.Future
}

func (c childStart) GetChildWorkflowExecution() workflow.Future { return c.begun }

// counts are a worker's counters.
type counts struct {
	mu   sync.Mutex
	sums map[string]int64
}

func (c *counts) WithTags(tags map[string]string) client.MetricsHandler { return &tagged{c, tags} }
func (c *counts) Counter(name string) client.MetricsCounter             { return (&tagged{c, nil}).Counter(name) }

func (c *counts) Gauge(string) client.MetricsGauge { return client.MetricsNopHandler.Gauge("") }

func (c *counts) Timer(string) client.MetricsTimer { return client.MetricsNopHandler.Timer("") }

type tagged struct {
	*counts
	tags map[string]string
}

func (c *tagged) Counter(name string) client.MetricsCounter {
	if name != workflows.MetricSweptSagas {
		return client.MetricsNopHandler.Counter(name)
	}
	return counter(func(n int64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sums[c.tags["outcome"]] += n
	})
}

type counter func(int64)

func (c counter) Inc(n int64) { c(n) }

func (s *sweeping) sweep(t *testing.T, in workflows.SweepInput) workflows.Sweep {
	t.Helper()
	s.ExecuteWorkflow(workflows.TypeSweepSagas, in)
	var sweep workflows.Sweep
	require.NoError(t, s.GetWorkflowResult(&sweep))
	return sweep
}

// found returns sagas without a recovery.
func found(ids ...string) (all []activities.FoundSaga) {
	for _, id := range ids {
		all = append(all, activities.FoundSaga{ID: id, Type: workflows.TypePlaceOrder})
	}
	return all
}

func TestSweepStartsRecoveries(t *testing.T) {
	t.Parallel()

	s := newSweep(activities.EndedPage{
		Sagas: []activities.FoundSaga{
			{ID: "order-1", Type: workflows.TypePlaceOrder},
			{ID: "return-2", Type: workflows.TypeReturnOrder, Before: activities.RecoveryEnded},
			{ID: "order-3", Type: workflows.TypePlaceOrder, Before: activities.RecoveryOfOtherRun},
			{ID: "order-4", Type: workflows.TypePlaceOrder},
			{ID: "order-5", Type: workflows.TypePlaceOrder, Before: activities.RecoveryEnded},
		},
		Known: 2, NothingToDo: 3,
	})
	s.over = map[string]bool{"order-4": true}
	s.refused = map[string]error{"order-5": serviceerror.NewWorkflowExecutionAlreadyStarted("another sweep was faster", "", "")}
	require.Equal(t, workflows.Sweep{
		Found: 10, Started: []string{"order-1", "return-2", "order-3"}, Repeated: []string{"return-2"}, Known: 3, NothingToDo: 4,
	}, s.sweep(t, workflows.SweepInput{}))
	require.Equal(t, map[string]int64{"started": 2, "repeated": 1, "skipped": 0}, s.counted.sums)

	for i, want := range []struct {
		id, sagaType string
		reuse        enumspb.WorkflowIdReusePolicy
	}{
		{"order-1", workflows.TypePlaceOrder, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY},
		{"return-2", workflows.TypeReturnOrder, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY},
		{"order-3", workflows.TypePlaceOrder, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE},
		{"order-5", workflows.TypePlaceOrder, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY},
	} {
		o, in := s.started[i], s.inputs[i]
		require.Equal(t, workflows.RecoveryWorkflowID(want.id), o.WorkflowID)
		require.Equal(t, want.reuse, o.WorkflowIDReusePolicy, want.id)
		require.Equal(t, enumspb.PARENT_CLOSE_POLICY_ABANDON, o.ParentClosePolicy, "it outlives the sweep")
		require.Equal(t, map[string]any{activities.MemoRecoveredRun: "run of " + want.id}, o.Memo)
		state, _ := o.TypedSearchAttributes.GetKeyword(compensation.SearchAttributeState)
		require.Equal(t, string(compensation.Compensating), state)
		require.Equal(t, workflows.RecoverInput{
			Type: want.sagaType, Revision: compensation.Revision,
			Ended: compensation.Ended{SagaID: want.id, RunID: "run of " + want.id, How: "terminated"},
		}, in)
	}
	require.Len(t, s.started, 4)
}

func TestSweepLooksBack(t *testing.T) {
	t.Parallel()

	for lookback, want := range map[time.Duration]time.Duration{
		0: workflows.DefaultSweepLookback, -time.Hour: workflows.DefaultSweepLookback, 36 * time.Hour: 36 * time.Hour,
	} {
		s := newSweep(activities.EndedPage{})
		require.Zero(t, s.sweep(t, workflows.SweepInput{Lookback: lookback}))
		require.Equal(t, []activities.FindEnded{{
			Types: []string{workflows.TypePlaceOrder, workflows.TypeReturnOrder}, Since: swept.Add(-want), RecoveryPrefix: "recover-",
		}}, s.asked)
	}
}

func TestSweepTurnsThePages(t *testing.T) {
	t.Parallel()

	s := newSweep(
		activities.EndedPage{Sagas: found("order-1"), Known: 99, PageToken: []byte("two")},
		activities.EndedPage{Known: 100, PageToken: []byte("three")},
		activities.EndedPage{Sagas: found("order-2", "order-3")},
	)
	require.Equal(t, workflows.Sweep{Found: 202, Known: 199, Started: []string{"order-1", "order-2", "order-3"}}, s.sweep(t, workflows.SweepInput{}))
	require.Len(t, s.asked, 3)
	require.Empty(t, s.asked[0].PageToken)
	require.Equal(t, []byte("two"), s.asked[1].PageToken)
	require.Equal(t, []byte("three"), s.asked[2].PageToken)
	require.Equal(t, s.asked[0].Since, s.asked[2].Since, "or the token would not be of this list")
}

// A sweep has a history of its own. The next sweep finds the sagas that it leaves.
func TestSweepHasAnEnd(t *testing.T) {
	t.Parallel()

	hundred := func(page int, before activities.RecoveryBefore) (p activities.EndedPage) {
		for i := range 100 {
			p.Sagas = append(p.Sagas, activities.FoundSaga{ID: fmt.Sprintf("order-%d", 100*page+i), Type: workflows.TypePlaceOrder, Before: before})
		}
		p.PageToken = []byte{1}
		return p
	}
	s := newSweep()
	for i := range 10 {
		s.pages = append(s.pages, hundred(i, ""))
	}
	require.Len(t, s.sweep(t, workflows.SweepInput{}).Started, 500)

	// Recoveries that fail each time do not keep it from sagas that never had one.
	s = newSweep()
	for i := range 10 {
		s.pages = append(s.pages, hundred(i, activities.RecoveryEnded))
	}
	s.pages = append(s.pages, activities.EndedPage{Sagas: found("order-new")})
	sweep := s.sweep(t, workflows.SweepInput{})
	require.Len(t, sweep.Repeated, 100)
	require.Contains(t, sweep.Started, "order-new")
}

// One saga that cannot be read does not keep the sweep from those behind it.
func TestSweepGoesPastWhatItCannotRead(t *testing.T) {
	t.Parallel()

	s := newSweep(activities.EndedPage{
		Sagas:      found("order-1", "order-2", "order-3"),
		Unreadable: []activities.UnreadableSaga{{ID: "order-0", Error: "describe order-0: its key is gone"}},
		PageToken:  []byte("two"),
	}, activities.EndedPage{Sagas: found("order-4")})
	s.unreadable = map[string]error{"order-1": errors.New("read history of saga order-1: its key is gone")}
	s.refused = map[string]error{"order-3": errors.New("no such namespace")}
	require.Equal(t, workflows.Sweep{
		Found: 5, Started: []string{"order-2", "order-4"}, Skipped: 3, SkippedSagas: []activities.UnreadableSaga{
			{ID: "order-0", Error: "describe order-0: its key is gone"},
			{ID: "order-1", Error: "read history of saga order-1: its key is gone"},
			{ID: "order-3", Error: "no such namespace"},
		},
	}, s.sweep(t, workflows.SweepInput{}))
	require.Equal(t, map[string]int64{"started": 2, "repeated": 0, "skipped": 3}, s.counted.sums)
	require.Equal(t, []string{"order-1", "order-1", "order-1", "order-2", "order-3", "order-4"}, s.read)
}

func TestSweepListsSomeOfManyThatItSkipped(t *testing.T) {
	t.Parallel()

	page := activities.EndedPage{}
	for i := range 100 {
		page.Unreadable = append(page.Unreadable, activities.UnreadableSaga{ID: fmt.Sprint("order-", i), Error: "gone"})
	}
	sweep := newSweep(page).sweep(t, workflows.SweepInput{})
	require.Equal(t, 100, sweep.Skipped)
	require.Len(t, sweep.SkippedSagas, 20)
}

// A sweep that began before sagas could be skipped gave up, and its history shows that.
func TestSweepThatBeganBeforeThereWereSkips(t *testing.T) {
	t.Parallel()

	s := newSweep(activities.EndedPage{IDs: []string{"order-1", "order-2"}, Types: map[string]string{"order-1": workflows.TypePlaceOrder}})
	s.OnGetVersion("skip-unreadable-sagas", workflow.DefaultVersion, workflow.Version(1)).Return(workflow.DefaultVersion)
	s.unreadable = map[string]error{"order-2": temporal.NewNonRetryableApplicationError("gone", "", nil)}
	s.ExecuteWorkflow(workflows.TypeSweepSagas, workflows.SweepInput{})
	require.ErrorContains(t, s.GetWorkflowError(), "gone")
	require.Len(t, s.started, 1)
	require.Equal(t, workflows.TypePlaceOrder, s.inputs[0].Type)
}

func TestSweepGivesUp(t *testing.T) {
	t.Parallel()

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	workflows.Register(env)
	var sagas *activities.Sagas
	env.RegisterActivity(sagas)
	tries := 0
	env.OnActivity(sagas.FindEnded, mock.Anything, mock.Anything).Return(func(context.Context, activities.FindEnded) (activities.EndedPage, error) {
		tries++
		return activities.EndedPage{}, errors.New("no visibility store")
	})
	env.ExecuteWorkflow(workflows.TypeSweepSagas, workflows.SweepInput{})
	require.ErrorContains(t, env.GetWorkflowError(), "no visibility store")
	require.Equal(t, 5, tries)
}

// recoverOrder returns a recovery of an order that had started these steps.
func recoverOrder(revision int, steps ...string) (*workflows.RecoverInput, []sagatest.Option) {
	in := &workflows.RecoverInput{
		Type: workflows.TypePlaceOrder, Revision: revision, Ended: compensation.Ended{SagaID: "order-42", How: "terminated"},
	}
	for _, st := range steps {
		in.Ended.Started = append(in.Ended.Started, compensation.Key{Saga: "order-42", Step: st})
	}
	return in, []sagatest.Option{sagatest.ID(workflows.RecoveryWorkflowID("order-42")), registerSagas}
}

func TestRecoverSaga(t *testing.T) {
	t.Parallel()

	undos := []string{
		"undo CapturePayment", "undo BookShipment", "undo AuthorizePayment", "undo HoldPoints", "undo RedeemVoucher", "undo ReserveStock",
		"undo ScreenFraud", "undo PriceOrder",
	}
	in, options := recoverOrder(compensation.Revision, "ReserveStock", "WrapAsGift")
	env := sagatest.New(t, workflows.PlaceOrderPlan, options...)
	require.NoError(t, env.Run(workflows.TypeRecoverSaga, in))
	require.Equal(t, compensation.Parked, env.State())
	require.Contains(t, env.Parked()[0].Reason, "order-42:WrapAsGift")
	require.Equal(t, "undo CapturePayment", env.Calls()[0])
	require.ElementsMatch(t, undos, env.Calls())

	for _, revision := range []int{0, 1} {
		in, options := recoverOrder(revision, "ReserveStock", "WrapAsGift")
		env := sagatest.New(t, workflows.PlaceOrderPlan, options...)
		require.NoError(t, env.Run(workflows.TypeRecoverSaga, in))
		require.True(t, env.Ended(), "as recoveries ended then, or their histories would not replay")
	}
}

// Another worker must recover a saga whose type this worker does not know.
func TestRecoverSagaOfAnotherType(t *testing.T) {
	t.Parallel()

	in, options := recoverOrder(compensation.Revision)
	in.Type = "BookFlight"
	env := sagatest.New(t, workflows.PlaceOrderPlan, options...)
	require.ErrorContains(t, env.Run(workflows.TypeRecoverSaga, in), "recover order-42: BookFlight is no saga's type")
	require.Empty(t, env.Calls())
}
