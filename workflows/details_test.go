package workflows_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"

	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// An operator may have given a result in place of the step's, and left out whatever it was.
func TestDetailsOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		step, result string
		want         workflows.Details
	}{
		"whole": {
			"CapturePayment", `{"capture_id":"c","amount":{"amount":0,"currency":"EUR"}}`,
			workflows.Details{Amount: &order.Money{Currency: "EUR"}, Reference: "c"},
		},
		"without the amount":            {"CapturePayment", `{"capture_id":"c"}`, workflows.Details{Reference: "c"}},
		"of another type":               {"CapturePayment", `"done"`, workflows.Details{}},
		"of a step that nobody asks of": {"NotifyCustomer", `{"message_id":"m"}`, workflows.Details{}},
		"of no step":                    {"", `{}`, workflows.Details{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := converter.GetDefaultDataConverter().ToPayloads(json.RawMessage(tt.result))
			require.NoError(t, err)
			require.Equal(t, tt.want, workflows.DetailsOf(tt.step, result))
		})
	}
	require.Zero(t, workflows.DetailsOf("PriceOrder", nil))
}
