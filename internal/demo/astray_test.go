package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/services"
)

func TestAstray(t *testing.T) {
	t.Parallel()
	const (
		done, refused, unknown, notRun = client.DoDone, client.DoRefused, client.DoUnknown, client.DoNotRun
		none, undone                   = client.UndoNone, client.UndoDone
	)
	good := scenario{end: completed}
	outOfStock := scenario{end: endOf("out-of-stock")}
	rejected := scenario{end: end{state: client.Compensated, cause: "rejected by " + person}}
	voucher := scenario{end: completed, voucher: true}

	price := func(do client.DoState, undo client.UndoState) client.Step {
		return client.Step{Name: "PriceOrder", Do: do, Undo: undo, Attempts: 1, UndoAttempts: 1}
	}
	stock := func(do client.DoState, undo client.UndoState) client.Step {
		return client.Step{Name: "ReserveStock", Do: do, Undo: undo, Attempts: 1}
	}
	for _, tt := range []struct {
		name     string
		scenario scenario
		view     client.Order
		want     string
	}{
		{"completed", good, client.Order{State: client.Completed, Steps: []client.Step{price(done, none), stock(notRun, none)}}, ""},
		{"not seen", good, client.Order{}, "was not seen"},
		{"not ended", good, client.Order{State: client.Running}, "did not end; it is running"},
		{"stuck", good, client.Order{State: client.Running, Steps: []client.Step{
			price(done, none), {Name: "ReserveStock", Do: client.DoRunning, Undo: none, Error: "no answer"},
		}}, "did not end; it is running, at ReserveStock: no answer"},
		{"stuck undo", outOfStock, client.Order{State: client.Compensating, Steps: []client.Step{
			{Name: "PriceOrder", Do: done, Undo: client.UndoRunning}, stock(refused, none),
		}}, "did not end; it is compensating, at the undo of PriceOrder"},
		{"other end", good, client.Order{State: client.Compensated, Cause: "out of luck"}, "is compensated, not completed: out of luck"},
		{"completed with a refusal", good, client.Order{State: client.Completed, Steps: []client.Step{stock(refused, none)}}, `was refused by ReserveStock, not by ""`},
		{"completed, outcome unknown", good, client.Order{State: client.Completed, Steps: []client.Step{stock(unknown, none)}}, "is completed, but the outcome of ReserveStock is unknown"},
		{"completed, step waits", good, client.Order{State: client.Completed, Steps: []client.Step{stock(client.DoWaiting, none)}}, "is completed, but ReserveStock is waiting"},
		{"refused", outOfStock, client.Order{State: client.Compensated, Steps: []client.Step{price(done, undone), stock(refused, none)}}, ""},
		{"refused by another", outOfStock, client.Order{State: client.Compensated, Steps: []client.Step{price(refused, none)}}, `was refused by PriceOrder, not by "ReserveStock"`},
		{"not undone", outOfStock, client.Order{State: client.Compensated, Steps: []client.Step{price(done, none), stock(refused, none)}}, "is compensated, but PriceOrder is done and its undo is none"},
		{"unknown and undone", rejected, client.Order{State: client.Compensated, Cause: "rejected by the demo", Steps: []client.Step{price(unknown, undone)}}, ""},
		{"other cause", rejected, client.Order{State: client.Compensated, Cause: "canceled"}, `has the cause "canceled", which is not "rejected by the demo"`},
		{"voucher used by another", voucher, client.Order{
			State: client.Compensated, Cause: "RedeemVoucher refused: voucher SPRING-0042 was used",
			Steps: []client.Step{{Name: "RedeemVoucher", Do: refused}},
		}, ""},
		{"voucher used, not undone", voucher, client.Order{
			State: client.Compensated, Cause: "RedeemVoucher refused: voucher SPRING-0042 was used", Steps: []client.Step{price(done, none)},
		}, "is compensated, but PriceOrder is done and its undo is none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := &entry{scenario: tt.scenario, order: client.OrderRequest{Voucher: "SPRING-0042"}, view: tt.view, placed: tt.view.State != ""}
			require.Equal(t, tt.want, e.astray())
		})
	}
}

func TestUnharmed(t *testing.T) {
	t.Parallel()
	lost := &fault{"inventory", services.Fault{Step: "ReserveStock", LoseReply: true}}
	undoDown := &fault{"inventory", services.Fault{Step: "ReserveStock", On: services.Undo, Down: true}}
	slow := &fault{"inventory", services.Fault{Step: "ReserveStock", LatencyMS: 1}}
	const unmet = "met no fault at ReserveStock: a service that is started again forgets its faults"
	for _, tt := range []struct {
		name        string
		fault       *fault
		state       client.State
		tries, undo int
		want        string
	}{
		{"met", lost, client.Completed, 2, 0, ""},
		{"not met", lost, client.Completed, 1, 0, unmet},
		{"undo met", undoDown, client.Compensated, 1, 2, ""},
		{"undo not met", undoDown, client.Compensated, 2, 1, unmet},
		{"slow", slow, client.Completed, 1, 0, ""},
		{"none", nil, client.Completed, 1, 0, ""},
		{"not ended", lost, client.Running, 1, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := &entry{scenario: scenario{fault: tt.fault}, view: client.Order{
				State: tt.state, Steps: []client.Step{{Name: "PriceOrder", Attempts: 1}, {Name: "ReserveStock", Attempts: tt.tries, UndoAttempts: tt.undo}},
			}}
			require.Equal(t, tt.want, e.unharmed())
		})
	}
}
