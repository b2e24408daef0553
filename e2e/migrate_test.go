package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/pgtest"
)

// TestMigrate prepares an empty PostgreSQL and a Temporal without the namespace, twice.
func TestMigrate(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t), servicesDSN: pgtest.DSN(t)}
	s.startTemporal()
	migrate := func(flags ...string) (string, error) {
		t.Helper()
		args := append([]string{"migrate", "--dsn", s.servicesDSN, "--data", filepath.Join(s.dir, "none")}, flags...)
		p, err := launch(t, "migrate", binaries.amends, append(s.temporalEnv(), "TEMPORAL_NAMESPACE=orders"), args...)
		require.NoError(t, err)
		<-p.done
		return p.out.String(), p.err
	}

	missing, err := migrate("--check", "inventory", "payment")
	require.ErrorContains(t, err, "exit status 1")
	require.Equal(t, `missing: service inventory: step_ledger, 00001_inventory.sql, 00002_stock.sql, 00003_imports.sql, 00004_undo_reasons.sql
missing: service payment: step_ledger, 00001_payment.sql, 00002_cards.sql, 00003_imports.sql, 00004_undo_reasons.sql
missing: namespace orders
missing: search attribute SagaState
missing: search attribute ParkedSince
missing: search attribute SagaStep
missing: search attribute SagaCustomer
missing: search attribute SagaTenant
missing: search attribute SagaStarter
amends: not all is there: amends migrate makes it
`, missing)

	made, err := migrate("--namespace-retention", "48h", "inventory", "payment")
	require.NoError(t, err, made)
	want, _, _ := strings.Cut(strings.ReplaceAll(missing, "missing: ", "made: "), "amends: ")
	require.Equal(t, want, made)
	namespace, err := s.dial().WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "orders"})
	require.NoError(t, err)
	require.Equal(t, 48*time.Hour, namespace.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())

	made, err = migrate("inventory", "payment")
	require.NoError(t, err)
	require.Equal(t, "nothing to do\n", made)
	missing, err = migrate("--check", "inventory", "payment")
	require.NoError(t, err)
	require.Equal(t, "nothing is missing\n", missing)
}
