package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

var orders = collection{
	path:         "/v1/orders",
	noun:         "order",
	workflowType: workflows.TypePlaceOrder,
	workflowID:   func(id string) string { return workflows.OrderWorkflowID(order.ID(id)) },
	plan:         workflows.PlaceOrderPlan,
	matters:      orderMatters,
	schema:       "OrderRequest",
	awaits:       workflows.UpdateApproval,

	insteadOfCancel: "What it brought can be taken back once it is completed, with a return: POST /v1/returns.",
}

func (s *server) routeOrders(api huma.API) {
	tags := []string{"orders"}
	register(s, api, huma.Operation{
		OperationID: "place-order", Method: http.MethodPost, Path: orders.path, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary:     "Place an order",
		Description: "Starts the saga that places the order. Its ID follows from the " + keyHeader + ": whoever does not get the answer sends the request again.",
		Responses:   startResponses(api, reflect.TypeFor[orderView]()),
	}, []Code{codeUnavailable}, s.placeOrder)
	register(s, api, huma.Operation{
		OperationID: "list-orders", Method: http.MethodGet, Path: orders.path, Tags: tags,
		Summary: "List orders", Description: listOrder,
	}, []Code{codeUnavailable}, func(ctx context.Context, in *listInput) (*listOutput, error) {
		return s.list(ctx, orders, in)
	})
	register(s, api, huma.Operation{
		OperationID: "get-order", Method: http.MethodGet, Path: orders.path + "/{id}", Tags: tags,
		Summary: "Show an order, step by step", Responses: notModified(),
	}, []Code{codeNotFound, codeUnavailable}, s.getOrder)
	register(s, api, huma.Operation{
		OperationID: "cancel-order", Method: http.MethodPost, Path: orders.path + "/{id}" + cancelPath, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Cancel an order",
		Description: "Turns the saga back: everything that was done is undone. Possible until the payment is captured; after that, return the order. " +
			cancelDoubt,
	}, cancelCodes, s.cancelOrder)
	register(s, api, huma.Operation{
		OperationID: "decide-order", Method: http.MethodPost, Path: orders.path + "/{id}" + approvalPath, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary:     "Approve or reject an order",
		Description: "Decides an order that fraud screening doubts and that waits for a person.",
	}, tellCodes, s.decideOrder)
}

// The problems of turning a saga back, and of giving it what it waits for.
var (
	cancelCodes = append([]Code{codeNotFound, codeTooLate, codeAlreadyEnded}, messageCodes...)
	tellCodes   = append([]Code{codeNotFound, codeNotAwaited}, messageCodes...)
)

// cancelDoubt is what a cancel may be answered before it is decided.
const cancelDoubt = "A saga that lost a record in a crash may have to ask first whether it is too late: where that takes longer than five seconds, " +
	"the answer says that it is `undecided`, and the saga's page shows whether it turned back."

type placeOrderInput struct {
	Prefer string `header:"Prefer" maxLength:"200" doc:"wait=N waits up to N seconds, at most 60, for the saga to end." example:"wait=10"`
	Body   orderRequest
}

func (in *placeOrderInput) wait() time.Duration { return waitOf(in.Prefer) }

// orderRequest is an order on the wire. Package order has the forms of its texts: see [formed].
type orderRequest struct {
	Customer customerRequest `json:"customer"`
	Lines    []lineRequest   `json:"lines" nullable:"false" minItems:"1" maxItems:"100"`
	Currency string          `json:"currency" pattern:"^[A-Z]{3}$" patternDescription:"an ISO 4217 code, such as EUR" doc:"ISO 4217 code of a currency in use." example:"EUR"`
	Voucher  string          `json:"voucher,omitempty" form:"voucher" doc:"A voucher's code to redeem."`
	Points   int64           `json:"points,omitempty" minimum:"0" maximum:"1000000000" doc:"Loyalty points to spend. A guest has none."`
	Payment  paymentRequest  `json:"payment"`
	ShipTo   addressRequest  `json:"ship_to"`
	Carrier  string          `json:"carrier,omitempty" form:"carrier" doc:"Who ships it. Default: the shop chooses."`
	Expected *order.Money    `json:"expected_total,omitempty" doc:"What the customer was told that the articles cost, before voucher and points. If they cost something else by now, the order is compensated before anything is held, and its cause says total_changed."`
}

type customerRequest struct {
	ID    string `json:"id,omitempty" form:"customer_id" doc:"The customer's account, by any system's name for it. Absent, empty or 0 for a guest."`
	Name  string `json:"name" form:"text" example:"Ada Lovelace"`
	Email string `json:"email" format:"email" form:"email"`
}

