package connect_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	temporalsdk "go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/payload"
)

// recorder is a Temporal that keeps what it is sent, and sends what it is told to.
type recorder struct {
	workflowservice.UnimplementedWorkflowServiceServer

	address string

	mu       sync.Mutex
	failures []*failurepb.Failure
	// refusals is how many requests are answered that the server is busy.
	refusals int
	// unsent are the answers to updates; the last one repeats if always is set. holds, if set, answers the first update
	// after them.
	unsent  []error
	always  bool
	holds   func()
	updates int
	memo    *commonpb.Payload
	history *workflowservice.GetWorkflowExecutionHistoryResponse
}

func serveRecorder(t *testing.T) *recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r, server := &recorder{address: listener.Addr().String()}, grpc.NewServer()
	workflowservice.RegisterWorkflowServiceServer(server, r)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-ended)
	})
	return r
}

func (r *recorder) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{Capabilities: &workflowservice.GetSystemInfoResponse_Capabilities{InternalErrorDifferentiation: true}}, nil
}

func (r *recorder) RespondActivityTaskFailed(
	_ context.Context, req *workflowservice.RespondActivityTaskFailedRequest,
) (*workflowservice.RespondActivityTaskFailedResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, req.GetFailure())
	if r.refusals > 0 {
		r.refusals--
		return nil, status.Error(codes.Unavailable, "busy")
	}
	return &workflowservice.RespondActivityTaskFailedResponse{}, nil
}

func (r *recorder) info() *workflowpb.WorkflowExecutionInfo {
	return &workflowpb.WorkflowExecutionInfo{Memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{"cause": proto.CloneOf(r.memo)}}}
}

func (r *recorder) ListWorkflowExecutions(
	context.Context, *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return &workflowservice.ListWorkflowExecutionsResponse{Executions: []*workflowpb.WorkflowExecutionInfo{r.info()}}, nil
}

func (r *recorder) DescribeWorkflowExecution(
	context.Context, *workflowservice.DescribeWorkflowExecutionRequest,
) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: r.info()}, nil
}

func (r *recorder) GetWorkflowExecutionHistory(
	context.Context, *workflowservice.GetWorkflowExecutionHistoryRequest,
) (*workflowservice.GetWorkflowExecutionHistoryResponse, error) {
	return r.history, nil
}

func cipherIn(t *testing.T) payload.Codec {
	t.Helper()
	file := payload.KeyFile{Path: filepath.Join(t.TempDir(), "keys.toml")}
	_, err := file.Rotate(t.Context())
	require.NoError(t, err)
	c, err := payload.OpenCipher(t.Context(), file, slog.Default())
	require.NoError(t, err)
	return c
}

