package e2e_test

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// soundnessRounds is the number of times that TestSoundness plays each schedule (make soundness).
var soundnessRounds = flag.Int("soundness.rounds", 1, "how often each schedule of TestSoundness is played")

// Schedules of crashes, resets and decisions, at chosen points of a saga on a real server, in which an engine that is
// careless in one point leaves something half done. sagatest has each of them, and more; here a real server shows the
// same.
func TestSoundness(t *testing.T) {
	t.Parallel()

	for name, play := range map[string]func(*testing.T){
		"a refusal after a heartbeat":     refusalAfterAHeartbeat,
		"a cancel during express steps":   cancelDuringExpressSteps,
		"a burst of decisions":            burstOfDecisions,
		"a reset of an order":             resetOrder,
		"a reset of a return with items":  resetReturn,
		"a workflow killed while it ends": killedAtTheEnd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for range *soundnessRounds {
				play(t)
			}
		})
	}
}

// untilTheCarrier are the steps before BookShipment, by service.
var untilTheCarrier = [][2]string{
	{"pricing", "PriceOrder"}, {"fraud", "ScreenFraud"}, {"inventory", "ReserveStock"}, {"payment", "AuthorizePayment"},
}

// The first task ends with a heartbeat while the call to the carrier is on its way, and the worker dies. The next worker
// makes its first call from the code's position in the first task, and is refused: the first call is still on its way all
// the same.
func refusalAfterAHeartbeat(t *testing.T) {
	s := startSystem(t)
	for range 10 { // on a busy machine, the heartbeat may come at another step
		d := example(t, "orders/good.json")
		for _, st := range untilTheCarrier {
			s.fault(st[0], st[1], d, settings{"latency_ms": 850, "times": 1})
		}
		s.fault("shipping", "BookShipment", d, settings{"latency_ms": 970, "late_ms": 8000, "times": 1})
		path := s.place("orders", d)
		s.awaitHistory(path, func(events []*historypb.HistoryEvent) bool { return len(events) > 3 })
		s.worker.kill()
		began := time.Now()
		inFlight := s.inFlightAtHeartbeat(path)
		s.fault("shipping", "BookShipment", d, settings{"refuse": true})
		s.startWorker()
		v := s.awaitEnd(path)
		<-time.After(time.Until(began.Add(9 * time.Second))) // until the late call has arrived, which has no other sign
		s.requireNothingHalfDone()
		if inFlight {
			require.Equal(t, "compensated", v.State, "%+v", v)
			require.Contains(t, []string{"done", "prevented"}, v.step("BookShipment").Undo, "the refused step is undone")
			return
		}
	}
	t.Fatal("in none of ten orders the heartbeat came while the carrier was asked")
}

// inFlightAtHeartbeat reports whether the first task was completed after AuthorizePayment and before BookShipment had an
// outcome.
func (s *system) inFlightAtHeartbeat(path string) bool {
	s.t.Helper()
	settled := 0
	for _, event := range s.history(path) {
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_MARKER_RECORDED:
			settled++
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
			return false
		default:
		}
	}
	return settled == len(untilTheCarrier)
}

// history returns the saga's history so far.
func (s *system) history(path string) (events []*historypb.HistoryEvent) {
	s.t.Helper()
	it := s.dial().GetWorkflowHistory(s.t.Context(), workflowID(path), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		require.NoError(s.t, err)
		events = append(events, event)
	}
	return events
}

func (s *system) awaitHistory(path string, wanted func([]*historypb.HistoryEvent) bool) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return wanted(s.history(path)) }, time.Minute, 5*time.Millisecond)
}

// Services are slow, so the first task lasts for seconds. A cancel meanwhile is heard before the card is charged.
func cancelDuringExpressSteps(t *testing.T) {
	s := startSystem(t)
	var wg sync.WaitGroup
	for i := range 6 {
		d := example(t, "orders/good.json")
		for _, st := range append(slices.Clone(untilTheCarrier), [2]string{"shipping", "BookShipment"}) {
			s.fault(st[0], st[1], d, settings{"latency_ms": 300 + 50*i, "times": 1})
		}
		path := s.place("orders", d)
		wg.Go(func() {
			status, body := s.post(s.apiURL+path+"/cancel", byAda)
			if status != http.StatusAccepted {
				t.Errorf("the cancel is answered %d: %s", status, body)
				return
			}
			if v := s.awaitEnd(path); v.State != "compensated" || v.step("CapturePayment").Do == "done" {
				t.Errorf("the order is %s, and its capture %s", v.State, v.step("CapturePayment").Do)
			}
		})
	}
	wg.Wait()
	s.requireNothingHalfDone()
}

