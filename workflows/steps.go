package workflows

import (
	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
)

// The participants, for their method names only: the worker registers real ones under the same names.
var (
	pricing      *activities.Pricing
	fraud        *activities.Fraud
	inventory    *activities.Inventory
	vouchers     *activities.Vouchers
	loyalty      *activities.Loyalty
	payment      *activities.Payment
	shipping     *activities.Shipping
	invoicing    *activities.Invoicing
	notification *activities.Notification
)

// PlaceOrder's steps.
var (
	priceOrder = compensation.Step[activities.PriceOrder, activities.Quote]{
		Name: "PriceOrder", Do: pricing.PriceOrder, Undo: pricing.WithdrawQuote,
	}
	screenFraud = compensation.Step[activities.ScreenFraud, activities.Screening]{
		Name: "ScreenFraud", Do: fraud.ScreenFraud, Undo: fraud.WithdrawScreening,
	}
	reserveStock = compensation.Step[activities.ReserveStock, activities.Reservation]{
		Name: "ReserveStock", Do: inventory.ReserveStock, Undo: inventory.ReleaseStock,
	}
	redeemVoucher = compensation.Step[activities.RedeemVoucher, activities.Redemption]{
		Name: "RedeemVoucher", Do: vouchers.RedeemVoucher, Undo: vouchers.RestoreVoucher,
	}
	holdPoints = compensation.Step[activities.HoldPoints, activities.Hold]{
		Name: "HoldPoints", Do: loyalty.HoldPoints, Undo: loyalty.ReleasePoints,
	}
	authorizePayment = compensation.Step[activities.AuthorizePayment, activities.Authorization]{
		Name: "AuthorizePayment", Do: payment.AuthorizePayment, Undo: payment.VoidAuthorization,
	}
	bookShipment = compensation.Step[activities.BookShipment, activities.Shipment]{
		Name: "BookShipment", Do: shipping.BookShipment, Undo: shipping.CancelShipment,
	}
	capturePayment = compensation.Step[activities.CapturePayment, activities.Capture]{
		Name: "CapturePayment", Kind: compensation.Pivot, Do: payment.CapturePayment, Undo: payment.PreventCapture,
	}
	commitStock = compensation.Step[activities.CommitStock, activities.Commitment]{
		Name: "CommitStock", Kind: compensation.Retriable, Do: inventory.CommitStock,
	}
	awardPoints = compensation.Step[activities.AwardPoints, activities.PointsChange]{
		Name: "AwardPoints", Kind: compensation.Retriable, Do: loyalty.AwardPoints,
	}
	issueInvoice = compensation.Step[activities.IssueInvoice, activities.Invoice]{
		Name: "IssueInvoice", Kind: compensation.Retriable, Do: invoicing.IssueInvoice,
	}
	dispatchShipment = compensation.Step[activities.DispatchShipment, activities.Dispatch]{
		Name: "DispatchShipment", Kind: compensation.Retriable, Do: shipping.DispatchShipment,
	}
	notifyCustomer = compensation.Step[activities.Mail, activities.SentMail]{
		Name: "NotifyCustomer", Kind: compensation.Retriable, Do: notification.NotifyCustomer,
	}
)

// PlaceOrderPlan is PlaceOrder, step by step.
var PlaceOrderPlan = compensation.MustPlan(TypePlaceOrder,
	priceOrder,
	screenFraud,
	compensation.Parallel(reserveStock, redeemVoucher, holdPoints),
	authorizePayment,
	bookShipment,
	capturePayment,
	commitStock,
	awardPoints,
	issueInvoice,
	dispatchShipment,
	notifyCustomer,
)

// ReturnOrder's steps; it ends with notifyCustomer, as PlaceOrder does.
var (
	approveReturn = compensation.Step[activities.ApproveReturn, activities.ReturnApproval]{
		Name: "ApproveReturn", Do: invoicing.ApproveReturn, Undo: invoicing.WithdrawApproval,
	}
	bookReturn = compensation.Step[activities.BookReturn, activities.ReturnShipment]{
		Name: "BookReturn", Do: shipping.BookReturn, Undo: shipping.CancelReturnShipment,
	}
	remindCustomer = compensation.Step[activities.Mail, activities.SentMail]{
		Name: "RemindCustomer", Do: notification.RemindCustomer, Undo: notification.DropReminder,
		Repeats: true,
	}
	inspectGoods = compensation.Step[activities.InspectGoods, activities.Inspection]{
		Name: "InspectGoods", Do: inventory.InspectGoods, Undo: inventory.WithdrawInspection,
	}
	refundPayment = compensation.Step[activities.RefundPayment, activities.Refund]{
		Name: "RefundPayment", Kind: compensation.Pivot, Do: payment.RefundPayment, Undo: payment.PreventRefund,
	}
	restockGoods = compensation.Step[activities.RestockGoods, activities.Restock]{
		Name: "RestockGoods", Kind: compensation.Retriable, Do: inventory.RestockGoods,
	}
	takeBackPoints = compensation.Step[activities.TakeBackPoints, activities.PointsChange]{
		Name: "TakeBackPoints", Kind: compensation.Retriable, Do: loyalty.TakeBackPoints,
	}
	issueCreditNote = compensation.Step[activities.IssueCreditNote, activities.CreditNote]{
		Name: "IssueCreditNote", Kind: compensation.Retriable, Do: invoicing.IssueCreditNote,
	}
)

// ReturnOrderPlan is ReturnOrder, step by step. RemindCustomer runs once for each reminder that is due.
var ReturnOrderPlan = compensation.MustPlan(TypeReturnOrder,
	approveReturn,
	bookReturn,
	remindCustomer,
	inspectGoods,
	refundPayment,
	restockGoods,
	takeBackPoints,
	issueCreditNote,
	notifyCustomer,
)
