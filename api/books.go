package api

import (
	"context"
	"fmt"

	"github.com/amends-dev/amends/workflows"
)

// books are the step services' books, as they were asked last.
type books struct {
	*workflows.Books
	WebUI string `json:"web_ui,omitempty" format:"uri" doc:"The workflow that asked, in the Temporal Web UI."`
}

// books is what the last audit that is over found; nil if none is.
func (s *server) books(ctx context.Context) (*books, error) {
	found, err := s.find(ctx, fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Completed'", workflows.TypeAuditBooks), 1, nil)
	if err != nil || len(found.GetExecutions()) == 0 {
		return nil, err
	}
	audit := found.GetExecutions()[0].GetExecution()
	b := &books{WebUI: s.webUI(audit.GetWorkflowId())}
	if err := s.temporal.GetWorkflow(ctx, audit.GetWorkflowId(), audit.GetRunId()).Get(ctx, &b.Books); err != nil {
		return nil, fmt.Errorf("read the audit %s: %w", audit.GetWorkflowId(), err)
	}
	return b, nil
}