// Many people decide about an order at the same time. Exactly the decision in the history is carried out, and no caller is
// told that there is no worker.
func burstOfDecisions(t *testing.T) {
	s := startSystem(t)
	for round := range 3 {
		path := place("fraud-review.json")(s)
		s.awaitWait(path)
		var mu sync.Mutex
		answers := map[int]int{}
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				body := fmt.Appendf(nil, `{"approved":%t,"by":"grace","reason":"burst"}`, i%2 == round%2)
				status, answer, err := exchange(t.Context(), s.http(), http.MethodPost, s.apiURL+path+"/approval", uuid.NewString(), body)
				if err != nil {
					t.Error(err)
					return
				}
				if strings.Contains(string(answer), "no_worker") {
					t.Errorf("%s", answer)
				}
				mu.Lock()
				defer mu.Unlock()
				answers[status]++
			})
		}
		wg.Wait()
		v := s.awaitEnd(path)
		approved, decisions := false, 0
		for _, event := range s.history(path) {
			if request := event.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest(); request.GetInput().GetName() == workflows.UpdateApproval {
				approved = strings.Contains(string(request.GetInput().GetArgs().GetPayloads()[0].GetData()), `"approved":true`)
				decisions++
			}
		}
		require.Equal(t, 1, decisions)
		require.Equal(t, 1, answers[http.StatusAccepted], "%v", answers)
		require.Zero(t, answers[http.StatusServiceUnavailable], "%v", answers)
		require.Equal(t, map[bool]string{true: "completed", false: "compensated"}[approved], v.State)
	}
	s.requireNothingHalfDone()
}

// resetToStart continues the saga from the end of its first task.
func (s *system) resetToStart(path string) {
	s.t.Helper()
	events := s.history(path)
	first := slices.IndexFunc(events, func(e *historypb.HistoryEvent) bool {
		return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
	})
	_, err := s.dial().ResetWorkflowExecution(s.t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:         "default",
		WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID(path)},
		Reason:            "as an operator would", WorkflowTaskFinishEventId: events[first].GetEventId(), RequestId: uuid.NewString(),
	})
	require.NoError(s.t, err)
}

// A waiting order is reset and goes on, or is canceled: the steps that it has forgotten are found by their keys.
func resetOrder(t *testing.T) {
	s := startSystem(t)
	for _, cancel := range []bool{false, true} {
		path := place("good.json", fault{"shipping", "BookShipment", settings{"down": true, "times": 12}})(s)
		s.awaitHistory(path, func(events []*historypb.HistoryEvent) bool {
			return slices.ContainsFunc(events, func(e *historypb.HistoryEvent) bool {
				return e.GetEventType() == enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
			})
		})
		s.resetToStart(path)
		want := "completed"
		if cancel {
			want = "compensated"
			s.act(path+"/cancel", byAda)
		}
		v := s.awaitEnd(path)
		require.Equal(t, want, v.State, "%+v", v)
		s.requireNothingHalfDone()
		if *record && cancel {
			s.recordHistory(workflowID(path), workflows.TypePlaceOrder, "reset-and-canceled")
		}
	}
}

// A return that was reset has forgotten which reminders it sent. It takes back as much as it can, and leaves the rest to
// a person.
func resetReturn(t *testing.T) {
	s := startSystem(t)
	hasty := *s
	hasty.apiURL, _ = s.startAPI(20 * time.Second)
	path := giveBack(place("good.json"), "good.json")(&hasty)
	s.awaitHistory(path, func(events []*historypb.HistoryEvent) bool {
		return slices.ContainsFunc(events, func(e *historypb.HistoryEvent) bool {
			return e.GetEventType() == enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
		})
	})
	s.resetToStart(path)
	s.act(path+"/cancel", byAda)
	p := s.awaitParked(path)
	require.Equal(t, "saga", p.Part)
	require.Contains(t, p.Reason, "RemindCustomer")
	s.operateSaga(path, compensation.UpdateMarkDone, compensation.Act{By: "grace", Reason: "dropped by hand", Reference: "T-20"})
	v := s.awaitEnd(path)
	require.Equal(t, "compensated", v.State, "%+v", v)
}

// operateSaga applies an operator's act to the saga itself, through Temporal.
func (s *system) operateSaga(path, name string, act compensation.Act) {
	s.t.Helper()
	require.NoError(s.t, s.tryToOperate(path, name, act))
}

// The worker is killed while sagas end, over and over: no end is lost, and no end comes twice.
func killedAtTheEnd(t *testing.T) {
	s := startSystem(t)
	var paths []string
	for i := range 12 {
		file := []string{"good.json", "card-declined.json", "good-with-voucher-and-points.json"}[i%3]
		paths = append(paths, place(file, fault{"notification", "NotifyCustomer", settings{"latency_ms": 200, "times": 1}})(s))
		if i%4 == 3 {
			s.worker.kill()
			s.startWorker()
		}
	}
	for _, path := range paths {
		s.awaitEnd(path)
	}
	s.requireNothingHalfDone()
}
