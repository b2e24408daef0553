package e2e_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/services/payment"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/workflows"
)

// An overview tells how long each step took, and whether the books balance, without asking a step service itself.
func TestOverview(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	slow := example(t, "orders/good.json")
	s.fault("inventory", "ReserveStock", slow, settings{"latency_ms": 300, "times": 1})
	placed := s.place("orders", slow)
	s.awaitEnd(placed)
	s.awaitFound("/v1/sagas?state=completed", []string{workflowID(placed)})
	api, err := client.New(s.apiURL, client.Options{})
	require.NoError(t, err)
	overview := func(what string, wanted func(*client.Overview) bool) (o *client.Overview) {
		t.Helper()
		require.Eventually(t, func() bool {
			o, err = api.Overview(t.Context())
			require.NoError(t, err)
			return wanted(o)
		}, time.Minute, 100*time.Millisecond, what)
		return o
	}

	o := overview("no durations", func(o *client.Overview) bool { return len(o.Steps) > 0 && o.Books != nil })
	took := map[string]float64{}
	for _, d := range o.Steps {
		require.Equal(t, "PlaceOrder", d.Type)
		require.EqualValues(t, 1, d.Sample)
		took[d.Step] = d.P50
	}
	require.Len(t, took, 11, "all but voucher and points, which it has none of: %v", took)
	require.GreaterOrEqual(t, took["ReserveStock"], 300.0)
	for step, ms := range took {
		require.Positive(t, ms, step)
		if step != "ReserveStock" {
			require.Less(t, ms, took["ReserveStock"], step)
		}
	}
	require.True(t, o.Books.Balanced, "%+v", o.Books)
	var asked []string
	for _, service := range o.Books.Services {
		asked = append(asked, service.Service)
	}
	require.Equal(t, serviceNames, asked)

	s.alterBooks(1)
	audits := s.dial().ScheduleClient().GetHandle(t.Context(), workflows.AuditScheduleID)
	require.NoError(t, audits.Trigger(t.Context(), temporal.ScheduleTriggerOptions{}))
	o = overview("the books seem to balance", func(o *client.Overview) bool { return !o.Books.Balanced })
	for _, service := range o.Books.Services {
		if service.Service == "payment" {
			require.Equal(t, "unbalanced", service.State)
			require.Contains(t, service.Findings, "the sum of the journal: 1 is not 0")
		} else {
			require.Equal(t, "balanced", service.State, service.Service)
		}
	}
}

// alterBooks adds so much to what was debited for one capture, which nobody may do.
func (s *system) alterBooks(by int) {
	s.t.Helper()
	db, err := store.Open(s.t.Context(), store.Config{Dir: filepath.Join(s.dir, "services")}, "payment", payment.Migrations)
	require.NoError(s.t, err)
	_, err = db.ExecContext(s.t.Context(), `UPDATE journal SET debit = debit + $1
		WHERE posting = (SELECT min(posting) FROM journal WHERE posting LIKE 'capture:%') AND debit > 0`, by)
	require.NoError(s.t, err)
	require.NoError(s.t, db.Close())
}
