package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	commandpb "go.temporal.io/api/command/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/telemetry"
)

// bundle is a process that counts, and what it told Temporal's client to do.
type bundle struct {
	telemetry *telemetry.Telemetry
	options   client.Options
	log       *bytes.Buffer
	// meanwhile is done while its sagas run, if there is anything.
	meanwhile func(*testsuite.TestWorkflowEnvironment)
}

func setup(t *testing.T, spans ...sdktrace.SpanProcessor) *bundle {
	t.Helper()
	logger, text := newLog(slog.LevelDebug)
	options := telemetry.Options{Metrics: true, Plans: []*compensation.Plan{shopPlan}, Logger: logger}
	if len(spans) > 0 {
		options.Spans = spans[0]
	}
	shown, err := telemetry.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, shown.Stop(context.Background())) })
	b := &bundle{telemetry: shown, log: text}
	require.NoError(t, shown.Instrument(&b.options))
	return b
}

// scrape is what Prometheus reads: values by series.
func (b *bundle) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	series := map[string]float64{}
	for line := range strings.Lines(b.text(t, "")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		require.NoError(t, err, line)
		series[line[:at]] = value
	}
	return series
}

func (b *bundle) text(t *testing.T, accept string) string {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", accept)
	answer := httptest.NewRecorder()
	b.telemetry.Handler().ServeHTTP(answer, req)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	return answer.Body.String()
}

// starting are the series whose name and first labels are these.
func starting(series map[string]float64, prefix string) map[string]float64 {
	found := map[string]float64{}
	for name, value := range series {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			found[rest] = value
		}
	}
	return found
}

// shop is a saga of three steps, of which a test can make any refuse or fail.
type shop struct {
	fail map[string][]error
	// seen are the spans in which its steps were called.
	seen []trace.SpanContext
}

var theShop *shop

var (
	reserve = compensation.Step[string, string]{Name: "Reserve", Do: theShop.Reserve, Undo: theShop.Release}
	weigh   = compensation.Step[string, string]{Name: "Weigh", Do: theShop.Weigh, Undo: theShop.Unweigh, Durable: true}
	pay     = compensation.Step[string, string]{Name: "Pay", Kind: compensation.Pivot, Do: theShop.Pay, Undo: theShop.PreventPay}

	shopPlan = compensation.MustPlan("Shop", reserve, weigh, pay)
)

func buy(ctx workflow.Context, what string) (string, error) {
	return compensation.Run(ctx, shopPlan, func(ctx workflow.Context) (string, error) {
		if _, err := reserve.Run(ctx, what); err != nil {
			return "", err
		}
		if _, err := weigh.Run(ctx, what); err != nil {
			return "", err
		}
		return pay.Run(ctx, what)
	})
}

// next is what the next call of an activity comes to.
func (s *shop) next(ctx context.Context) error {
	s.seen = append(s.seen, trace.SpanContextFromContext(ctx))
	name := activity.GetInfo(ctx).ActivityType.Name
	if len(s.fail[name]) == 0 {
		return nil
	}
	err := s.fail[name][0]
	s.fail[name] = s.fail[name][1:]
	if errors.Is(err, errRefused) {
		return compensation.Refuse(ctx, "no", "no", nil)
	}
	return err
}

var (
	errRefused = errors.New("refused")
	errUnknown = errors.New("no answer")
	errBroken  = temporal.NewNonRetryableApplicationError("broken", "Broken", nil)
)

func (s *shop) Reserve(ctx context.Context, _ compensation.Key, in string) (string, error) {
	return in, s.next(ctx)
}

func (s *shop) Weigh(ctx context.Context, _ compensation.Key, in string) (string, error) {
	return in, s.next(ctx)
}

func (s *shop) Pay(ctx context.Context, _ compensation.Key, in string) (string, error) {
	return in, s.next(ctx)
}
func (s *shop) Release(ctx context.Context, _ compensation.Key) error    { return s.next(ctx) }
func (s *shop) Unweigh(ctx context.Context, _ compensation.Key) error    { return s.next(ctx) }
func (s *shop) PreventPay(ctx context.Context, _ compensation.Key) error { return s.next(ctx) }

// run runs a saga of that ID to its end, but for its last task, which the server has not taken yet. It returns the spans in
// which its steps were called.
func (b *bundle) run(t *testing.T, id string, fail map[string][]error, headers ...*commonpb.Header) []trace.SpanContext {
	t.Helper()
	return b.runAs(t, "Shop", id, fail, headers...)
}

// runAs is run as a workflow of that type.
func (b *bundle) runAs(t *testing.T, workflowType, id string, fail map[string][]error, headers ...*commonpb.Header) []trace.SpanContext {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	var interceptors []interceptor.WorkerInterceptor
	for _, i := range b.options.Interceptors {
		interceptors = append(interceptors, i.(interceptor.WorkerInterceptor))
	}
	env.SetWorkerOptions(worker.Options{Interceptors: interceptors, Plugins: []worker.Plugin{compensation.NewPlugin()}})
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: id, TaskQueue: "test"})
	env.RegisterWorkflowWithOptions(buy, workflow.RegisterOptions{Name: workflowType})
	if len(headers) > 0 && headers[0] != nil {
		env.SetHeader(headers[0])
	}
	services := &shop{fail: fail}
	env.RegisterActivity(services)
	if b.meanwhile != nil {
		b.meanwhile(env)
	}
	env.ExecuteWorkflow(workflowType, "tea")
	require.True(t, env.IsWorkflowCompleted())
	return services.seen
}