type lineRequest struct {
	SKU      string `json:"sku" form:"sku" doc:"The article."`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"100000" example:"2"`
}

type paymentRequest struct {
	Token string `json:"token" form:"token" doc:"The payment provider's name for the card to charge."`
}

type addressRequest struct {
	Name       string `json:"name" form:"text" example:"Ada Lovelace"`
	Company    string `json:"company,omitempty" form:"text" example:"Analytical Engines Ltd"`
	Street     string `json:"street" form:"text" example:"12 Analytical Row"`
	Street2    string `json:"street2,omitempty" form:"text" doc:"A second line." example:"Flat 3"`
	PostalCode string `json:"postal_code,omitempty" form:"text" doc:"Required where the country needs one: in DE, not in IE, HK or AE." example:"20095"`
	City       string `json:"city,omitempty" form:"text" doc:"Required but in the countries whose addresses need none, such as SG." example:"Hamburg"`
	Region     string `json:"region,omitempty" form:"text" doc:"A state, province or county." example:"HH"`
	Country    string `json:"country" pattern:"^[A-Z]{2}$" patternDescription:"an ISO 3166-1 alpha-2 code, such as DE" doc:"ISO 3166-1 alpha-2 code; XK for Kosovo." example:"DE"`
	Phone      string `json:"phone,omitempty" form:"phone"`
}

func (r orderRequest) order(id order.ID) order.Order {
	return order.Order{
		ID:       id,
		Customer: order.Customer(r.Customer),
		Lines:    linesOf(r.Lines),
		Currency: r.Currency,
		Voucher:  r.Voucher,
		Points:   r.Points,
		Payment:  order.Payment(r.Payment),
		ShipTo:   order.Address(r.ShipTo),
		Carrier:  r.Carrier,

		ExpectedTotal: r.Expected,
	}
}

func linesOf(requests []lineRequest) []order.Line {
	var lines []order.Line
	for _, l := range requests {
		lines = append(lines, order.Line(l))
	}
	return lines
}

func (s *server) placeOrder(ctx context.Context, in *placeOrderInput) (*startedOutput, error) {
	id := commandOf(ctx).id()
	o := in.Body.order(order.ID(id))
	if err := o.Validate(); err != nil {
		return nil, err
	}
	t, err := s.start(ctx, orders, start{
		id:      id,
		tenant:  callerOf(ctx).Tenant,
		request: o,
		input: workflows.PlaceOrderInput{
			Order: o, ApprovalWithin: s.options.ApprovalWithin, Deadline: s.options.OrderDeadline, Revision: workflows.Revision,
		},
		customer: o.Customer.Account(),
		summary:  fmt.Sprintf("%s for %s, in %s", count(len(o.Lines), "article"), whom(o.Customer), o.Currency),
	})
	if err != nil {
		return nil, err
	}
	return s.started(ctx, orders, t, in.Prefer, func(ended compensation.Status) (any, error) {
		v, err := viewOf[workflows.Receipt](ctx, s, orders, id, ended)
		return (*orderView)(&v), err
	})
}

// whom returns the customer in Markdown.
func whom(c order.Customer) string {
	if c.Guest() {
		return "a guest"
	}
	return "customer " + compensation.EscapeMarkdown(c.ID)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

type orderView view[workflows.Receipt]

func (s *server) getOrder(ctx context.Context, in *showInput) (*showOutput[orderView], error) {
	return news(ctx, s, orders, in.ID, &in.News, views[orderView]{show: func(ctx context.Context, status compensation.Status) (*orderView, error) {
		v, err := viewOf[workflows.Receipt](ctx, s, orders, in.ID, status)
		return (*orderView)(&v), err
	}})
}

type cancelInput struct {
	ID   string `path:"id" doc:"The ID that it was started with." example:"42"`
	Body *cancelRequest
}

type cancelRequest struct {
	By     string `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who cancels. Default: the caller, who is named in any case." example:"ada"`
	Reason string `json:"reason,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Why." example:"ordered twice"`
}

// request is what the saga is asked; a body need not be there.
func (r *cancelRequest) request() compensation.CancelRequest {
	if r == nil {
		return compensation.CancelRequest{}
	}
	return compensation.CancelRequest(*r)
}

func (s *server) cancelOrder(ctx context.Context, in *cancelInput) (*acceptedOutput, error) {
	return s.cancel(ctx, orders.workflowID(in.ID), in.Body.request())
}

type approvalInput struct {
	ID   string `path:"id" doc:"The ID that it was started with." example:"42"`
	Body approvalRequest
}

type approvalRequest struct {
	Approved bool   `json:"approved" doc:"true lets it go on; false undoes it."`
	By       string `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who decides. Default: the caller, who is named in any case." example:"grace"`
	Reason   string `json:"reason,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Why." example:"knows the customer"`
}

func (s *server) decideOrder(ctx context.Context, in *approvalInput) (*acceptedOutput, error) {
	return s.decide(ctx, orders.workflowID(in.ID), in.Body)
}

// decide approves or rejects what the saga waits for.
func (s *server) decide(ctx context.Context, workflowID string, r approvalRequest) (*acceptedOutput, error) {
	decision := workflows.Approval(r)
	decision.By = actor(ctx, decision.By)
	act := "reject"
	if decision.Approved {
		act = "approve"
	}
	return s.tell(ctx, workflows.UpdateApproval, decision, deed{act: act, saga: workflowID, by: decision.By, reason: decision.Reason})
}
