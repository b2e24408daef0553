package api_test

import (
	"context"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"github.com/amends-dev/amends/workflows"
)

func (f *fakeTemporal) OperatorService() operatorservice.OperatorServiceClient {
	return fakeOperator{temporal: f}
}

func (f *fakeTemporal) WorkflowService() workflowservice.WorkflowServiceClient {
	return fakeService{temporal: f}
}

type fakeService struct {
	workflowservice.WorkflowServiceClient
	temporal *fakeTemporal
}

func (s fakeService) DescribeNamespace(
	context.Context, *workflowservice.DescribeNamespaceRequest, ...grpc.CallOption,
) (*workflowservice.DescribeNamespaceResponse, error) {
	s.temporal.mu.Lock()
	defer s.temporal.mu.Unlock()
	if s.temporal.down != nil {
		return nil, s.temporal.down
	}
	return &workflowservice.DescribeNamespaceResponse{NamespaceInfo: &namespacepb.NamespaceInfo{Id: "8f7a"}}, nil
}

type fakeOperator struct {
	operatorservice.OperatorServiceClient
	temporal *fakeTemporal
}

func (o fakeOperator) ListSearchAttributes(
	context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption,
) (*operatorservice.ListSearchAttributesResponse, error) {
	o.temporal.mu.Lock()
	defer o.temporal.mu.Unlock()
	if o.temporal.down != nil {
		return nil, o.temporal.down
	}
	r := &operatorservice.ListSearchAttributesResponse{CustomAttributes: map[string]enumspb.IndexedValueType{}}
	for _, key := range workflows.SearchAttributes() {
		if key.GetName() != o.temporal.lacking {
			r.CustomAttributes[key.GetName()] = key.GetValueType()
		}
	}
	return r, nil
}
