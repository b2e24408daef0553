package workflows_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/workflows"
)

func TestAuditBooks(t *testing.T) {
	t.Parallel()

	payment := activities.ServiceBooks{Service: "payment", State: activities.BooksBalanced}
	for name, tt := range map[string]struct {
		other    activities.ServiceBooks
		balanced bool
	}{
		"all balance":           {activities.ServiceBooks{Service: "pricing", State: activities.BooksBalanced}, true},
		"one does not":          {activities.ServiceBooks{Service: "pricing", State: activities.BooksUnbalanced, Findings: []string{"a row too many"}}, false},
		"one could not be read": {activities.ServiceBooks{Service: "pricing", State: activities.BooksUnknown, Error: "away"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := newAuditEnv([]activities.ServiceBooks{tt.other, payment}, nil)
			env.ExecuteWorkflow(workflows.TypeAuditBooks, workflows.AuditInput{})

			var books workflows.Books
			require.NoError(t, env.GetWorkflowResult(&books))
			require.Equal(t, workflows.Books{
				AuditedAt: books.AuditedAt, Balanced: tt.balanced, Services: []activities.ServiceBooks{tt.other, payment},
			}, books)
			require.False(t, books.AuditedAt.IsZero())
		})
	}
}

func TestAuditBooksGivesUp(t *testing.T) {
	t.Parallel()
	env := newAuditEnv(nil, errors.New("the worker has no memory"))
	env.ExecuteWorkflow(workflows.TypeAuditBooks, workflows.AuditInput{})
	require.ErrorContains(t, env.GetWorkflowError(), "the worker has no memory")
}

func newAuditEnv(found []activities.ServiceBooks, err error) *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	workflows.Register(env)
	var books *activities.Books
	env.RegisterActivity(books)
	env.OnActivity(books.AuditBooks, mock.Anything).Return(found, err)
	return env
}
