package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

var returns = collection{
	path:         "/v1/returns",
	noun:         "return",
	workflowType: workflows.TypeReturnOrder,
	workflowID:   func(id string) string { return workflows.ReturnWorkflowID(order.ReturnID(id)) },
	plan:         workflows.ReturnOrderPlan,
	matters:      returnMatters,
	schema:       "ReturnRequest",
	awaits:       workflows.UpdateGoodsArrived,

	insteadOfCancel: "What was refunded stays refunded; if the customer wants the goods after all, place a new order.",
}

func (s *server) routeReturns(api huma.API) {
	tags := []string{"returns"}
	register(s, api, huma.Operation{
		OperationID: "return-order", Method: http.MethodPost, Path: returns.path, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Return an order, or part of it",
		Description: "Starts the saga that takes a completed order back. Its ID follows from the " + keyHeader + ": " +
			"whoever does not get the answer sends the request again.",
		Responses: startResponses(api, reflect.TypeFor[returnView]()),
	}, []Code{codeUnknownOrder, codeOrderNotCompleted, codeUnavailable}, s.returnOrder)
	register(s, api, huma.Operation{
		OperationID: "list-returns", Method: http.MethodGet, Path: returns.path, Tags: tags,
		Summary: "List returns", Description: listOrder,
	}, []Code{codeUnavailable}, func(ctx context.Context, in *listInput) (*listOutput, error) {
		return s.list(ctx, returns, in)
	})
	register(s, api, huma.Operation{
		OperationID: "get-return", Method: http.MethodGet, Path: returns.path + "/{id}", Tags: tags,
		Summary: "Show a return, step by step", Responses: notModified(),
	}, []Code{codeNotFound, codeUnavailable}, s.getReturn)
	register(s, api, huma.Operation{
		OperationID: "cancel-return", Method: http.MethodPost, Path: returns.path + "/{id}" + cancelPath, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary:     "Cancel a return",
		Description: "Turns the saga back: everything that was done is undone. Possible until the payment is refunded. " + cancelDoubt,
	}, cancelCodes, s.cancelReturn)
	register(s, api, huma.Operation{
		OperationID: "report-arrival", Method: http.MethodPost, Path: returns.path + "/{id}" + arrivalPath, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary:     "Report that the goods are back",
		Description: "Tells a return that waits for its goods that the warehouse has them.",
	}, tellCodes, s.reportArrival)
}

type returnOrderInput struct {
	Prefer string `header:"Prefer" maxLength:"200" doc:"wait=N waits up to N seconds, at most 60, for the saga to end." example:"wait=10"`
	Body   returnRequest
}

func (in *returnOrderInput) wait() time.Duration { return waitOf(in.Prefer) }

// returnRequest is a return on the wire. Package order has the forms of its texts: see [formed].
type returnRequest struct {
	OrderID string        `json:"order_id" form:"id" doc:"The order, which must be completed."`
	Lines   []lineRequest `json:"lines,omitempty" nullable:"false" maxItems:"100" doc:"What comes back. Default: everything that was shipped."`
	Reason  string        `json:"reason" form:"text" example:"does not fit"`
}

func (s *server) returnOrder(ctx context.Context, in *returnOrderInput) (*startedOutput, error) {
	id := commandOf(ctx).id()
	r := order.Return{
		ID: order.ReturnID(id), OrderID: order.ID(in.Body.OrderID), Lines: linesOf(in.Body.Lines), Reason: in.Body.Reason,
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	returned, err := s.returnable(ctx, in.Body.OrderID)
	if err != nil {
		return nil, err
	}
	what := "everything"
	if len(r.Lines) > 0 {
		what = count(len(r.Lines), "article")
	}
	t, err := s.start(ctx, returns, start{
		id: id,
		// The order's, whoever asks. Older orders have none.
		tenant:  cmp.Or(attribute(returned, workflows.SearchAttributeTenant), callerOf(ctx).Tenant),
		request: r,
		input: workflows.ReturnOrderInput{
			Return: r, GoodsWithin: s.options.GoodsWithin, Deadline: s.options.ReturnDeadline, Revision: workflows.Revision,
		},
		customer: customerOf(returned),
		summary:  fmt.Sprintf("Return of order %s: %s", compensation.EscapeMarkdown(in.Body.OrderID), what),
	})
	if err != nil {
		return nil, err
	}
	return s.started(ctx, returns, t, in.Prefer, func(ended compensation.Status) (any, error) {
		v, err := viewOf[workflows.RefundReceipt](ctx, s, returns, id, ended)
		return (*returnView)(&v), err
	})
}

// returnable is the saga of the order, which is refused if it is not completed.
func (s *server) returnable(ctx context.Context, orderID string) (*workflowpb.WorkflowExecutionInfo, error) {
	info, err := s.describe(ctx, orders, orderID)
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return nil, &failure{
			code: codeUnknownOrder, detail: "Only what was ordered can be returned.",
			faults: []Fault{{Pointer: "/order_id", Detail: "no order has this ID"}},
		}
	}
	if err != nil {
		return nil, err
	}
	if state := compensation.StateOf(info); state != compensation.Completed {
		return nil, &failure{
			code: codeOrderNotCompleted, state: state, saga: orders.workflowID(orderID),
			detail: "Only a completed order can be returned; one that still runs can be canceled until its payment is captured.",
			faults: []Fault{{Pointer: "/order_id", Detail: "this order is " + string(state)}},
		}
	}
	return info, nil
}

type returnView view[workflows.RefundReceipt]

func (s *server) getReturn(ctx context.Context, in *showInput) (*showOutput[returnView], error) {
	return news(ctx, s, returns, in.ID, &in.News, views[returnView]{show: func(ctx context.Context, status compensation.Status) (*returnView, error) {
		v, err := viewOf[workflows.RefundReceipt](ctx, s, returns, in.ID, status)
		return (*returnView)(&v), err
	}})
}

func (s *server) cancelReturn(ctx context.Context, in *cancelInput) (*acceptedOutput, error) {
	return s.cancel(ctx, returns.workflowID(in.ID), in.Body.request())
}

type arrivalInput struct {
	ID   string `path:"id" doc:"The ID that it was started with." example:"42"`
	Body struct {
		Condition order.Condition `json:"condition" enum:"resalable,damaged" doc:"The state in which they arrived."`
		By        string          `json:"by,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" doc:"Who reports it. Default: the caller, who is named in any case." example:"dock 4"`
	} `nameHint:"ArrivalRequest"`
}

func (s *server) reportArrival(ctx context.Context, in *arrivalInput) (*acceptedOutput, error) {
	arrival := workflows.Arrival(in.Body)
	arrival.By = actor(ctx, arrival.By)
	return s.tell(ctx, workflows.UpdateGoodsArrived, arrival, deed{act: "arrival", saga: returns.workflowID(in.ID), by: arrival.By})
}
