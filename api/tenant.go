package api

import (
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/workflows"
)

// sees tells whether the saga is there for the caller.
func sees(c access.Caller, info *workflowpb.WorkflowExecutionInfo) bool {
	switch c.Role {
	case access.Admin:
		return true
	case access.Viewer, access.Operator:
		return attribute(info, workflows.SearchAttributeTenant) == c.Tenant
	case access.Starter:
		return attribute(info, workflows.SearchAttributeTenant) == c.Tenant && attribute(info, workflows.SearchAttributeStarter) == c.ID()
	}
	return false
}

// seenBy are the conditions of a query that leave out what the caller does not see. Names have no quotes: package access
// lets none pass.
func seenBy(c access.Caller) []string {
	if c.Role == access.Admin {
		return nil
	}
	conditions := []string{attributeIn(workflows.SearchAttributeTenant.GetName(), []string{c.Tenant})}
	if c.Role == access.Starter {
		conditions = append(conditions, attributeIn(workflows.SearchAttributeStarter.GetName(), []string{c.ID()}))
	}
	return conditions
}

// attribute is a search attribute of a saga, "" if it is not there.
func attribute(info *workflowpb.WorkflowExecutionInfo, key temporal.SearchAttributeKeyKeyword) string {
	return text(info.GetSearchAttributes().GetIndexedFields()[key.GetName()])
}
