package devserver

import (
	"context"
	"fmt"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/server/common/config"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/amends-dev/amends/internal/connect"
)

// SearchAttributes are the keys as Options takes them.
func SearchAttributes(keys []temporal.SearchAttributeKey) map[string]enums.IndexedValueType {
	attributes := make(map[string]enums.IndexedValueType, len(keys))
	for _, k := range keys {
		attributes[k.GetName()] = k.GetValueType()
	}
	return attributes
}

// createNamespace writes the namespace into the database when it is not there.
// Through the API it would take the running server seconds to notice it. The
// function it uses is named after SQLite but works on any SQL store.
func createNamespace(db config.SQL, o Options) error {
	ns, err := sqliteschema.NewNamespaceConfig(clusterName, o.Namespace, false, o.SearchAttributes)
	if err != nil {
		return fmt.Errorf("namespace %s: %w", o.Namespace, err)
	}
	ns.Detail.Config.Retention = durationpb.New(Retention)
	if err := sqliteschema.CreateNamespaces(&db, ns); err != nil {
		return fmt.Errorf("namespace %s: %w", o.Namespace, err)
	}
	return nil
}

// addSearchAttributes adds those that a namespace made earlier lacks, and returns
// when they can be used.
func addSearchAttributes(ctx context.Context, conn grpc.ClientConnInterface, o Options) error {
	operator := operatorservice.NewOperatorServiceClient(conn)
	have, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: o.Namespace})
	if err != nil {
		return fmt.Errorf("list search attributes: %w", err)
	}
	missing := make(map[string]enums.IndexedValueType)
	for name, kind := range o.SearchAttributes {
		if have.GetCustomAttributes()[name] == enums.INDEXED_VALUE_TYPE_UNSPECIFIED {
			missing[name] = kind
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return connect.AddSearchAttributes(ctx, workflowservice.NewWorkflowServiceClient(conn), operator, o.Namespace, missing)
}
