package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/amends-dev/amends/compensation"
)

// listInput asks for a page of a collection.
type listInput struct {
	State     state  `query:"state" doc:"Only sagas in this state."`
	PageSize  int32  `query:"page_size" default:"50" minimum:"1" maximum:"200" doc:"At most so many items."`
	PageToken string `query:"page_token" maxLength:"4096" doc:"The next_page_token of the page before, with the same state."`
}

// page is a part of a collection.
type page struct {
	Items         []item `json:"items" nullable:"false"`
	NextPageToken string `json:"next_page_token,omitempty" doc:"The page_token of the next page; absent on the last one."`
}

// item is a saga in a list.
type item struct {
	ID        string     `json:"id"`
	State     state      `json:"state"`
	Cause     string     `json:"cause,omitempty" doc:"Why it turned back, in one sentence."`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Links     links      `json:"links"`
}

type listOutput struct{ Body page }

// listOrder is what lists promise of their order. Temporal's visibility store has no other one.
const listOrder = "Newest first: sagas that have not ended by their start, then the others by their end. " +
	"A saga shows up, and changes its state here, within moments, not at once."

func (s *server) list(ctx context.Context, c collection, in *listInput) (*listOutput, error) {
	query := listQuery(c, compensation.State(in.State))
	token, err := decodePageToken(in.PageToken, query)
	if err != nil {
		return nil, err
	}
	answer, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize:      in.PageSize,
		NextPageToken: token,
		Query:         query,
	})
	if err != nil {
		return nil, fmt.Errorf("list %ss: %w", c.noun, err)
	}
	p := page{Items: make([]item, len(answer.GetExecutions()))}
	for i, info := range answer.GetExecutions() {
		p.Items[i] = s.item(c, info)
	}
	if next := answer.GetNextPageToken(); len(next) > 0 {
		p.NextPageToken = encodePageToken(next, query)
	}
	return &listOutput{Body: p}, nil
}

func (s *server) item(c collection, info *workflowpb.WorkflowExecutionInfo) item {
	id := c.idOf(info.GetExecution().GetWorkflowId())
	it := item{
		ID:        id,
		State:     state(compensation.StateOf(info)),
		Cause:     compensation.CauseOf(info),
		StartedAt: info.GetStartTime().AsTime(),
		Links:     s.links(c, id, info.GetExecution().GetRunId()),
	}
	if info.GetCloseTime() != nil {
		it.EndedAt = optional(info.GetCloseTime().AsTime())
	}
	return it
}

// listQuery finds what [compensation.StateOf] says is in the state; "" is any.
func listQuery(c collection, state compensation.State) string {
	attribute := compensation.SearchAttributeState.GetName()
	query := "WorkflowType = '" + c.workflowType + "'"
	switch state {
	case compensation.Running, compensation.Compensating, compensation.Parked:
		query += " AND ExecutionStatus = 'Running' AND " + attribute + " = '" + string(state) + "'"
	case compensation.Completed:
		query += " AND ExecutionStatus = 'Completed'"
	case compensation.Compensated, compensation.CompensatedWithExceptions:
		query += " AND ExecutionStatus IN ('Failed', 'Canceled') AND " + attribute + " = '" + string(state) + "'"
	case compensation.Terminated:
		query += " AND (ExecutionStatus IN ('Terminated', 'TimedOut') OR (ExecutionStatus IN ('Failed', 'Canceled') AND " +
			attribute + " NOT IN ('" + string(compensation.Compensated) + "', '" + string(compensation.CompensatedWithExceptions) + "')))"
	}
	return query
}

var errPageToken = &failure{
	code:   codeBadParameter,
	detail: "A parameter cannot be read.",
	faults: []Fault{{Parameter: "page_token", Detail: "is not the next_page_token of a page of this list"}},
}

// encodePageToken makes Temporal's token one of ours, which fits only the list that it was made for.
func encodePageToken(token []byte, query string) string {
	return base64.RawURLEncoding.EncodeToString(append(tokenSeal(token, query), token...))
}

func decodePageToken(text, query string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < sealLen || !bytes.Equal(raw[:sealLen], tokenSeal(raw[sealLen:], query)) {
		return nil, errPageToken
	}
	return raw[sealLen:], nil
}

const sealLen = 8

// tokenSeal tells a token that was damaged, or made for another list, which Temporal takes for a fault of its own. It
// is no secret: a token says nothing that a caller may not see.
func tokenSeal(token []byte, query string) []byte {
	sum := sha256.Sum256(append([]byte(query+"\n"), token...))
	return sum[:sealLen]
}
