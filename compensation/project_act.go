package compensation

import (
	"time"

	historypb "go.temporal.io/api/history/v1"
)

// accepted notes an update that the saga accepted.
func (p *projection) accepted(id int64, event *historypb.WorkflowExecutionUpdateAcceptedEventAttributes, at time.Time) {
	request := event.GetAcceptedRequest()
	if request == nil { // it stands where it was admitted
		request = p.admitted[event.GetProtocolInstanceId()]
	}
	p.status.Updates = append(p.status.Updates, AcceptedUpdate{
		ID: request.GetMeta().GetUpdateId(), Name: request.GetInput().GetName(), Args: request.GetInput().GetArgs(),
	})
	p.acted(id, request.GetInput(), at)
}
