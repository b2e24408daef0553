package compensation

import (
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	updatepb "go.temporal.io/api/update/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
)

// projection folds a history into a status.
type projection struct {
	status Status
	// summaries are those of the plan's express steps and undos.
	summaries map[string]activityRef
	// activities are the steps' and undos' executions by the event that scheduled them.
	activities map[int64]activityRef
	timers     map[string]Wait
	// acts are the decisions of operators, and decisions their effects on steps.
	acts      []acceptedAct
	decisions []*decision
	// admitted are updates that are not yet accepted, by ID.
	admitted map[string]*updatepb.Request
	// now is the workflow's own clock: when its code went on last, and with it came to the next steps. groups are the
	// plan's, by step, and began is when a group's steps started that are express.
	now    time.Time
	groups map[string]int
	began  map[int]time.Time
}

type activityRef struct {
	step, item string
	undo       bool
	// before counts the tries of earlier executions of the same activity.
	before int
}

func project(plan *Plan, desc *workflowservice.DescribeWorkflowExecutionResponse, events []*historypb.HistoryEvent) Status {
	info := desc.GetWorkflowExecutionInfo()
	p := projection{
		summaries:  map[string]activityRef{},
		activities: map[int64]activityRef{},
		timers:     map[string]Wait{},
		admitted:   map[string]*updatepb.Request{},
		groups:     map[string]int{},
		began:      map[int]time.Time{},
		status: Status{
			SagaID:    info.GetExecution().GetWorkflowId(),
			RunID:     info.GetExecution().GetRunId(),
			Type:      info.GetType().GetName(),
			State:     StateOf(info),
			Cause:     CauseOf(info),
			StartedAt: info.GetStartTime().AsTime(),
		},
	}
	if info.GetCloseTime() != nil {
		p.status.EndedAt = info.GetCloseTime().AsTime()
	} else if list := info.GetMemo().GetFields()[MemoParked]; list != nil {
		// What cannot be read is shown by the state alone.
		_ = converter.GetDefaultDataConverter().FromPayload(list, &p.status.Parked)
	}
	for _, d := range plan.steps {
		p.status.Steps = append(p.status.Steps, StepStatus{Name: d.name, Kind: d.kind, Do: DoWaiting, Undo: UndoNone})
		p.summaries[d.doSummary(Key{Step: d.name})] = activityRef{step: d.name}
		p.groups[d.name] = d.group
		if d.undo != nil {
			p.summaries[d.undoSummary] = activityRef{step: d.name, undo: true}
		}
	}
	for _, event := range events {
		p.apply(event)
	}
	p.pending(desc.GetPendingActivities())
	p.conclude()
	return p.status
}

// step finds the entry for the step, and makes one for an item that is new.
func (p *projection) step(name, item string) *StepStatus {
	at, kind := len(p.status.Steps), Compensatable
	for i := range p.status.Steps {
		st := &p.status.Steps[i]
		if st.Name != name {
			continue
		}
		if st.Item == item {
			return st
		}
		if st.Do == DoWaiting { // the plan's own entry, which no item has taken yet
			st.Item = item
			return st
		}
		at, kind = i+1, st.Kind
	}
	// Another item, or a step of another version of the plan.
	p.status.Steps = slices.Insert(p.status.Steps, at, StepStatus{Name: name, Item: item, Kind: kind, Undo: UndoNone})
	return &p.status.Steps[at]
}

