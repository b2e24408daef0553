package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// Paging asks for a page of a list. It is exported as [Filter] is.
type Paging struct {
	PageSize  int32  `query:"page_size" default:"50" minimum:"1" maximum:"200" doc:"At most so many items."`
	PageToken string `query:"page_token" maxLength:"4096" doc:"The next_page_token of the page before, with the same filter."`
}

// listInput asks for a page of a collection.
type listInput struct {
	State state `query:"state" doc:"Only sagas in this state."`
	Paging
}

// page is a part of a list.
type page struct {
	Items         []item `json:"items" nullable:"false"`
	NextPageToken string `json:"next_page_token,omitempty" doc:"The page_token of the next page; absent on the last one."`
}

// item is a saga in a list.
type item struct {
	ID          string     `json:"id"`
	Type        string     `json:"type" example:"PlaceOrder"`
	State       state      `json:"state"`
	Cause       string     `json:"cause,omitempty" doc:"Why it turned back, in one sentence."`
	Step        string     `json:"step,omitempty" doc:"The step at which it is parked; otherwise the one because of which it turned back, if it was a step." example:"ReserveStock"`
	Customer    string     `json:"customer,omitempty" doc:"The ID of the customer whom it is about." example:"c-1001"`
	ParkedSince *time.Time `json:"parked_since,omitempty" doc:"Since when it waits for an operator."`
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	Links       links      `json:"links"`
}

type listOutput struct{ Body page }

// listOrder is what lists promise of their order. Temporal's visibility store has no other one.
const listOrder = "Newest first: sagas that have not ended by their start, then the others by their end. " +
	"A saga shows up, and changes its state here, within moments, not at once."

func (s *server) list(ctx context.Context, c collection, in *listInput) (*listOutput, error) {
	return s.page(ctx, Filter{Type: c.workflowType, State: in.State}, in.Paging, s.item)
}

// page answers with the sagas that match, in the store's order.
func (s *server) page(ctx context.Context, f Filter, p Paging, show func(collection, *workflowpb.WorkflowExecutionInfo) item) (*listOutput, error) {
	query, faults := f.visibility(callerOf(ctx))
	if len(faults) > 0 {
		return nil, badQuery(faults...)
	}
	seal, err := s.pageSeal(ctx)
	if err != nil {
		return nil, err
	}
	token, err := seal.open(p.PageToken, query)
	if err != nil {
		return nil, err
	}
	found, err := s.find(ctx, query, p.PageSize, token)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: page{Items: items(found.GetExecutions(), show)}}
	if next := found.GetNextPageToken(); len(next) > 0 {
		out.Body.NextPageToken = seal.token(next, query)
	}
	return out, nil
}

// find asks Temporal's visibility store.
func (s *server) find(ctx context.Context, query string, size int32, token []byte) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	found, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: size, NextPageToken: token, Query: query})
	if err != nil {
		return nil, fmt.Errorf("list sagas, %s: %w", query, err)
	}
	return found, nil
}

// maxSorted bounds how many sagas are read to sort them, and with it what that costs. Temporal gives up to 1,000 at once.
const maxSorted = 500

// longestParked answers with the parked sagas that match, those that wait longest first. Temporal's SQL stores sort by
// nothing that one could ask for, so all of them are read.
func (s *server) longestParked(ctx context.Context, in *sagasInput) (*listOutput, error) {
	query, faults := in.visibility(callerOf(ctx))
	if in.State != state(compensation.Parked) {
		faults = append(faults, Fault{Parameter: "sort", Detail: "parked_since is for state=parked"})
	}
	if len(faults) > 0 {
		return nil, badQuery(faults...)
	}
	list := query + " sorted"
	seal, err := s.pageSeal(ctx)
	if err != nil {
		return nil, err
	}
	token, err := seal.open(in.PageToken, list)
	if err != nil {
		return nil, err
	}
	found, err := s.find(ctx, query, maxSorted, nil)
	if err != nil {
		return nil, err
	}
	if len(found.GetExecutions()) >= maxSorted {
		return nil, badQuery(Fault{Parameter: "sort", Detail: fmt.Sprintf(
			"%d sagas or more match, too many to sort; narrow them, such as by parked_before", maxSorted)})
	}
	sagas := slices.DeleteFunc(found.GetExecutions(), func(info *workflowpb.WorkflowExecutionInfo) bool {
		return parkedKey(info) <= string(token)
	})
	slices.SortFunc(sagas, func(a, b *workflowpb.WorkflowExecutionInfo) int { return cmp.Compare(parkedKey(a), parkedKey(b)) })
	out := &listOutput{}
	if size := int(in.PageSize); len(sagas) > size {
		sagas = sagas[:size]
		out.Body.NextPageToken = seal.token([]byte(parkedKey(sagas[size-1])), list)
	}
	out.Body.Items = items(sagas, s.sagaItem)
	return out, nil
}

// parkedKey sorts a saga by since when it is parked.
func parkedKey(info *workflowpb.WorkflowExecutionInfo) string {
	return compensation.ParkedSinceOf(info).UTC().Format("2006-01-02T15:04:05.000000000Z") + info.GetExecution().GetWorkflowId()
}

func items(infos []*workflowpb.WorkflowExecutionInfo, show func(collection, *workflowpb.WorkflowExecutionInfo) item) []item {
	list := make([]item, 0, len(infos))
	for _, info := range infos {
		if c, err := findType(info.GetType().GetName()); err == nil {
			list = append(list, show(c, info))
		}
	}
	return list
}

// item is the saga as the order or return that it is about.
func (s *server) item(c collection, info *workflowpb.WorkflowExecutionInfo) item {
	id := c.idOf(info.GetExecution().GetWorkflowId())
	it := item{
		ID:          id,
		Type:        c.workflowType,
		State:       state(compensation.StateOf(info)),
		Cause:       compensation.CauseOf(info),
		Step:        compensation.StepOf(info),
		Customer:    customerOf(info),
		ParkedSince: optional(compensation.ParkedSinceOf(info)),
		StartedAt:   info.GetStartTime().AsTime(),
		Links:       s.links(c, id, info.GetExecution().GetRunId()),
	}
	if info.GetCloseTime() != nil {
		it.EndedAt = optional(info.GetCloseTime().AsTime())
	}
	return it
}

// sagaItem is the saga as one among all.
func (s *server) sagaItem(c collection, info *workflowpb.WorkflowExecutionInfo) item {
	it := s.item(c, info)
	it.ID, it.Links = info.GetExecution().GetWorkflowId(), it.Links.amongSagas()
	return it
}

// customerOf is the customer whom the saga is about; empty if it was started without telling.
func customerOf(info *workflowpb.WorkflowExecutionInfo) string {
	return order.CustomerIDOf(text(info.GetSearchAttributes().GetIndexedFields()[workflows.SearchAttributeCustomer.GetName()]))
}

func badQuery(faults ...Fault) *failure {
	return &failure{code: codeBadParameter, detail: "A parameter cannot be read.", faults: faults}
}
