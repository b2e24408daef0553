package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/workflows"
)

// names are the workflow types that are registered.
type names []string

func (n *names) RegisterWorkflowWithOptions(_ any, options workflow.RegisterOptions) {
	*n = append(*n, options.Name)
}

func TestPlansAreOfEverySaga(t *testing.T) {
	t.Parallel()

	registered := names{}
	workflows.Register(&registered)
	planned := names{workflows.TypeRecoverSaga, workflows.TypeSweepSagas, workflows.TypeAuditBooks, workflows.TypeActOnSagas} // which look after sagas
	for _, plan := range workflows.Plans() {
		planned = append(planned, plan.Name())
	}
	require.ElementsMatch(t, registered, planned)
}
