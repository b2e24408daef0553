package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
)

// bookkeeper is for its method names only, as the participants are.
var bookkeeper *activities.Books

// AuditInput starts AuditBooks.
type AuditInput struct{}

// Books are the step services' books, as AuditBooks found them.
type Books struct {
	AuditedAt time.Time `json:"audited_at" doc:"When the services were asked."`
	// Balanced is true when every service that keeps books answered, and none has findings.
	Balanced bool                      `json:"balanced" doc:"Whether every service that keeps books answered that they balance."`
	Services []activities.ServiceBooks `json:"services" nullable:"false" doc:"Those that keep books, in the order in which an order meets them."`
}

// auditWithin is how long the services may take to read their books.
const auditWithin = 2 * time.Minute

// AuditBooks asks the step services whether their books balance. It changes nothing and may run any number of times.
func AuditBooks(ctx workflow.Context, _ AuditInput) (Books, error) {
	books := Books{AuditedAt: workflow.Now(ctx).UTC(), Balanced: true}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: auditWithin,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 3}, // the next audit comes soon
		Summary:             "do the books balance?",
	})
	if err := workflow.ExecuteActivity(ctx, bookkeeper.AuditBooks).Get(ctx, &books.Services); err != nil {
		return Books{}, err
	}
	for _, service := range books.Services {
		books.Balanced = books.Balanced && service.State == activities.BooksBalanced
	}
	return books, nil
}
