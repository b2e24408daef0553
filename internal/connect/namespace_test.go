package connect_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"

	"github.com/amends-dev/amends/internal/connect"
)

// cluster is a Temporal that notices what was made some seconds later.
type cluster struct {
	client.Client                         // panics on what nobody has business calling
	operatorservice.OperatorServiceClient // so do these

	retention  time.Duration // 0: there is no namespace
	has        map[string]enumspb.IndexedValueType
	namespace  time.Time // when it can be used
	attributes time.Time // when they can be asked for
	refuses    error
}

// frontend is a cluster as workflowservice sees it.
type frontend struct {
	workflowservice.WorkflowServiceClient
	*cluster
}

func (c *cluster) WorkflowService() workflowservice.WorkflowServiceClient {
	return frontend{cluster: c}
}
func (c *cluster) OperatorService() operatorservice.OperatorServiceClient { return c }

const lag = 10 * time.Second

func (c frontend) DescribeNamespace(
	context.Context, *workflowservice.DescribeNamespaceRequest, ...grpc.CallOption,
) (*workflowservice.DescribeNamespaceResponse, error) {
	if c.retention == 0 {
		return nil, serviceerror.NewNamespaceNotFound("orders")
	}
	return &workflowservice.DescribeNamespaceResponse{}, nil
}

func (c frontend) RegisterNamespace(
	_ context.Context, r *workflowservice.RegisterNamespaceRequest, _ ...grpc.CallOption,
) (*workflowservice.RegisterNamespaceResponse, error) {
	if c.refuses != nil {
		return nil, c.refuses
	}
	c.retention, c.namespace = r.GetWorkflowExecutionRetentionPeriod().AsDuration(), time.Now().Add(lag)
	return &workflowservice.RegisterNamespaceResponse{}, nil
}

func (c *cluster) ListSearchAttributes(
	context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption,
) (*operatorservice.ListSearchAttributesResponse, error) {
	if time.Now().Before(c.namespace) {
		return nil, serviceerror.NewNamespaceNotFound("orders")
	}
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: c.has}, nil
}

func (c *cluster) AddSearchAttributes(
	_ context.Context, r *operatorservice.AddSearchAttributesRequest, _ ...grpc.CallOption,
) (*operatorservice.AddSearchAttributesResponse, error) {
	if time.Now().Before(c.namespace) || c.refuses != nil {
		return nil, errors.Join(c.refuses, errors.New("not yet"))
	}
	c.attributes = time.Now().Add(lag)
	if c.has == nil {
		c.has = map[string]enumspb.IndexedValueType{}
	}
	for name, kind := range r.GetSearchAttributes() {
		c.has[name] = kind
	}
	return &operatorservice.AddSearchAttributesResponse{}, nil
}

func (c frontend) CountWorkflowExecutions(
	context.Context, *workflowservice.CountWorkflowExecutionsRequest, ...grpc.CallOption,
) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	if time.Now().Before(c.attributes) {
		return nil, errors.New("no such search attribute")
	}
	return &workflowservice.CountWorkflowExecutionsResponse{}, nil
}

var orders = connect.Namespace{
	Name: "orders", Retention: 35 * 24 * time.Hour,
	SearchAttributes: []temporal.SearchAttributeKey{
		temporal.NewSearchAttributeKeyKeyword("SagaState"), temporal.NewSearchAttributeKeyTime("ParkedSince"),
	},
}

func TestPrepareMakesWhatIsMissing(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		there cluster
		want  []string
		takes time.Duration
	}{
		"all of it": {want: []string{"namespace orders", "search attribute SagaState", "search attribute ParkedSince"}, takes: 2 * lag},
		"one search attribute": {
			there: cluster{retention: time.Hour, has: map[string]enumspb.IndexedValueType{"SagaState": enumspb.INDEXED_VALUE_TYPE_KEYWORD}},
			want:  []string{"search attribute ParkedSince"}, takes: lag,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &tt.there
				wasThere := c.retention
				pending, err := orders.Pending(t.Context(), c)
				require.NoError(t, err)
				require.Equal(t, tt.want, pending)

				began := time.Now()
				made, err := orders.Prepare(t.Context(), c)
				require.NoError(t, err)
				require.Equal(t, tt.want, made)
				require.Equal(t, tt.takes, time.Since(began), "it can be used when Prepare returns")
				if wasThere == 0 {
					require.Equal(t, orders.Retention, c.retention)
				} else {
					require.Equal(t, wasThere, c.retention, "what is there stays as it is")
				}

				made, err = orders.Prepare(t.Context(), c)
				require.NoError(t, err)
				require.Empty(t, made)
			})
		})
	}
}

func TestPrepareIsRefused(t *testing.T) {
	t.Parallel()

	_, err := orders.Prepare(t.Context(), &cluster{refuses: errors.New("not here")})
	require.EqualError(t, err, "make namespace orders: not here")
	_, err = orders.Prepare(t.Context(), &cluster{retention: time.Hour, refuses: errors.New("not here")})
	require.ErrorContains(t, err, "add search attributes to namespace orders: not here")
	text := map[string]enumspb.IndexedValueType{"SagaState": enumspb.INDEXED_VALUE_TYPE_TEXT}
	_, err = orders.Prepare(t.Context(), &cluster{retention: time.Hour, has: text})
	require.ErrorContains(t, err, "search attribute SagaState is of type Text, not Keyword")
}

func TestPollGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := connect.Poll(t.Context(), "a miracle", func(context.Context) error { return errors.New("none yet") })
		require.EqualError(t, err, "wait for a miracle: context deadline exceeded (last answer: none yet)")
		require.Equal(t, time.Minute, time.Since(began))
	})
}
