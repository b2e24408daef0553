package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// Registry is what workflows are registered with: a worker, a replayer or a test environment.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers every workflow under its name.
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(PlaceOrder, workflow.RegisterOptions{Name: TypePlaceOrder})
	r.RegisterWorkflowWithOptions(ReturnOrder, workflow.RegisterOptions{Name: TypeReturnOrder})
	r.RegisterWorkflowWithOptions(RecoverSaga, workflow.RegisterOptions{Name: TypeRecoverSaga})
	r.RegisterWorkflowWithOptions(ActOnSagas, workflow.RegisterOptions{Name: TypeActOnSagas})
	r.RegisterWorkflowWithOptions(SweepSagas, workflow.RegisterOptions{Name: TypeSweepSagas})
	r.RegisterWorkflowWithOptions(AuditBooks, workflow.RegisterOptions{Name: TypeAuditBooks})
}

// planOf is the plan as a saga of that revision runs it.
func planOf(plan *compensation.Plan, revision int, deadline time.Duration) *compensation.Plan {
	if revision < 2 {
		return plan.Durable()
	}
	return plan.WithDeadline(deadline)
}
