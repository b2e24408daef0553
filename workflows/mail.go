package workflows

import (
	"fmt"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/internal/order"
)

func orderConfirmation(o order.Order, r Receipt) activities.Mail {
	return activities.Mail{
		To:      o.Customer.Email,
		Subject: fmt.Sprintf("Your order %s is on its way", o.ID),
		Text: fmt.Sprintf("Dear %s,\n\nyour order %s left with %s, tracking number %s.\nYou paid %s, invoice %s, and earned %d points.\n",
			o.Customer.Name, o.ID, r.Carrier, r.Tracking, r.Paid, r.InvoiceNumber, r.PointsAwarded),
	}
}

func goodsReminder(c order.Customer, r order.Return, s activities.ReturnShipment) activities.Mail {
	return activities.Mail{
		To:      c.Email,
		Subject: fmt.Sprintf("Your return %s: we wait for the goods", r.ID),
		Text: fmt.Sprintf("Dear %s,\n\nthe goods of your return %s have not reached us yet.\nPlease hand them to %s, tracking number %s.\n",
			c.Name, r.ID, s.Carrier, s.Tracking),
	}
}

func refundConfirmation(c order.Customer, r RefundReceipt) activities.Mail {
	return activities.Mail{
		To:      c.Email,
		Subject: fmt.Sprintf("Your return %s: %s refunded", r.ReturnID, r.Refunded),
		Text: fmt.Sprintf("Dear %s,\n\nwe took back the goods of your order %s and refunded %s, credit note %s.\n",
			c.Name, r.OrderID, r.Refunded, r.CreditNoteNumber),
	}
}
