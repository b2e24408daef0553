package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// PlaceOrder is the saga that places an order: it is paid, shipped and billed, or nothing of it stands.
func PlaceOrder(ctx workflow.Context, in PlaceOrderInput) (Receipt, error) {
	approval, err := expect(ctx, UpdateApproval, "Approves or rejects an order that fraud screening doubts.", Approval.check)
	if err != nil {
		return Receipt{}, err
	}
	if in.ApprovalWithin == 0 {
		in.ApprovalWithin = DefaultApprovalWithin
	}
	return compensation.Run(ctx, planOf(PlaceOrderPlan, in.Revision, in.Deadline), func(ctx workflow.Context) (Receipt, error) {
		return placeOrder(ctx, in, approval)
	})
}

func placeOrder(ctx workflow.Context, in PlaceOrderInput, approval *awaited[Approval]) (Receipt, error) {
	if err := checkLimits(in.Revision, in.ApprovalWithin, in.Deadline); err != nil {
		return Receipt{}, err
	}
	o := in.Order
	quote, err := priceOrder.Run(ctx, activities.PriceOrder{Currency: o.Currency, Lines: o.Lines})
	if err != nil {
		return Receipt{}, err
	}
	if err := checkTotal(o.ExpectedTotal, quote.Total); err != nil {
		return Receipt{}, err
	}
	screening, err := screenFraud.Run(ctx, activities.ScreenFraud{
		CustomerID: o.Customer.ID, Email: o.Customer.Email, Country: o.ShipTo.Country, Amount: quote.Total,
	})
	if err != nil {
		return Receipt{}, err
	}
	if screening.Verdict == activities.Review {
		if err := approve(ctx, in, approval); err != nil {
			return Receipt{}, err
		}
	}
	held, err := hold(ctx, o, quote.Total)
	if err != nil {
		return Receipt{}, err
	}
	authorization, err := authorizePayment.Run(ctx, activities.AuthorizePayment{Token: o.Payment.Token, Amount: held.toPay})
	if err != nil {
		return Receipt{}, err
	}
	shipment, err := bookShipment.Run(ctx, activities.BookShipment{Carrier: o.Carrier, ShipTo: o.ShipTo, Lines: o.Lines})
	if err != nil {
		return Receipt{}, err
	}
	capture, err := capturePayment.Run(ctx, activities.CapturePayment{AuthorizationID: authorization.ID, Amount: held.toPay})
	if err != nil {
		return Receipt{}, err
	}
	if _, err := commitStock.Run(ctx, activities.CommitStock{ReservationID: held.reservationID}); err != nil {
		return Receipt{}, err
	}
	var award activities.PointsChange
	if in.Revision < 3 || !o.Customer.Guest() {
		award, err = awardPoints.Run(ctx, activities.AwardPoints{CustomerID: o.Customer.ID, HoldID: held.pointsHoldID, Amount: held.toPay})
		if err != nil {
			return Receipt{}, err
		}
	}
	invoice, err := issueInvoice.Run(ctx, activities.IssueInvoice{
		OrderID: o.ID, Customer: o.Customer, Lines: billed(quote.Lines), Total: quote.Total, Paid: held.toPay,
		CaptureID: capture.ID, PointsAwarded: award.Points, ShipTo: o.ShipTo,
	})
	if err != nil {
		return Receipt{}, err
	}
	if _, err := dispatchShipment.Run(ctx, activities.DispatchShipment{ShipmentID: shipment.ID}); err != nil {
		return Receipt{}, err
	}
	receipt := Receipt{
		OrderID: o.ID, Total: quote.Total, Paid: held.toPay, CaptureID: capture.ID,
		Carrier: shipment.Carrier, Tracking: shipment.Tracking,
		InvoiceNumber: invoice.Number, PointsAwarded: award.Points,
	}
	_, err = notifyCustomer.Run(ctx, orderConfirmation(o, receipt))
	return receipt, err
}

// checkTotal refuses an order whose total differs from the one its customer saw. nil expects no total.
func checkTotal(expected *order.Money, total order.Money) error {
	if expected == nil || *expected == total {
		return nil
	}
	return temporal.NewApplicationErrorWithOptions(
		fmt.Sprintf("%s: the articles cost %s, not the %s that the order expects", CodeTotalChanged, total, *expected),
		compensation.ErrTypeRefused, temporal.ApplicationErrorOptions{
			NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign,
			Details: []any{compensation.Refusal{Code: CodeTotalChanged, Attempt: 1}},
		})
}

// approve waits for a person's decision about the order.
func approve(ctx workflow.Context, in PlaceOrderInput, approval *awaited[Approval]) error {
	approval.open()
	defer approval.close()
	decision, inTime, err := approval.await(ctx, in.ApprovalWithin, "approval of an order that fraud screening doubts")
	switch {
	case err != nil:
		return err
	case !inTime:
		return temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("nobody approved the order within %s", in.ApprovalWithin), ErrTypeApprovalTimeout, nil)
	case !decision.Approved:
		text := "rejected by " + decision.By
		if decision.Reason != "" {
			text += ": " + decision.Reason
		}
		return temporal.NewNonRetryableApplicationError(text, ErrTypeRejected, nil)
	}
	return nil
}

// holdings is what an order set aside, and what is left to pay.
type holdings struct {
	reservationID string
	pointsHoldID  string
	toPay         order.Money
}

// hold sets aside goods, voucher and points, beside each other.
func hold(ctx workflow.Context, o order.Order, total order.Money) (holdings, error) {
	stock := reserveStock.Start(ctx, activities.ReserveStock{Lines: o.Lines})
	var (
		voucher *compensation.Future[activities.Redemption]
		points  *compensation.Future[activities.Hold]
	)
	if o.Voucher != "" {
		voucher = redeemVoucher.Start(ctx, activities.RedeemVoucher{Code: o.Voucher, CustomerID: o.Customer.ID, Amount: total})
	}
	if o.Points > 0 {
		points = holdPoints.Start(ctx, activities.HoldPoints{CustomerID: o.Customer.ID, Points: o.Points, Currency: o.Currency})
	}

	reservation, err := stock.Get(ctx)
	if err != nil {
		return holdings{}, err
	}
	held := holdings{reservationID: reservation.ID, toPay: total}
	if voucher != nil {
		redemption, err := voucher.Get(ctx)
		if err != nil {
			return holdings{}, err
		}
		if held.toPay, err = held.toPay.Minus(redemption.Discount); err != nil {
			return holdings{}, err
		}
	}
	if points != nil {
		hold, err := points.Get(ctx)
		if err != nil {
			return holdings{}, err
		}
		held.pointsHoldID = hold.ID
		if held.toPay, err = held.toPay.Minus(hold.Value); err != nil {
			return holdings{}, err
		}
	}
	if held.toPay.Amount < 0 {
		return holdings{}, temporal.NewNonRetryableApplicationError(
			"voucher and points are worth more than the order", ErrTypeOverpaid, nil)
	}
	return held, nil
}

// check finds faults of the decision.
func (a Approval) check() error {
	if a.By == "" {
		return errors.New("approval: by is missing: say who decides")
	}
	return nil
}

func billed(lines []activities.QuotedLine) []activities.BilledLine {
	out := make([]activities.BilledLine, len(lines))
	for i, l := range lines {
		out[i] = activities.BilledLine{SKU: l.SKU, Quantity: l.Quantity, Amount: l.Amount}
	}
	return out
}
