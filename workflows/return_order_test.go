package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// goodsWithin is the deadline for the goods in these tests: a reminder each day.
const goodsWithin = 4 * 24 * time.Hour

func newReturnEnv(t *testing.T) *env {
	t.Helper()
	return newEnv(t, workflows.ReturnWorkflowID("r7"))
}

func (e *env) returnOrder() error {
	e.ExecuteWorkflow(workflows.TypeReturnOrder, workflows.ReturnOrderInput{
		Return: order.Return{ID: "r7", OrderID: "42", Reason: "too strong"}, GoodsWithin: goodsWithin,
	})
	return e.GetWorkflowError()
}

// goodsArrive reports the goods after that time.
func (e *env) goodsArrive(after time.Duration) *answer {
	return e.update(after, workflows.UpdateGoodsArrived, workflows.Arrival{Condition: order.Resalable, By: "dock 4"})
}

// stepsOfReturn are the steps up to and including last, without reminders.
func stepsOfReturn(last string) []string {
	return slices.DeleteFunc(steps(workflows.ReturnOrderPlan, last), func(s string) bool { return s == "RemindCustomer" })
}

func TestReturnOrder(t *testing.T) {
	t.Parallel()

	e := newReturnEnv(t)
	e.goodsArrive(time.Hour)
	require.NoError(t, e.returnOrder())
	require.Equal(t, stepsOfReturn("NotifyCustomer"), e.ran)

	var receipt workflows.RefundReceipt
	require.NoError(t, e.GetWorkflowResult(&receipt))
	require.Equal(t, workflows.RefundReceipt{
		ReturnID: "r7", OrderID: "42", Refunded: order.Money{Amount: 3000, Currency: "EUR"},
		RefundID: "f-of-c1", CreditNoteNumber: "N-of-f-of-c1", PointsTakenBack: 30,
	}, receipt)
}

func TestReturnOrderRefused(t *testing.T) {
	t.Parallel()

	undos := []string{"WithdrawInspection", "CancelReturnShipment", "WithdrawApproval"}
	for i, refused := range []string{"ApproveReturn", "BookReturn", "InspectGoods", "RefundPayment"} {
		t.Run(refused, func(t *testing.T) {
			t.Parallel()

			e := newReturnEnv(t)
			e.refused[refused] = true
			e.goodsArrive(time.Hour)
			err := e.returnOrder()
			require.Equal(t, slices.Concat(stepsOfReturn(refused), undos[len(undos)-i:]), e.ran)
			e.requireCompensated(t, err, compensation.ErrTypeRefused, refused+" refused: not today")
		})
	}
}

func TestReturnOrderReminds(t *testing.T) {
	t.Parallel()

	e := newReturnEnv(t)
	e.goodsArrive(2*24*time.Hour + time.Hour)
	require.NoError(t, e.returnOrder())
	require.Equal(t, []string{"return-r7:RemindCustomer.1", "return-r7:RemindCustomer.2"}, e.keys["RemindCustomer"])
}

func TestGoodsMayArriveWhileAReminderIsSent(t *testing.T) {
	t.Parallel()

	e := newReturnEnv(t)
	e.down["RemindCustomer"] = true // it is tried again for minutes
	arrived := e.goodsArrive(24*time.Hour + time.Minute)
	e.RegisterDelayedCallback(func() { e.up("RemindCustomer") }, 24*time.Hour+90*time.Second)
	require.NoError(t, e.returnOrder())
	require.True(t, arrived.accepted)
	require.Len(t, e.keys["RemindCustomer"], 1)
}

func TestReturnOrderGoodsOverdue(t *testing.T) {
	t.Parallel()

	e := newReturnEnv(t)
	late := e.goodsArrive(goodsWithin + time.Hour)
	err := e.returnOrder()
	e.requireCompensated(t, err, workflows.ErrTypeGoodsOverdue, "the goods did not arrive within 96h0m0s")
	require.Equal(t, []string{
		"ApproveReturn", "BookReturn", "RemindCustomer", "RemindCustomer", "RemindCustomer",
		"DropReminder", "DropReminder", "DropReminder", "CancelReturnShipment", "WithdrawApproval",
	}, e.ran)
	require.False(t, late.accepted)
}

func TestArrivalIsChecked(t *testing.T) {
	t.Parallel()

	e := newReturnEnv(t)
	unsigned := e.update(time.Minute, workflows.UpdateGoodsArrived, workflows.Arrival{Condition: order.Damaged})
	unknown := e.update(time.Minute, workflows.UpdateGoodsArrived, workflows.Arrival{Condition: "wet", By: "dock 4"})
	e.goodsArrive(time.Hour)
	require.NoError(t, e.returnOrder())
	require.ErrorContains(t, unsigned.rejected, "by is missing")
	require.ErrorContains(t, unknown.rejected, `condition "wet" is neither`)
}
