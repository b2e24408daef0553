package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/compensation/sagatest"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// goodsWithin is the deadline for the goods in these tests: a reminder each day.
const goodsWithin = 4 * 24 * time.Hour

func returnOrder(env *sagatest.Env) error {
	return env.Run(workflows.TypeReturnOrder, workflows.ReturnOrderInput{
		Return: order.Return{ID: "r7", OrderID: "42", Reason: "too strong"}, GoodsWithin: goodsWithin, Revision: workflows.Revision,
	})
}

// goodsArrive reports the goods after that time.
func goodsArrive(env *sagatest.Env, after time.Duration) *sagatest.Reply {
	return env.UpdateAfter(after, workflows.UpdateGoodsArrived, workflows.Arrival{Condition: order.Resalable, By: "dock 4"})
}

// stepsOfReturn are the steps of a return without reminders.
var stepsOfReturn = []string{
	"ApproveReturn", "BookReturn", "InspectGoods", "RefundPayment", "RestockGoods", "TakeBackPoints", "IssueCreditNote", "NotifyCustomer",
}

// undosOfReturn are the undos of a saga that cannot know that it saw everything: it has waited for the goods.
var undosOfReturn = slices.Concat(undosOf("RefundPayment"), undosOf("ApproveReturn", "BookReturn", "InspectGoods"))

func TestReturnOrder(t *testing.T) {
	t.Parallel()

	env := newReturnEnv(t)
	goodsArrive(env, time.Hour)
	require.NoError(t, returnOrder(env))
	env.RequireCalls(stepsOfReturn...)

	var receipt workflows.RefundReceipt
	env.Result(&receipt)
	require.Equal(t, workflows.RefundReceipt{
		ReturnID: "r7", OrderID: "42", Refunded: order.Money{Amount: 3000, Currency: "EUR"},
		RefundID: "f-of-c1", CreditNoteNumber: "N-of-f-of-c1", PointsTakenBack: 30,
	}, receipt)
}

func TestReturnOrderRefused(t *testing.T) {
	t.Parallel()

	for refused, undos := range map[string][]string{
		"ApproveReturn": nil,
		"BookReturn":    undosOf("ApproveReturn", "RefundPayment"), // the saga is still certain of what it did
		"InspectGoods":  undosOfReturn,
		"RefundPayment": undosOfReturn,
	} {
		t.Run(refused, func(t *testing.T) {
			t.Parallel()

			env := newReturnEnv(t)
			env.Refuse(refused)
			goodsArrive(env, time.Hour)
			err := returnOrder(env)
			env.RequireCalls(slices.Concat(until(refused, stepsOfReturn), undos)...)
			requireCompensated(t, env, err, compensation.ErrTypeRefused, refused+" refused: not today")
		})
	}
}

func TestReturnOrderReminds(t *testing.T) {
	t.Parallel()

	env := newReturnEnv(t)
	goodsArrive(env, 2*24*time.Hour+time.Hour)
	require.NoError(t, returnOrder(env))
	env.RequireCalls(slices.Insert(slices.Clone(stepsOfReturn), 2, "RemindCustomer.1", "RemindCustomer.2")...)
}

func TestGoodsMayArriveWhileAReminderIsSent(t *testing.T) {
	t.Parallel()

	env := newReturnEnv(t)
	env.Fail("RemindCustomer", sagatest.Forever) // it is tried again for minutes
	arrived := goodsArrive(env, 24*time.Hour+time.Minute)
	env.At(24*time.Hour+90*time.Second, func() { env.Mend("RemindCustomer") })
	require.NoError(t, returnOrder(env))
	require.True(t, arrived.Accepted)
	require.Equal(t, slices.Insert(slices.Clone(stepsOfReturn), 2, "RemindCustomer.1"), slices.Compact(env.Calls()))
}

func TestReturnOrderGoodsOverdue(t *testing.T) {
	t.Parallel()

	env := newReturnEnv(t)
	late := goodsArrive(env, goodsWithin+time.Hour)
	err := returnOrder(env)
	requireCompensated(t, env, err, workflows.ErrTypeGoodsOverdue, "the goods did not arrive within 96h0m0s")
	env.RequireCalls(
		"ApproveReturn", "BookReturn", "RemindCustomer.1", "RemindCustomer.2", "RemindCustomer.3",
		"undo RefundPayment", "undo InspectGoods",
		"undo RemindCustomer.3", "undo RemindCustomer.2", "undo RemindCustomer.1", "undo BookReturn", "undo ApproveReturn",
	)
	require.False(t, late.Accepted)
}

func TestArrivalIsChecked(t *testing.T) {
	t.Parallel()

	env := newReturnEnv(t)
	unsigned := env.UpdateAfter(time.Minute, workflows.UpdateGoodsArrived, workflows.Arrival{Condition: order.Damaged})
	unknown := env.UpdateAfter(time.Minute, workflows.UpdateGoodsArrived, workflows.Arrival{Condition: "wet", By: "dock 4"})
	goodsArrive(env, time.Hour)
	require.NoError(t, returnOrder(env))
	require.ErrorContains(t, unsigned.Rejected, "by is missing")
	require.ErrorContains(t, unknown.Rejected, `condition "wet" is neither`)
}
