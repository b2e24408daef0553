package workflows

import (
	"errors"
	"fmt"
	"strconv"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// reminders is how many reminders go out before goods count as overdue, at even intervals.
const reminders = 3

// ReturnOrder is the saga of a return: the goods come back and the money goes back, or nothing of it stands.
func ReturnOrder(ctx workflow.Context, in ReturnOrderInput) (RefundReceipt, error) {
	arrival, err := expect(ctx, UpdateGoodsArrived, "Reports that the goods of a return reached the warehouse.", Arrival.check)
	if err != nil {
		return RefundReceipt{}, err
	}
	if in.GoodsWithin == 0 {
		in.GoodsWithin = DefaultGoodsWithin
	}
	return compensation.Run(ctx, planOf(ReturnOrderPlan, in.Revision, in.Deadline), func(ctx workflow.Context) (RefundReceipt, error) {
		return returnOrder(ctx, in, arrival)
	})
}

func returnOrder(ctx workflow.Context, in ReturnOrderInput, arrival *awaited[Arrival]) (RefundReceipt, error) {
	if err := checkLimits(in.Revision, in.GoodsWithin, in.Deadline); err != nil {
		return RefundReceipt{}, err
	}
	r := in.Return
	approval, err := approveReturn.Run(ctx, activities.ApproveReturn{OrderID: r.OrderID, Lines: r.Lines, Reason: r.Reason})
	if err != nil {
		return RefundReceipt{}, err
	}
	shipment, err := bookReturn.Run(ctx, activities.BookReturn{ShipFrom: approval.ShipFrom, Lines: approval.Lines})
	if err != nil {
		return RefundReceipt{}, err
	}
	goods, err := awaitGoods(ctx, in, arrival, approval.Customer, shipment)
	if err != nil {
		return RefundReceipt{}, err
	}
	inspection, err := inspectGoods.Run(ctx, activities.InspectGoods{
		ReturnShipmentID: shipment.ID, Lines: approval.Lines, Condition: goods.Condition,
	})
	if err != nil {
		return RefundReceipt{}, err
	}
	refund, err := refundPayment.Run(ctx, activities.RefundPayment{CaptureID: approval.CaptureID, Amount: approval.Refund})
	if err != nil {
		return RefundReceipt{}, err
	}
	if _, err := restockGoods.Run(ctx, activities.RestockGoods{InspectionID: inspection.ID}); err != nil {
		return RefundReceipt{}, err
	}
	var points activities.PointsChange
	if in.Revision < 3 || !approval.Customer.Guest() {
		points, err = takeBackPoints.Run(ctx, activities.TakeBackPoints{CustomerID: approval.Customer.ID, Points: approval.PointsToTakeBack})
		if err != nil {
			return RefundReceipt{}, err
		}
	}
	note, err := issueCreditNote.Run(ctx, activities.IssueCreditNote{ApprovalID: approval.ID, RefundID: refund.ID, Amount: approval.Refund})
	if err != nil {
		return RefundReceipt{}, err
	}
	receipt := RefundReceipt{
		ReturnID: r.ID, OrderID: r.OrderID, Refunded: refund.Amount, RefundID: refund.ID,
		CreditNoteNumber: note.Number, PointsTakenBack: points.Points,
	}
	_, err = notifyCustomer.Run(ctx, refundConfirmation(approval.Customer, receipt))
	return receipt, err
}

// awaitGoods waits for the goods and reminds the customer of them.
func awaitGoods(
	ctx workflow.Context, in ReturnOrderInput, arrival *awaited[Arrival], customer order.Customer, shipment activities.ReturnShipment,
) (Arrival, error) {
	// Also while a reminder is sent: the goods do not know of it.
	arrival.open()
	defer arrival.close()
	for sent := range reminders + 1 {
		goods, inTime, err := arrival.await(ctx, in.GoodsWithin/(reminders+1), "arrival of the returned goods")
		if err != nil || inTime {
			return goods, err
		}
		if sent < reminders {
			reminder := remindCustomer.For(strconv.Itoa(sent + 1))
			if _, err := reminder.Run(ctx, goodsReminder(customer, in.Return, shipment)); err != nil {
				return Arrival{}, err
			}
		}
	}
	return Arrival{}, temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("the goods did not arrive within %s", in.GoodsWithin), ErrTypeGoodsOverdue, nil)
}

// check finds faults of the report.
func (a Arrival) check() error {
	switch {
	case a.By == "":
		return errors.New("arrival: by is missing: say who reports it")
	case a.Condition != order.Resalable && a.Condition != order.Damaged:
		return fmt.Errorf("arrival: condition %q is neither %q nor %q", a.Condition, order.Resalable, order.Damaged)
	}
	return nil
}
