package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services"
)

func TestAstray(t *testing.T) {
	t.Parallel()
	const (
		done, refused, unknown, notRun = compensation.DoDone, compensation.DoRefused, compensation.DoUnknown, compensation.DoNotRun
		none, undone                   = compensation.UndoNone, compensation.UndoDone
	)
	good := scenario{end: completed}
	outOfStock := scenario{end: endOf("out-of-stock")}
	rejected := scenario{end: end{state: compensation.Compensated, cause: "rejected by " + person}}
	voucher := scenario{end: completed, voucher: true}

	price := func(do compensation.DoState, undo compensation.UndoState) step {
		return step{Name: "PriceOrder", Do: do, Undo: undo, Attempts: 1, UndoAttempts: 1}
	}
	stock := func(do compensation.DoState, undo compensation.UndoState) step {
		return step{Name: "ReserveStock", Do: do, Undo: undo, Attempts: 1}
	}
	for _, tt := range []struct {
		name     string
		scenario scenario
		view     view
		want     string
	}{
		{"completed", good, view{State: compensation.Completed, Steps: []step{price(done, none), stock(notRun, none)}}, ""},
		{"not seen", good, view{}, "was not seen"},
		{"not ended", good, view{State: compensation.Running}, "did not end; it is running"},
		{"stuck", good, view{State: compensation.Running, Steps: []step{
			price(done, none), {Name: "ReserveStock", Do: compensation.DoRunning, Undo: none, Error: "no answer"},
		}}, "did not end; it is running, at ReserveStock: no answer"},
		{"stuck undo", outOfStock, view{State: compensation.Compensating, Steps: []step{
			{Name: "PriceOrder", Do: done, Undo: compensation.UndoRunning}, stock(refused, none),
		}}, "did not end; it is compensating, at the undo of PriceOrder"},
		{"other end", good, view{State: compensation.Compensated, Cause: "out of luck"}, "is compensated, not completed: out of luck"},
		{"completed with a refusal", good, view{State: compensation.Completed, Steps: []step{stock(refused, none)}}, `was refused by ReserveStock, not by ""`},
		{"completed, outcome unknown", good, view{State: compensation.Completed, Steps: []step{stock(unknown, none)}}, "is completed, but the outcome of ReserveStock is unknown"},
		{"completed, step waits", good, view{State: compensation.Completed, Steps: []step{stock(compensation.DoWaiting, none)}}, "is completed, but ReserveStock is waiting"},
		{"refused", outOfStock, view{State: compensation.Compensated, Steps: []step{price(done, undone), stock(refused, none)}}, ""},
		{"refused by another", outOfStock, view{State: compensation.Compensated, Steps: []step{price(refused, none)}}, `was refused by PriceOrder, not by "ReserveStock"`},
		{"not undone", outOfStock, view{State: compensation.Compensated, Steps: []step{price(done, none), stock(refused, none)}}, "is compensated, but PriceOrder is done and its undo is none"},
		{"unknown and undone", rejected, view{State: compensation.Compensated, Cause: "rejected by the demo", Steps: []step{price(unknown, undone)}}, ""},
		{"other cause", rejected, view{State: compensation.Compensated, Cause: "canceled"}, `has the cause "canceled", which is not "rejected by the demo"`},
		{"voucher used by another", voucher, view{
			State: compensation.Compensated, Cause: "RedeemVoucher refused: voucher SPRING-0042 was used",
			Steps: []step{{Name: "RedeemVoucher", Do: refused}},
		}, ""},
		{"voucher used, not undone", voucher, view{
			State: compensation.Compensated, Cause: "RedeemVoucher refused: voucher SPRING-0042 was used", Steps: []step{price(done, none)},
		}, "is compensated, but PriceOrder is done and its undo is none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := &entry{scenario: tt.scenario, order: order.Order{Voucher: "SPRING-0042"}, view: tt.view, placed: tt.view.State != ""}
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
		state       compensation.State
		tries, undo int
		want        string
	}{
		{"met", lost, compensation.Completed, 2, 0, ""},
		{"not met", lost, compensation.Completed, 1, 0, unmet},
		{"undo met", undoDown, compensation.Compensated, 1, 2, ""},
		{"undo not met", undoDown, compensation.Compensated, 2, 1, unmet},
		{"slow", slow, compensation.Completed, 1, 0, ""},
		{"none", nil, compensation.Completed, 1, 0, ""},
		{"not ended", lost, compensation.Running, 1, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := &entry{scenario: scenario{fault: tt.fault}, view: view{
				State: tt.state, Steps: []step{{Name: "PriceOrder", Attempts: 1}, {Name: "ReserveStock", Attempts: tt.tries, UndoAttempts: tt.undo}},
			}}
			require.Equal(t, tt.want, e.unharmed())
		})
	}
}
