package workflows

import "go.temporal.io/sdk/workflow"

// Registry is what workflows are registered with: a worker, a replayer or a test environment.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers every saga under its name.
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(PlaceOrder, workflow.RegisterOptions{Name: TypePlaceOrder})
	r.RegisterWorkflowWithOptions(ReturnOrder, workflow.RegisterOptions{Name: TypeReturnOrder})
}
