package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
)

// A cancel that is not decided in time is answered as undecided, whichever request waits for the decision.
func TestUndecidedCancel(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]error{
		"not answered in time": contextDeadline(),
		"after another one":    temporal.NewNonRetryableApplicationError("it finds out", compensation.ErrTypeUndecided, nil, compensation.Running),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.started(t, "/v1/orders", exampleOrder)
			b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return nil, said }
			a := b.post(t, "/v1/orders/"+orderID+"/cancel", "")
			require.Equal(t, 202, a.status, a.body)
			require.Equal(t, "running", a.json(t, "state"))
			require.Equal(t, true, a.json(t, "undecided"))

			b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }
			a = b.post(t, "/v1/orders/"+orderID+"/cancel", "")
			require.Equal(t, 202, a.status, a.body)
			require.NotContains(t, a.body, "undecided")
		})
	}
}
