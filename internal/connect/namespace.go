package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Namespace is what sagas need in Temporal.
type Namespace struct {
	Name             string
	SearchAttributes []temporal.SearchAttributeKey
	// Retention is how long ended workflows are kept in a namespace that Prepare makes. One that is there keeps its own.
	Retention time.Duration
}

// Pending says what Prepare would make, and makes nothing.
func (n Namespace) Pending(ctx context.Context, c client.Client) ([]string, error) {
	registered, missing, err := n.missing(ctx, c)
	return n.words(registered, missing), err
}

func (n Namespace) words(registered bool, missing []temporal.SearchAttributeKey) []string {
	var words []string
	if !registered {
		words = append(words, "namespace "+n.Name)
	}
	for _, attribute := range missing {
		words = append(words, "search attribute "+attribute.GetName())
	}
	return words
}

// Prepare makes what is missing, and says what that was once it can be used. It may be called again after an error.
func (n Namespace) Prepare(ctx context.Context, c client.Client) ([]string, error) {
	registered, missing, err := n.missing(ctx, c)
	if err != nil {
		return nil, err
	}
	if !registered {
		if err := n.register(ctx, c); err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 {
		types := make(map[string]enumspb.IndexedValueType, len(missing))
		for _, attribute := range missing {
			types[attribute.GetName()] = attribute.GetValueType()
		}
		if err := AddSearchAttributes(ctx, c.WorkflowService(), c.OperatorService(), n.Name, types); err != nil {
			return nil, err
		}
	}
	return n.words(registered, missing), nil
}

// missing says whether the namespace is there, and which search attributes are not.
func (n Namespace) missing(ctx context.Context, c client.Client) (registered bool, missing []temporal.SearchAttributeKey, err error) {
	var unknown *serviceerror.NamespaceNotFound
	var incomplete *IncompleteError
	_, err = c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: n.Name})
	if errors.As(err, &unknown) {
		return false, n.SearchAttributes, nil
	}
	if err != nil {
		return true, nil, fmt.Errorf("look for namespace %s: %w", n.Name, err)
	}
	err = CheckSearchAttributes(ctx, c, n.Name, n.SearchAttributes)
	if errors.As(err, &incomplete) {
		return true, incomplete.Missing, nil
	}
	return true, nil, err
}

// register returns when the namespace can be used, which the server takes some seconds to notice.
func (n Namespace) register(ctx context.Context, c client.Client) error {
	_, err := c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: n.Name, WorkflowExecutionRetentionPeriod: durationpb.New(n.Retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if err != nil && !errors.As(err, &exists) { // somebody else may be at it, too
		return fmt.Errorf("make namespace %s: %w", n.Name, err)
	}
	return Poll(ctx, "namespace "+n.Name, func(ctx context.Context) error {
		_, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: n.Name})
		return err
	})
}

// AddSearchAttributes returns when they can be asked for, which the server takes as long to notice.
func AddSearchAttributes(
	ctx context.Context, frontend workflowservice.WorkflowServiceClient, operator operatorservice.OperatorServiceClient,
	namespace string, types map[string]enumspb.IndexedValueType,
) error {
	if _, err := operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: types,
	}); err != nil {
		return fmt.Errorf("add search attributes to namespace %s: %w", namespace, err)
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if err := Poll(ctx, "search attribute "+name, func(ctx context.Context) error {
			_, err := frontend.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{
				Namespace: namespace, Query: fmt.Sprintf("`%s` IS NULL", name),
			})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// pollLimit bounds each wait for a server that starts, or for its caches, which it reads again every ten seconds.
const pollLimit = time.Minute

// Poll calls try every few milliseconds until it succeeds, for at most a minute.
func Poll(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last answer: %w)", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}