func (p *projection) apply(event *historypb.HistoryEvent) {
	at := event.GetEventTime().AsTime()
	switch event.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED:
		p.tick(at)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		p.status.Headers = event.GetWorkflowExecutionStartedEventAttributes().GetHeader().GetFields()
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		p.scheduled(event.GetEventId(), event.GetActivityTaskScheduledEventAttributes().GetActivityId(), at)
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		a := event.GetActivityTaskStartedEventAttributes()
		p.tried(a.GetScheduledEventId(), int(a.GetAttempt()), a.GetLastFailure())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		a := event.GetActivityTaskCompletedEventAttributes()
		p.settled(a.GetScheduledEventId(), done(a.GetResult()), at)
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		a := event.GetActivityTaskFailedEventAttributes()
		p.settled(a.GetScheduledEventId(), failed(a.GetFailure()), at)
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		a := event.GetActivityTaskTimedOutEventAttributes()
		p.settled(a.GetScheduledEventId(), ending{outcome: DoUnknown, failure: a.GetFailure()}, at)
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		p.settled(event.GetActivityTaskCanceledEventAttributes().GetScheduledEventId(), ending{outcome: DoUnknown}, at)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		p.status.Result = event.GetWorkflowExecutionCompletedEventAttributes().GetResult()
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		p.marked(event)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		p.accepted(event.GetEventId(), event.GetWorkflowExecutionUpdateAcceptedEventAttributes(), at)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: // by a reset, which carries over accepted updates
		request := event.GetWorkflowExecutionUpdateAdmittedEventAttributes().GetRequest()
		p.admitted[request.GetMeta().GetUpdateId()] = request
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		a := event.GetWorkflowExecutionUpdateCompletedEventAttributes()
		if a.GetOutcome().GetFailure() != nil {
			p.revoke(a.GetAcceptedEventId())
		}
	case enumspb.EVENT_TYPE_TIMER_STARTED:
		a := event.GetTimerStartedEventAttributes()
		p.timers[a.GetTimerId()] = Wait{
			For:   text(event.GetUserMetadata().GetSummary()),
			Until: at.Add(a.GetStartToFireTimeout().AsDuration()),
		}
	case enumspb.EVENT_TYPE_TIMER_FIRED:
		delete(p.timers, event.GetTimerFiredEventAttributes().GetTimerId())
	case enumspb.EVENT_TYPE_TIMER_CANCELED:
		delete(p.timers, event.GetTimerCanceledEventAttributes().GetTimerId())
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		p.status.Cause = endOf(event, p.status.Cause)
	default:
		// Other events say nothing of steps.
	}
}

func (p *projection) scheduled(id int64, activityID string, at time.Time) {
	label, undo := strings.CutSuffix(activityID, undoSuffix)
	if !undo {
		var do, probe bool
		if label, do = strings.CutSuffix(activityID, doSuffix); !do {
			if label, probe = strings.CutSuffix(activityID, probeSuffix); !probe {
				return // an activity of the workflow's own
			}
		}
	}
	name, item, _ := strings.Cut(label, ".")
	p.activities[id] = p.begin(activityRef{step: name, item: item, undo: undo}, at)
}

// begin notes that a step or its undo is tried, once more perhaps.
func (p *projection) begin(ref activityRef, at time.Time) activityRef {
	st := p.step(ref.step, ref.item)
	if ref.undo {
		ref.before = st.UndoAttempts
		st.Undo = UndoRunning
		return ref
	}
	ref.before = st.Attempts
	st.Do, st.Undo = DoRunning, UndoNone
	if st.StartedAt.IsZero() {
		st.StartedAt = at
	}
	return ref
}

// localActivityMarker is the name of the SDK's marker for a local activity.
const localActivityMarker = "LocalActivity"

// localActivity is what the SDK notes of a local activity: the workflow's time when it was over, and its tries.
type localActivity struct {
	ReplayTime time.Time
	Attempt    int
}

// marked takes the outcome of an express step or undo, which is all that the history has of it.
func (p *projection) marked(event *historypb.HistoryEvent) {
	a := event.GetMarkerRecordedEventAttributes()
	if a.GetMarkerName() != localActivityMarker {
		return
	}
	var la localActivity
	if converter.GetDefaultDataConverter().FromPayloads(a.GetDetails()["data"], &la) != nil {
		la = localActivity{ReplayTime: event.GetEventTime().AsTime(), Attempt: 1}
	}
	began := p.now
	p.tick(la.ReplayTime)
	ref, ok := p.summaries[text(event.GetUserMetadata().GetSummary())]
	if !ok {
		return // not of the engine's
	}
	const id = 0 // no event has it
	p.activities[id] = p.begin(ref, p.expressed(ref.step, began))
	p.tried(id, la.Attempt, nil)
	end := done(a.GetDetails()["result"])
	if a.GetFailure() != nil {
		end = failed(a.GetFailure())
	}
	p.settled(id, end, la.ReplayTime)
	delete(p.activities, id)
}

// expressed is when an express step started whose outcome is recorded now; its record does not say. before is what the
// clock showed at the record before.
func (p *projection) expressed(step string, before time.Time) time.Time {
	group, planned := p.groups[step]
	if !planned {
		return before
	}
	if _, ok := p.began[group]; !ok {
		p.began[group] = before
	}
	return p.began[group]
}

// tick sets the workflow's clock, which never goes back.
func (p *projection) tick(at time.Time) {
	if at.After(p.now) {
		p.now = at
	}
}

