package services_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/servicetest"
)

// Every step is where the activities look for it, under the name that the faults know.
func TestEveryStepIsServed(t *testing.T) {
	t.Parallel()
	base := servicetest.Serve(t, services.Config{Dir: t.TempDir(), Faults: true, Logger: quiet})
	for path, step := range map[string]string{
		"pricing/quotes":             "PriceOrder",
		"fraud/screenings":           "ScreenFraud",
		"inventory/reservations":     "ReserveStock",
		"inventory/commitments":      "CommitStock",
		"inventory/inspections":      "InspectGoods",
		"inventory/restocks":         "RestockGoods",
		"vouchers/redemptions":       "RedeemVoucher",
		"loyalty/holds":              "HoldPoints",
		"loyalty/awards":             "AwardPoints",
		"loyalty/takebacks":          "TakeBackPoints",
		"payment/authorizations":     "AuthorizePayment",
		"payment/captures":           "CapturePayment",
		"payment/refunds":            "RefundPayment",
		"shipping/shipments":         "BookShipment",
		"shipping/dispatches":        "DispatchShipment",
		"shipping/returns":           "BookReturn",
		"invoicing/invoices":         "IssueInvoice",
		"invoicing/return-approvals": "ApproveReturn",
		"invoicing/credit-notes":     "IssueCreditNote",
		"notification/messages":      "NotifyCustomer",
		"notification/reminders":     "RemindCustomer",
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			resource := servicetest.Resource(base+"/"+path, "order-1:"+step)
			require.Equal(t, http.StatusNoContent, servicetest.Call(t, http.MethodDelete, resource, nil).Status)
			probed := servicetest.Call(t, http.MethodGet, resource, nil)
			require.Equal(t, http.StatusOK, probed.Status)
			var state struct{ Key, Step, State string }
			require.NoError(t, json.Unmarshal(probed.Body, &state))
			require.Equal(t, step, state.Step)
			require.Equal(t, "order-1:"+step, state.Key)
			require.Equal(t, "undone", state.State)
			requireReason(t, resource+"-because")

			service, _, _ := strings.Cut(path, "/")
			fault := base + "/" + service + "/faults/" + step
			require.Equal(t, http.StatusNoContent,
				servicetest.Call(t, http.MethodPut, fault, map[string]any{"down": true, "on": "undo"}).Status)
			require.Equal(t, http.StatusServiceUnavailable, servicetest.Call(t, http.MethodDelete, resource, nil).Status)
		})
	}
}

// requireReason requires that the service remembers why a key was undone. The step ignores the body of the request, since
// the key is undone.
func requireReason(t *testing.T, resource string) {
	t.Helper()
	const reason = `"the card was declined"`
	call := func(method string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, resource, strings.NewReader("{}"))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Undo-Reason", reason)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	status, body := call(http.MethodDelete)
	require.Equal(t, http.StatusNoContent, status, body)
	status, body = call(http.MethodPut)
	require.Equal(t, http.StatusGone, status, body)
	require.Contains(t, body, `"undo_reason":"\"the card was declined\""`)
}
