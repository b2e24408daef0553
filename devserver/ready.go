package devserver

import (
	"context"
	"fmt"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	servercommon "go.temporal.io/server/common"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/amends-dev/amends/internal/connect"
)

// waitReady returns when every history shard answers and the search attributes
// can be used.
func waitReady(ctx context.Context, addr string, o Options) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	frontend := workflowservice.NewWorkflowServiceClient(conn)
	var namespace *workflowservice.DescribeNamespaceResponse
	if err := connect.Poll(ctx, "namespace "+o.Namespace, func(ctx context.Context) error {
		namespace, err = frontend.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: o.Namespace})
		return err
	}); err != nil {
		return err
	}
	for _, id := range oneWorkflowPerShard(namespace.GetNamespaceInfo().GetId(), o.HistoryShards) {
		if err := connect.Poll(ctx, "history", func(ctx context.Context) error {
			return serving(ctx, frontend, o.Namespace, id)
		}); err != nil {
			return err
		}
	}
	return addSearchAttributes(ctx, conn, o)
}

// oneWorkflowPerShard returns workflow IDs that together belong to all shards.
func oneWorkflowPerShard(namespaceID string, shards int) []string {
	byShard := make(map[int32]string)
	var ids []string
	for i := 0; len(ids) < shards; i++ {
		id := fmt.Sprintf("ready-%d", i)
		shard := servercommon.WorkflowIDToHistoryShard(namespaceID, id, int32(shards))
		if byShard[shard] == "" {
			byShard[shard] = id
			ids = append(ids, id)
		}
	}
	return ids
}

// serving fails until the history shard of workflowID answers: with "not found",
// since there is no such workflow.
func serving(ctx context.Context, frontend workflowservice.WorkflowServiceClient, namespace, workflowID string) error {
	_, err := frontend.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: namespace,
		Execution: &common.WorkflowExecution{WorkflowId: workflowID},
	})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}