// An ending is the outcome of an activity, with its time.
type ending struct {
	outcome DoState
	result  *commonpb.Payloads
	failure *failurepb.Failure
	at      time.Time
}

func done(result *commonpb.Payloads) ending { return ending{outcome: DoDone, result: result} }

// failed is what a recorded failure says of the step's effect.
func failed(f *failurepb.Failure) ending {
	if f.GetApplicationFailureInfo().GetType() == ErrTypeRefused {
		return ending{outcome: DoRefused, failure: f}
	}
	return ending{outcome: DoUnknown, failure: f}
}

func (p *projection) tried(id int64, attempt int, failure *failurepb.Failure) {
	ref, ok := p.activities[id]
	if !ok {
		return
	}
	st := p.step(ref.step, ref.item)
	if ref.undo {
		st.UndoAttempts = ref.before + attempt
	} else {
		st.Attempts = ref.before + attempt
	}
	if failure != nil {
		st.Error = failureText(failure)
	}
}

func (p *projection) settled(id int64, end ending, at time.Time) {
	ref, ok := p.activities[id]
	if !ok {
		return
	}
	end.at = at
	if !p.step(ref.step, ref.item).decided(ref.undo) {
		p.concluded(ref, end)
		return
	}
	// An operator was faster: the result of the running try counts only if the act turns out to have come too late.
	for _, d := range p.decisions {
		if d.about.step == ref.step && d.about.item == ref.item && d.about.undo == ref.undo {
			d.late = &end
		}
	}
}

// concluded records the ending of a step or its undo.
func (p *projection) concluded(ref activityRef, end ending) {
	st := p.step(ref.step, ref.item)
	if end.outcome == DoDone {
		st.Error = ""
	} else if end.failure != nil {
		st.Error = failureText(end.failure)
	}
	switch {
	case !ref.undo:
		st.Do, st.Result, st.EndedAt = end.outcome, end.result, end.at
	case end.outcome == DoDone && (st.Kind == Pivot || st.Do == DoWaiting):
		st.Undo, st.UndoneAt = UndoPrevented, end.at
	case end.outcome == DoDone:
		st.Undo, st.UndoneAt = UndoDone, end.at
	default:
		st.Undo = UndoFailed
	}
}

// pending adds what the history does not tell yet: the tries of activities that run or wait for their next try.
func (p *projection) pending(activities []*workflowpb.PendingActivityInfo) {
	for _, a := range activities {
		label, undo := strings.CutSuffix(a.GetActivityId(), undoSuffix)
		label = strings.TrimSuffix(label, doSuffix)
		for id, ref := range p.activities {
			if (Key{Step: ref.step, Item: ref.item}).label() == label && ref.undo == undo && p.open(ref) {
				p.tried(id, int(a.GetAttempt()), a.GetLastFailure())
			}
		}
	}
}

func (p *projection) open(ref activityRef) bool {
	st := p.step(ref.step, ref.item)
	if ref.undo {
		return st.Undo == UndoRunning
	}
	return st.Do == DoRunning
}

// conclude settles what only the whole history can tell.
func (p *projection) conclude() {
	for _, a := range p.acts {
		p.status.Acts = append(p.status.Acts, a.ActRecord)
	}
	st := p.status
	turnedBack := st.Cause != ""
	later := false // a later step was started
	for i := len(st.Steps) - 1; i >= 0; i-- {
		step := &st.Steps[i]
		if step.Do == DoWaiting && (later || turnedBack || !st.EndedAt.IsZero()) {
			step.Do = DoNotRun
		}
		later = later || (step.Do != DoWaiting && step.Do != DoNotRun)
		if step.Do == DoRunning && !st.EndedAt.IsZero() {
			step.Do = DoUnknown
		}
		stands := step.Do.stands() || step.Do == DoUnknown || step.Do == DoRunning
		if turnedBack && !st.State.Ended() && step.Kind == Compensatable && step.Undo == UndoNone && stands {
			step.Undo = UndoWaiting
		}
	}
	if st.EndedAt.IsZero() {
		for _, w := range p.timers {
			if w.For == deadlineSummary {
				p.status.Deadline = w.Until
			}
			if w.For == "" || w.For == deadlineSummary {
				continue // it is for nothing that would move the saga on
			}
			p.status.Waits = append(p.status.Waits, w)
		}
		slices.SortFunc(p.status.Waits, func(a, b Wait) int { return a.Until.Compare(b.Until) })
	}
}