// fakeServer is a Temporal server that answers the tasks that a worker has completed, and notes what is started.
type fakeServer struct {
	workflowservice.UnimplementedWorkflowServiceServer
	answers []error
	started *commonpb.Header
	// told is called when a worker tells what it has done.
	told func()
}

// serve returns the server's address.
func (f *fakeServer) serve(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	workflowservice.RegisterWorkflowServiceServer(server, f)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func (f *fakeServer) StartWorkflowExecution(
	_ context.Context, in *workflowservice.StartWorkflowExecutionRequest,
) (*workflowservice.StartWorkflowExecutionResponse, error) {
	f.started = in.GetHeader()
	return &workflowservice.StartWorkflowExecutionResponse{RunId: "run-1"}, nil
}

func (f *fakeServer) RespondWorkflowTaskCompleted(
	context.Context, *workflowservice.RespondWorkflowTaskCompletedRequest,
) (*workflowservice.RespondWorkflowTaskCompletedResponse, error) {
	f.heard()
	err := f.answers[0]
	f.answers = f.answers[1:]
	return &workflowservice.RespondWorkflowTaskCompletedResponse{}, err
}

func (f *fakeServer) RespondActivityTaskCompleted(
	context.Context, *workflowservice.RespondActivityTaskCompletedRequest,
) (*workflowservice.RespondActivityTaskCompletedResponse, error) {
	f.heard()
	return &workflowservice.RespondActivityTaskCompletedResponse{}, nil
}

func (f *fakeServer) RespondActivityTaskFailed(
	context.Context, *workflowservice.RespondActivityTaskFailedRequest,
) (*workflowservice.RespondActivityTaskFailedResponse, error) {
	f.heard()
	return &workflowservice.RespondActivityTaskFailedResponse{}, nil
}

func (f *fakeServer) RespondActivityTaskCanceled(
	context.Context, *workflowservice.RespondActivityTaskCanceledRequest,
) (*workflowservice.RespondActivityTaskCanceledResponse, error) {
	f.heard()
	return &workflowservice.RespondActivityTaskCanceledResponse{}, nil
}

func (f *fakeServer) heard() {
	if f.told != nil {
		f.told()
	}
}

// dial connects to the server as the process does.
func (b *bundle) dial(t *testing.T, server *fakeServer) workflowservice.WorkflowServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(server.serve(t),
		append(b.options.ConnectionOptions.DialOptions, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return workflowservice.NewWorkflowServiceClient(conn)
}

// complete sends a task of the saga with these commands to a server that answers so.
func (b *bundle) complete(t *testing.T, id string, answer error, commands ...enumspb.CommandType) {
	t.Helper()
	_, err := b.dial(t, &fakeServer{answers: []error{answer}}).RespondWorkflowTaskCompleted(t.Context(), taskOf(id, commands...))
	require.Equal(t, answer == nil, err == nil)
}

// taskOf is a task as the SDK completes it, which the end-to-end tests show.
func taskOf(id string, commands ...enumspb.CommandType) *workflowservice.RespondWorkflowTaskCompletedRequest {
	task := &workflowservice.RespondWorkflowTaskCompletedRequest{ResourceId: "workflow:" + id}
	for _, c := range commands {
		task.Commands = append(task.Commands, &commandpb.Command{CommandType: c})
	}
	return task
}

func TestStepsAreCountedByWhatTheyCameTo(t *testing.T) {
	t.Parallel()
	b := setup(t)

	b.run(t, "good", nil)
	b.run(t, "refused", map[string][]error{"Pay": {errRefused}})
	b.run(t, "slow", map[string][]error{"Reserve": {errUnknown, errUnknown, errUnknown, errUnknown}, "PreventPay": {errBroken}})

	series := b.scrape(t)
	require.Equal(t, map[string]float64{
		`attempt="1",mode="express",outcome="done",part="do",step="Reserve",type="Shop"}`:   2,
		`attempt="1",mode="durable",outcome="done",part="do",step="Weigh",type="Shop"}`:     3,
		`attempt="1",mode="express",outcome="done",part="do",step="Pay",type="Shop"}`:       2,
		`attempt="1",mode="express",outcome="refused",part="do",step="Pay",type="Shop"}`:    1,
		`attempt="1",mode="express",outcome="done",part="undo",step="Pay",type="Shop"}`:     1,
		`attempt="1",mode="durable",outcome="done",part="undo",step="Weigh",type="Shop"}`:   1,
		`attempt="1",mode="express",outcome="done",part="undo",step="Reserve",type="Shop"}`: 1,

		`attempt="1",mode="express",outcome="unknown",part="do",step="Reserve",type="Shop"}`:  1,
		`attempt="2",mode="express",outcome="unknown",part="do",step="Reserve",type="Shop"}`:  1,
		`attempt="3",mode="express",outcome="unknown",part="do",step="Reserve",type="Shop"}`:  1,
		`attempt="1",mode="fallback",outcome="unknown",part="do",step="Reserve",type="Shop"}`: 1,
		`attempt="2",mode="fallback",outcome="done",part="do",step="Reserve",type="Shop"}`:    1,
	}, starting(series, "amends_step_tries_total{"))
	require.InDelta(t, 4, series[`amends_step_try_duration_seconds_count{mode="express",part="do",step="Pay"}`]+
		series[`amends_step_try_duration_seconds_count{mode="express",part="undo",step="Pay"}`], 0)
}

func TestOutcomesOfUndos(t *testing.T) {
	t.Parallel()
	b := setup(t)

	b.run(t, "late", map[string][]error{
		"Pay": {errUnknown, errUnknown, errUnknown, errBroken}, "PreventPay": {compensation.Irreversible("too late", nil)},
	})

	tries := starting(b.scrape(t), "amends_step_tries_total{")
	require.InDelta(t, 1, tries[`attempt="1",mode="fallback",outcome="failed",part="do",step="Pay",type="Shop"}`], 0)
	require.InDelta(t, 1, tries[`attempt="1",mode="express",outcome="irreversible",part="undo",step="Pay",type="Shop"}`], 0)
	require.InDelta(t, 1, tries[`attempt="1",mode="express",outcome="done",part="do",step="Pay",type="Shop"}`], 0, "the saga goes forward")
}

// A saga's end is one when the server has taken its last task: its code may have come to its end before, in a task that was
// refused because of a message that came meanwhile.
func TestAnEndIsCountedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const completed, failed, record = enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
		enumspb.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, enumspb.COMMAND_TYPE_RECORD_MARKER
	ended := func() map[string]float64 { return starting(b.scrape(t), "amends_saga_ended_total{") }

	b.run(t, "order-1", nil)
	require.Empty(t, ended(), "the server has not taken it yet")
	b.complete(t, "order-1", status.Error(codes.InvalidArgument, "UnhandledCommand"), record, completed)
	require.Empty(t, ended(), "the server did not take it")
	b.run(t, "order-1", map[string][]error{"Pay": {errRefused}})
	b.complete(t, "order-1", nil, record)
	require.Empty(t, ended(), "the task does not end it")
	b.complete(t, "order-1", nil, record, failed)
	require.Equal(t, map[string]float64{`state="compensated",type="Shop"}`: 1}, ended())
	b.complete(t, "order-1", nil, record, failed)
	require.Equal(t, map[string]float64{`state="compensated",type="Shop"}`: 1}, ended())

	b.run(t, "order-2", nil)
	b.complete(t, "order-2", nil, completed)
	b.runAs(t, "Sweep", "sweep-1", nil)
	b.complete(t, "sweep-1", nil, completed) // no saga
	require.Equal(t, map[string]float64{`state="compensated",type="Shop"}`: 1, `state="completed",type="Shop"}`: 1}, ended())
	require.InDelta(t, 1, b.scrape(t)[`amends_saga_duration_seconds_count{state="completed",type="Shop"}`], 0)
}

// Temporal's SDK counts into the same registry.
func TestFiguresOfTheSDK(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler := b.options.MetricsHandler.WithTags(map[string]string{"namespace": "default"})

	handler.Counter("temporal_request").Inc(2)
	handler.Timer("temporal_request_latency").Record(20 * time.Millisecond)
	handler.WithTags(map[string]string{"service": "payment", "state": "balanced"}).Counter(telemetry.BooksAudits).Inc(1)
	handler.WithTags(map[string]string{"outcome": "skipped"}).Counter(telemetry.SweptSagas).Inc(2)

	series := b.scrape(t)
	require.InDelta(t, 2, series[`temporal_request_total{namespace="default"}`], 0)
	require.InDelta(t, 0, series[`temporal_request_latency_seconds_bucket{namespace="default",le="0.01"}`], 0)
	require.InDelta(t, 1, series[`temporal_request_latency_seconds_bucket{namespace="default",le="0.025"}`], 0)
	require.Equal(t, map[string]float64{`{service="payment",state="balanced"}`: 1}, starting(series, "amends_books_audits_total"))
	require.Equal(t, map[string]float64{`{outcome="skipped"}`: 2}, starting(series, "amends_swept_sagas_total"))
	require.Contains(t, series, "go_goroutines")
	require.Contains(t, series, "process_open_fds")
}

func TestNothingIsCountedForNobody(t *testing.T) {
	t.Parallel()
	shown, err := telemetry.Start(t.Context(), telemetry.Options{})
	require.NoError(t, err)
	var options client.Options
	require.NoError(t, shown.Instrument(&options))
	require.Nil(t, options.MetricsHandler)
	require.Nil(t, shown.Handler())
	require.NoError(t, shown.Stop(t.Context()))
}
