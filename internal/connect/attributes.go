package connect

import (
	"context"
	"fmt"
	"strings"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// IncompleteError says that a namespace lacks search attributes, and how to make them.
type IncompleteError struct {
	Namespace string
	Missing   []temporal.SearchAttributeKey
}

func (e *IncompleteError) Error() string {
	var names, flags []string
	for _, a := range e.Missing {
		names = append(names, a.GetName())
		flags = append(flags, fmt.Sprintf("--name %s --type %s", a.GetName(), a.GetValueType()))
	}
	return fmt.Sprintf("namespace %s has no search attribute %s: make it with `temporal operator search-attribute create --namespace %s %s`",
		e.Namespace, strings.Join(names, ", "), e.Namespace, strings.Join(flags, " "))
}

// CheckSearchAttributes finds out at once what would otherwise fail the start of every saga, or the saga when it turns
// back. The error is an [*IncompleteError] if the namespace lacks some.
func CheckSearchAttributes(ctx context.Context, c client.Client, namespace string, want []temporal.SearchAttributeKey) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes of namespace %s: %w", namespace, err)
	}
	incomplete := &IncompleteError{Namespace: namespace}
	for _, attribute := range want {
		switch got, ok := have.GetCustomAttributes()[attribute.GetName()]; {
		case !ok:
			incomplete.Missing = append(incomplete.Missing, attribute)
		case got != attribute.GetValueType():
			return fmt.Errorf("search attribute %s is of type %s, not %s", attribute.GetName(), got, attribute.GetValueType())
		}
	}
	if len(incomplete.Missing) > 0 {
		return incomplete
	}
	return nil
}
