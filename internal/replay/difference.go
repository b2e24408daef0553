package replay

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
)

// Difference is the first place where code does not do what a history says.
type Difference struct {
	// Event is the number of the event, and EventType its type; 0 and empty where the history has none for what the code does.
	Event     int64  `json:"event,omitempty"`
	EventType string `json:"event_type,omitempty"`
	// Step is the step that the event is about; empty if it is about none.
	Step string `json:"step,omitempty"`
	// History is what the history says, Code what the code does instead.
	History string `json:"history,omitempty"`
	Code    string `json:"code"`
}

// String is the difference in words.
func (d Difference) String() string {
	var at strings.Builder
	if d.Event != 0 {
		fmt.Fprintf(&at, "event %d, %s", d.Event, d.EventType)
		if d.Step != "" {
			fmt.Fprintf(&at, ", step %s", d.Step)
		}
		at.WriteString("\n")
	}
	if d.History != "" {
		fmt.Fprintf(&at, "  history: %s\n", d.History)
	}
	fmt.Fprintf(&at, "  code:    %s", d.Code)
	return at.String()
}

// How the SDK says it. There are no errors to ask, only these texts.
var (
	otherLocal = regexp.MustCompile(`code executed local activity (\S+), but history event found (\S+), markerData: .*\\"ActivityID\\":\\"([^\\]+)\\"`)
	notDone    = regexp.MustCompile(`a matching (\w+) command was expected in history event position (.+?)\. However`)
	otherEvent = regexp.MustCompile(`history event is (\w+): \((.*)\), replay command is (\w+): \((.*)\)$`)
	missing    = regexp.MustCompile(`missing replay command for (\w+): \((.*)\)$`)
	extra      = regexp.MustCompile(`extra replay command for (\w+): \((.*)\)$`)
	// name is the ID of what an event or a command is about, of those that have one.
	name = regexp.MustCompile(`(?:ActivityId|TimerId|WorkflowId):([^,)]+)`)
)

// explain says where in the history the replay failed. What the SDK says in words that are not known here is passed on.
func explain(events []*historypb.HistoryEvent, err error) *Difference {
	text := err.Error()
	if m := otherLocal.FindStringSubmatch(text); m != nil {
		return at(find(events, m[3]), "runs "+m[2]+" as a local activity", "runs "+m[1]+" instead")
	}
	if m := notDone.FindStringSubmatch(text); m != nil {
		return at(find(events, m[2]), strings.ToLower(m[1])+" "+m[2], "does nothing of the kind there")
	}
	if m := otherEvent.FindStringSubmatch(text); m != nil {
		return at(findLike(events, m[1], m[2]), m[1]+" "+m[2], m[3]+" "+m[4])
	}
	if m := missing.FindStringSubmatch(text); m != nil {
		return at(findLike(events, m[1], m[2]), m[1]+" "+m[2], "does nothing more there")
	}
	if m := extra.FindStringSubmatch(text); m != nil {
		return &Difference{History: "has nothing more there", Code: m[1] + " " + m[2]}
	}
	return &Difference{Code: text}
}

// at is the difference at that event; nil if it is not known.
func at(event *historypb.HistoryEvent, history, code string) *Difference {
	d := &Difference{History: history, Code: code}
	if event != nil {
		d.Event, d.EventType, d.Step = event.GetEventId(), event.GetEventType().String(), stepOf(event)
	}
	return d
}

// findLike finds the event of that type which is about the same as the text.
func findLike(events []*historypb.HistoryEvent, eventType, text string) *historypb.HistoryEvent {
	id := ""
	if m := name.FindStringSubmatch(text); m != nil {
		id = m[1]
	}
	for _, event := range events {
		if event.GetEventType().String() == eventType && (id == "" || idOf(event) == id) {
			return event
		}
	}
	return nil
}

// find finds the event that begins what has that ID.
func find(events []*historypb.HistoryEvent, id string) *historypb.HistoryEvent {
	for _, event := range events {
		if idOf(event) == id {
			return event
		}
	}
	return nil
}

// idOf is the ID of the activity, timer or child that the event begins, or of the local activity that it records.
func idOf(event *historypb.HistoryEvent) string {
	switch event.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		return event.GetActivityTaskScheduledEventAttributes().GetActivityId()
	case enumspb.EVENT_TYPE_TIMER_STARTED:
		return event.GetTimerStartedEventAttributes().GetTimerId()
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
		return event.GetStartChildWorkflowExecutionInitiatedEventAttributes().GetWorkflowId()
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		return localActivity(event).ActivityID
	default:
		return ""
	}
}

// stepOf is the step that the event is about: its activity's ID begins with it, and that of a local activity is a number.
func stepOf(event *historypb.HistoryEvent) string {
	if event.GetEventType() == enumspb.EVENT_TYPE_MARKER_RECORDED {
		return localActivity(event).ActivityType
	}
	step, _, found := strings.Cut(idOf(event), "/")
	if !found {
		return ""
	}
	return step
}

// marker is what the SDK records of a local activity.
type marker struct{ ActivityID, ActivityType string }

func localActivity(event *historypb.HistoryEvent) marker {
	var m marker
	a := event.GetMarkerRecordedEventAttributes()
	if payloads := a.GetDetails()["data"].GetPayloads(); a.GetMarkerName() == "LocalActivity" && len(payloads) > 0 {
		_ = json.Unmarshal(payloads[0].GetData(), &m) // what cannot be read is about no step
	}
	return m
}