// dial connects to the recorder with that codec.
func (r *recorder) dial(t *testing.T, codec payload.Codec) client.Client {
	t.Helper()
	options, err := connect.Encoded(client.Options{HostPort: r.address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}, codec)
	require.NoError(t, err)
	c, err := connect.Dial(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// What is sent again since the server was busy is encoded once all the same. The SDK's interceptors alone would send
// "Encoded failure" for the text of the failure the second time.
func TestRetriesKeepTheFailure(t *testing.T) {
	t.Parallel()
	temporal, codec := serveRecorder(t), cipherIn(t)
	temporal.refusals = 2
	c := temporal.dial(t, codec)

	const refused = "card 4000-0000-0000-0002 declined"
	require.NoError(t, c.CompleteActivity(t.Context(), []byte("token"), nil, serviceerror.NewInternal(refused)))
	require.Len(t, temporal.failures, 3)
	for _, f := range temporal.failures {
		require.NotContains(t, f.String(), "declined")
		read, err := codec.Decode(t.Context(), []*commonpb.Payload{f.GetEncodedAttributes()})
		require.NoError(t, err)
		f.EncodedAttributes = read[0]
		converter.DecodeCommonFailureAttributes(converter.GetDefaultDataConverter(), f)
		require.Equal(t, refused, f.GetMessage())
	}
}

// What cannot be read is an error at once, since asking again would not help; but it does not hide the rest of a list.
func TestWithoutTheKey(t *testing.T) {
	t.Parallel()
	temporal, writer := serveRecorder(t), cipherIn(t)
	plain, err := converter.GetDefaultDataConverter().ToPayload("out of stock")
	require.NoError(t, err)
	sealed, err := writer.Encode(t.Context(), []*commonpb.Payload{plain})
	require.NoError(t, err)
	temporal.memo = sealed[0]
	cause := func(info *workflowpb.WorkflowExecutionInfo) *commonpb.Payload {
		return info.GetMemo().GetFields()["cause"]
	}

	reader := temporal.dial(t, writer)
	described, err := reader.DescribeWorkflowExecution(t.Context(), "order-1", "")
	require.NoError(t, err)
	require.True(t, proto.Equal(plain, cause(described.GetWorkflowExecutionInfo())))
	list, err := reader.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{})
	require.NoError(t, err)
	require.True(t, proto.Equal(plain, cause(list.GetExecutions()[0])))

	for want, codec := range map[string]payload.Codec{
		"payload cannot be read: its key ":         cipherIn(t),
		"payload cannot be read: it is encrypted,": nil,
	} {
		stranger := temporal.dial(t, codec)
		_, err = stranger.DescribeWorkflowExecution(t.Context(), "order-1", "")
		var lost *serviceerror.DataLoss
		require.ErrorAs(t, err, &lost)
		require.ErrorContains(t, err, want)
		list, err = stranger.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{})
		require.NoError(t, err)
		require.True(t, proto.Equal(sealed[0], cause(list.GetExecutions()[0])))
	}
}

// absent is a store that comes back at the third try.
type absent struct {
	payload.Codec

	tries *int
}

func (a absent) Encode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if *a.tries++; *a.tries < 3 {
		return nil, payload.ErrUnavailable
	}
	return a.Codec.Encode(ctx, payloads)
}

// A store that is away for a moment is asked again, as Temporal would be.
func TestStoreThatIsAway(t *testing.T) {
	t.Parallel()
	temporal, tries := serveRecorder(t), 0
	c := temporal.dial(t, absent{cipherIn(t), &tries})
	require.NoError(t, c.CompleteActivity(t.Context(), []byte("token"), nil, temporalsdk.NewApplicationError("declined", "Refused", "a detail")))
	require.Equal(t, 3, tries)
	require.Len(t, temporal.failures, 1)
}

// Without encryption, a failure's text stays where people look for it.
func TestOnlyEncryptionHidesFailures(t *testing.T) {
	t.Parallel()
	temporal := serveRecorder(t)
	codec, err := payload.Open(t.Context(), payload.Config{Store: "file://" + t.TempDir(), StoreAbove: 10})
	require.NoError(t, err)
	large := strings.Repeat("x", 1000)
	require.NoError(t, temporal.dial(t, codec).CompleteActivity(t.Context(), []byte("token"), nil,
		temporalsdk.NewApplicationError("declined", "Refused", large)))
	require.Equal(t, "declined", temporal.failures[0].GetMessage())
	require.NotContains(t, temporal.failures[0].String(), large)
}

// A server can be set to send histories in a form that the interceptors don't see into. Replayed like that, sagas would fail.
func TestRawHistoriesAreRefused(t *testing.T) {
	t.Parallel()
	temporal := serveRecorder(t)
	temporal.history = &workflowservice.GetWorkflowExecutionHistoryResponse{RawHistory: []*commonpb.DataBlob{{Data: []byte{1}}}}
	_, err := temporal.dial(t, cipherIn(t)).GetWorkflowHistory(t.Context(), "order-1", "", false, 0).Next()
	require.ErrorContains(t, err, "system.sendRawWorkflowHistory")

	temporal.history = &workflowservice.GetWorkflowExecutionHistoryResponse{
		History: &historypb.History{Events: []*historypb.HistoryEvent{{EventId: 1}}},
	}
	event, err := temporal.dial(t, cipherIn(t)).GetWorkflowHistory(t.Context(), "order-1", "", false, 0).Next()
	require.NoError(t, err)
	require.Equal(t, int64(1), event.GetEventId())
}
