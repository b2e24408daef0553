package workflows

import (
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Details are what a step's result tells people. What it does not tell is zero.
type Details struct {
	// Amount is the money that the step moves or sets aside.
	Amount *order.Money
	// Points are the loyalty points that it moves or sets aside.
	Points int64
	// Lines are the articles that it is about.
	Lines []order.Line
	// Carrier and Tracking find a shipment.
	Carrier, Tracking string
	// Reference is what the participant calls it, such as an invoice's number.
	Reference string
}

// DetailsOf is what the result of the step with that name tells. Nothing is told by a step that people do not ask about,
// nor by a result that cannot be read.
func DetailsOf(step string, result *commonpb.Payloads) Details {
	tell, ok := details[step]
	if !ok || result == nil {
		return Details{}
	}
	return tell(result)
}

// details read the results of steps.
var details = map[string]func(*commonpb.Payloads) Details{
	priceOrder.Name: reading(priceOrder, func(q activities.Quote) Details {
		lines := make([]order.Line, len(q.Lines))
		for i, l := range q.Lines {
			lines[i] = order.Line{SKU: l.SKU, Quantity: l.Quantity}
		}
		return Details{Lines: lines}
	}),
	reserveStock.Name:  reading(reserveStock, func(r activities.Reservation) Details { return Details{Reference: r.ID} }),
	redeemVoucher.Name: reading(redeemVoucher, func(r activities.Redemption) Details { return Details{Amount: given(r.Discount), Reference: r.Code} }),
	holdPoints.Name: reading(holdPoints, func(h activities.Hold) Details {
		return Details{Amount: given(h.Value), Points: h.Points, Reference: h.ID}
	}),
	authorizePayment.Name: reading(authorizePayment, func(a activities.Authorization) Details {
		return Details{Amount: given(a.Amount), Reference: a.ID}
	}),
	bookShipment.Name: reading(bookShipment, func(s activities.Shipment) Details {
		return Details{Carrier: s.Carrier, Tracking: s.Tracking, Reference: s.ID}
	}),
	capturePayment.Name:   reading(capturePayment, func(c activities.Capture) Details { return Details{Amount: given(c.Amount), Reference: c.ID} }),
	commitStock.Name:      reading(commitStock, func(c activities.Commitment) Details { return Details{Reference: c.ID} }),
	issueInvoice.Name:     reading(issueInvoice, func(i activities.Invoice) Details { return Details{Reference: i.Number} }),
	dispatchShipment.Name: reading(dispatchShipment, func(d activities.Dispatch) Details { return Details{Tracking: d.Tracking} }),

	approveReturn.Name: reading(approveReturn, func(a activities.ReturnApproval) Details { return Details{Lines: a.Lines} }),
	bookReturn.Name: reading(bookReturn, func(s activities.ReturnShipment) Details {
		return Details{Carrier: s.Carrier, Tracking: s.Tracking, Reference: s.ID}
	}),
	inspectGoods.Name:    reading(inspectGoods, func(i activities.Inspection) Details { return Details{Reference: i.ID} }),
	refundPayment.Name:   reading(refundPayment, func(r activities.Refund) Details { return Details{Amount: given(r.Amount), Reference: r.ID} }),
	restockGoods.Name:    reading(restockGoods, func(r activities.Restock) Details { return Details{Reference: r.ID} }),
	takeBackPoints.Name:  reading(takeBackPoints, func(c activities.PointsChange) Details { return Details{Points: c.Points} }),
	issueCreditNote.Name: reading(issueCreditNote, func(n activities.CreditNote) Details { return Details{Reference: n.Number} }),
}

// given is the amount; nil if it was left out by who marked the step as done.
func given(m order.Money) *order.Money {
	if m.Currency == "" {
		return nil
	}
	return &m
}

// reading reads results of the step, and of no other type.
func reading[In, Out any](_ compensation.Step[In, Out], tell func(Out) Details) func(*commonpb.Payloads) Details {
	return func(result *commonpb.Payloads) Details {
		var out Out
		if converter.GetDefaultDataConverter().FromPayloads(result, &out) != nil {
			return Details{}
		}
		return tell(out)
	}
}
