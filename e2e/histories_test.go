package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/replay"
	"github.com/amends-dev/amends/workflows"
)

// histories is where the replay tests read what is recorded here.
var histories = filepath.Join("..", "workflows", "testdata", "revision-"+strconv.Itoa(workflows.Revision))

// recordHistory writes the history of an ended saga.
func (s *system) recordHistory(workflowID, folder, name string) {
	s.t.Helper()
	h := replay.History{Name: name}
	it := s.dial().GetWorkflowHistory(s.t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		require.NoError(s.t, err)
		h.Events = append(h.Events, event)
	}
	content, err := h.Encode()
	require.NoError(s.t, err)
	folder = filepath.Join(histories, folder)
	require.NoError(s.t, os.MkdirAll(folder, 0o755))
	require.NoError(s.t, os.WriteFile(filepath.Join(folder, name+".json"), content, 0o644))
}

// recordChangedSaga records a saga that calls itself PlaceOrder but reserves stock before it asks for a price: what a
// change of the order of steps without versioning would be to sagas that run.
func (s *system) recordChangedSaga() {
	s.t.Helper()
	const queue = "changed"
	c := s.dial()
	set, err := activities.New(activities.Options{ServicesURL: s.servicesURL})
	require.NoError(s.t, err)
	w := worker.New(c, queue, worker.Options{Plugins: []worker.Plugin{compensation.NewPlugin()}})
	for _, participant := range set.All() {
		w.RegisterActivity(participant)
	}
	w.RegisterWorkflowWithOptions(changedPlaceOrder, workflow.RegisterOptions{Name: workflows.TypePlaceOrder})
	require.NoError(s.t, w.Start())
	defer w.Stop()

	d := example(s.t, "orders/good.json")
	encoded, err := json.Marshal(map[string]any{"order": d.with("id", d.id())})
	require.NoError(s.t, err)
	var in workflows.PlaceOrderInput
	require.NoError(s.t, json.Unmarshal(encoded, &in))
	in.Revision = workflows.Revision
	run, err := c.ExecuteWorkflow(s.t.Context(), client.StartWorkflowOptions{ID: "changed-" + d.id(), TaskQueue: queue}, workflows.TypePlaceOrder, in)
	require.NoError(s.t, err)
	require.NoError(s.t, run.Get(s.t.Context(), nil))
	s.recordHistory(run.GetID(), "must-fail", "steps-swapped")
}

func changedPlaceOrder(ctx workflow.Context, in workflows.PlaceOrderInput) (workflows.Receipt, error) {
	var (
		inventory *activities.Inventory
		pricing   *activities.Pricing
	)
	reserve := compensation.Step[activities.ReserveStock, activities.Reservation]{
		Name: "ReserveStock", Do: inventory.ReserveStock, Undo: inventory.ReleaseStock,
	}
	price := compensation.Step[activities.PriceOrder, activities.Quote]{Name: "PriceOrder", Do: pricing.PriceOrder, Undo: pricing.WithdrawQuote}
	plan, err := compensation.NewPlan(workflows.TypePlaceOrder, reserve, price)
	if err != nil {
		return workflows.Receipt{}, err
	}
	return compensation.Run(ctx, plan, func(ctx workflow.Context) (workflows.Receipt, error) {
		if _, err := reserve.Run(ctx, activities.ReserveStock{Lines: in.Order.Lines}); err != nil {
			return workflows.Receipt{}, err
		}
		quote, err := price.Run(ctx, activities.PriceOrder{Currency: in.Order.Currency, Lines: in.Order.Lines})
		return workflows.Receipt{OrderID: in.Order.ID, Total: quote.Total}, err
	})
}

// forgetHistories removes what was recorded before, so that no history of a scenario that is gone stays behind. Those of
// earlier revisions stay: no code is left that could record them.
func forgetHistories() error {
	return os.RemoveAll(histories)
}
