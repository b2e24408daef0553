package compensation

import (
	"encoding/json"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/sdk/converter"
)

// accepted notes an update that the saga accepted.
func (p *projection) accepted(event *historypb.WorkflowExecutionUpdateAcceptedEventAttributes, at time.Time) {
	request := event.GetAcceptedRequest()
	if request == nil { // it stands where it was admitted
		request = p.admitted[event.GetProtocolInstanceId()]
	}
	p.status.Updates = append(p.status.Updates, AcceptedUpdate{
		ID: request.GetMeta().GetUpdateId(), Name: request.GetInput().GetName(), Args: request.GetInput().GetArgs(),
	})
	p.acted(request.GetInput(), at)
}

// acted takes what an operator decided.
func (p *projection) acted(update *updatepb.Input, at time.Time) {
	if _, known := actDescriptions[update.GetName()]; !known {
		return
	}
	r := ActRecord{Name: update.GetName(), At: at}
	if converter.GetDefaultDataConverter().FromPayloads(update.GetArgs(), &r.Act) != nil {
		return // a validator would not have let it pass
	}
	p.status.Acts = append(p.status.Acts, r)
	undoing := slices.ContainsFunc(p.status.Steps, func(st StepStatus) bool { return st.Undo != UndoNone })
	for i := range p.status.Steps {
		st := &p.status.Steps[i]
		named := r.Step == "" || (st.Name == r.Step && st.Item == r.Item)
		undo := st.Undo == UndoRunning || st.Undo == UndoFailed
		do := !undoing && (st.Do == DoRunning || st.Do == DoRefused || st.Do == DoUnknown)
		switch {
		case !named:
		case r.Name == UpdateSkip && undo:
			st.Undo = UndoSkipped
		case r.Name == UpdateMarkDone && undo:
			st.Undo = UndoMarkedDone
		case r.Name == UpdateSkip && do:
			st.Do = DoSkipped
		case r.Name == UpdateMarkDone && do:
			st.Do, st.Result = DoMarkedDone, payloadsOf(r.Result)
		}
	}
}

// payloadsOf is JSON as a step's result; nil for none.
func payloadsOf(value json.RawMessage) *commonpb.Payloads {
	if len(value) == 0 {
		return nil
	}
	result, err := converter.GetDefaultDataConverter().ToPayloads(value)
	if err != nil {
		return nil // it was read from a history, so it is JSON
	}
	return result
}
