package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/compensation"
)

// Registry is what workflows are registered with: a worker, a replayer or a test environment.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers every workflow under its name. What it says about versions counts on workers that have one.
//
// Sagas, and the recoveries of sagas, stay with the version that began them: they may wait for days, and the code of the
// next version need not be able to replay them. What looks after sagas goes to the current version with its next task, so
// that no old worker has to stay for it: a sweep or an audit whose version is gone would keep all after it from running, and
// a batch may take hours, and all its runs would stay with the version of the first. Those therefore have to replay on any
// later version, as everything had to before there were versions.
func Register(r Registry) {
	stays, follows := workflow.VersioningBehaviorPinned, workflow.VersioningBehaviorAutoUpgrade
	r.RegisterWorkflowWithOptions(PlaceOrder, workflow.RegisterOptions{Name: TypePlaceOrder, VersioningBehavior: stays})
	r.RegisterWorkflowWithOptions(ReturnOrder, workflow.RegisterOptions{Name: TypeReturnOrder, VersioningBehavior: stays})
	r.RegisterWorkflowWithOptions(RecoverSaga, workflow.RegisterOptions{Name: TypeRecoverSaga, VersioningBehavior: stays})
	r.RegisterWorkflowWithOptions(ActOnSagas, workflow.RegisterOptions{Name: TypeActOnSagas, VersioningBehavior: follows})
	r.RegisterWorkflowWithOptions(SweepSagas, workflow.RegisterOptions{Name: TypeSweepSagas, VersioningBehavior: follows})
	r.RegisterWorkflowWithOptions(AuditBooks, workflow.RegisterOptions{Name: TypeAuditBooks, VersioningBehavior: follows})
}

// checkLimits refuses a saga whose time limits Temporal would cut short, or that are over before it starts.
func checkLimits(revision int, within, deadline time.Duration) error {
	if revision < 3 {
		return nil
	}
	for _, limit := range []time.Duration{within, deadline} {
		if limit < 0 || limit > compensation.MaxWait {
			return temporal.NewNonRetryableApplicationError(
				fmt.Sprintf("a time limit of %s: must be from 0 to %s, the longest that Temporal keeps", limit, compensation.MaxWait), ErrTypeTimeLimit, nil)
		}
	}
	return nil
}

// planOf is the plan as a saga of that revision runs it.
func planOf(plan *compensation.Plan, revision int, deadline time.Duration) *compensation.Plan {
	switch {
	case revision < 2:
		return plan.Durable().AtRevision(1)
	case revision < 3:
		return plan.WithDeadline(deadline).AtRevision(1)
	}
	return plan.WithDeadline(deadline).RequirePivot()
}
