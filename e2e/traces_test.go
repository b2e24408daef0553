package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// The trace and the span that a caller's request belongs to.
const callersTrace, callersSpan = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

// traced is a system whose spans a test reads.
type traced struct {
	*system
	collector *collector
}

// startTraced starts a system whose worker sends no span because of its age alone: what it does not hand over before it is killed
// is lost.
func startTraced(t *testing.T) *traced {
	t.Helper()
	c := startCollector(t)
	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t), env: c.env()}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices()
	s.env = append(s.env, "OTEL_BSP_SCHEDULE_DELAY=600000")
	s.startWorker()
	s.apiURL, s.api = s.startAPI(time.Hour)
	return &traced{s, c}
}

// A worker is killed while sagas go forward, turn back, wait for somebody or are parked, and another one goes on with them. Each
// is one trace, from its request on, in which nothing is missing that the saga's history or a service tells of it, and in which
// each span has its parent.
func TestTracesOfSagasWhoseWorkerIsKilled(t *testing.T) {
	t.Parallel()

	s := startTraced(t)
	ended := place("good.json")(s.system)
	s.awaitEnd(ended)
	require.Eventually(t, func() bool { return len(s.spansOf(ended, "PlaceOrder")) == 1 }, time.Minute, 10*time.Millisecond)

	forward := place("good.json", fault{"shipping", "BookShipment", settings{"latency_ms": 10_000}})(s.system)
	back := place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "latency_ms": 10_000}})(s.system)
	waiting := s.placeInTrace(example(t, "orders/fraud-review.json"))
	parked := place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true, "times": 1}})(s.system)
	fellBack := place("good.json", fault{"loyalty", "AwardPoints", settings{"down": true, "times": 4}},
		fault{"notification", "NotifyCustomer", settings{"refuse": true, "times": 1}})(s.system)
	canceled := place("fraud-review.json", fault{"fraud", "ScreenFraud", settings{"on": "undo", "latency_ms": 10_000}})(s.system)
	s.awaitWait(canceled)
	s.act(canceled+"/cancel", byAda)
	s.await(canceled, "does not turn back", func(v saga) bool { return v.step("ScreenFraud").Undo == "running" })
	s.awaitStep(forward, "BookShipment", "running")
	s.await(back, "does not turn back", func(v saga) bool { return v.step("ReserveStock").Undo == "running" })
	s.awaitParked(parked)
	s.awaitParked(fellBack)
	s.awaitWait(waiting)
	terminated := place("fraud-review.json")(s.system)
	s.awaitWait(terminated)
	require.NoError(t, s.dial().TerminateWorkflow(t.Context(), workflowID(terminated), "", "by mistake"))
	s.sweepUntil(func(sweep workflows.Sweep) bool { return sweep.Known == 1 })
	s.worker.kill()

	s.clearFault("shipping", "BookShipment")
	s.clearFault("inventory", "ReserveStock")
	s.clearFault("fraud", "ScreenFraud")
	s.startWorker()
	s.decide(waiting, true)
	s.operate(parked, compensation.UpdateSkip, compensation.Act{By: "grace", Reason: "the goods are lost"})
	s.operate(fellBack, compensation.UpdateRetry, compensation.Act{By: "grace"})
	ends := map[string]string{
		forward: "completed", back: "compensated", canceled: "compensated", waiting: "completed",
		parked: "compensated_with_exceptions", fellBack: "completed", ended: "completed",
	}
	sagas, effects := map[string]saga{}, map[string]map[string]string{}
	for path, state := range ends {
		v := s.awaitEnd(path)
		require.Equal(t, state, v.State, v.Cause)
		sagas[path], effects[path] = v, s.effects(path)
	}
	var recovery compensation.Recovery
	require.NoError(t, s.dial().GetWorkflow(t.Context(), workflows.RecoveryWorkflowID(workflowID(terminated)), "").Get(t.Context(), &recovery))
	ofTerminated := s.get(terminated).TraceID
	s.api.stop() // and sends what it has
	s.worker.stop()

	require.Equal(t, callersTrace, sagas[waiting].TraceID)
	s.requireParents()
	traces := map[string]bool{}
	for path, v := range sagas {
		s.requireOneTrace(path, v.TraceID)
		require.Len(t, s.spansOf(path, "PlaceOrder"), 1, path)
		s.requireTries(path, v, map[string]string{
			forward: "BookShipment", back: "ReleaseStock", canceled: "WithdrawScreening",
		}[path])
		s.requireCalls(path, v, effects[path])
		traces[v.TraceID] = true
	}
	require.Len(t, traces, len(sagas))
	s.requireOneTrace(terminated, ofTerminated)
	s.requireUndos(terminated, recovery.Undone)
	s.requireAct(canceled, compensation.UpdateCancel, "POST /v1/orders/{id}/cancel") // which was replayed
	s.requireAct(waiting, workflows.UpdateApproval, "POST /v1/orders/{id}/approval")
	s.requireAct(parked, compensation.UpdateSkip, "POST /v1/sagas/{id}/steps/{step}/skip")
	s.requireAct(fellBack, compensation.UpdateRetry, "POST /v1/sagas/{id}/steps/{step}/retry")
}

// placeInTrace places the order in a request of the caller's trace.
func (s *traced) placeInTrace(d document) (path string) {
	s.t.Helper()
	body, err := json.Marshal(d)
	require.NoError(s.t, err)
	answer := s.ask(http.MethodPost, s.apiURL+"/v1/orders", body, "Idempotency-Key", d.key,
		"Traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
	require.Equal(s.t, http.StatusAccepted, answer.status, "%s", answer.body)
	return "/v1/orders/" + d.id()
}

// spansOf are the spans of the saga that have that name.
func (s *traced) spansOf(path, name string) []span {
	return slices.DeleteFunc(s.collector.received(), func(sp span) bool {
		return sp.about["saga.id"] != workflowID(path) || sp.GetName() != name
	})
}

// effects are the states of the saga's steps, by step, of which the services know.
func (s *traced) effects(path string) map[string]string {
	s.t.Helper()
	known := map[string]string{}
	for _, p := range participants["orders"] {
		state, _, err := s.probe(s.t.Context(), s.http(), p, compensation.Key{Saga: workflowID(path), Step: p.step}.String())
		require.NoError(s.t, err)
		if state != "unknown" {
			known[p.step] = state
		}
	}
	require.NotEmpty(s.t, known)
	return known
}

// requireParents requires that no span's parent is missing, but for that of the caller's request.
func (s *traced) requireParents() {
	s.t.Helper()
	spans, known := s.collector.received(), map[string]bool{callersTrace + callersSpan: true}
	for _, sp := range spans {
		known[sp.trace+sp.id] = true
	}
	for _, sp := range spans {
		require.True(s.t, sp.parent == "" || known[sp.trace+sp.parent], "%s of %s, %v, is an orphan", sp.GetName(), sp.process, sp.about)
	}
}

// requireOneTrace requires that all of the saga is in its trace, which is that of one request.
func (s *traced) requireOneTrace(path, trace string) {
	s.t.Helper()
	var requests []string
	for _, sp := range s.collector.received() {
		if sp.about["saga.id"] == workflowID(path) {
			require.Equal(s.t, trace, sp.trace, "%s of %s", sp.GetName(), path)
		}
		if sp.trace == trace && (sp.parent == "" || sp.parent == callersSpan) {
			requests = append(requests, sp.GetName())
		}
	}
	require.Equal(s.t, []string{"POST /v1/orders"}, requests, path)
}

// requireUndos requires a span for the undo of each of these steps.
func (s *traced) requireUndos(path string, undone []compensation.Key) {
	s.t.Helper()
	require.NotEmpty(s.t, undone, path)
	for _, a := range workflows.Plans()[0].Activities() {
		if a.Part == compensation.PartUndo && slices.ContainsFunc(undone, func(k compensation.Key) bool { return k.Step == a.Step }) {
			require.NotEmpty(s.t, s.spansOf(path, a.Name), "%s of %s", a.Name, path)
		}
	}
}

// requireTries requires a span for each try of a step or of its undo that the saga's history has, but for the one of that activity
// in the middle of which the worker was killed.
func (s *traced) requireTries(path string, v saga, held string) {
	s.t.Helper()
	for _, a := range workflows.Plans()[0].Activities() {
		tried := map[compensation.Part]int{compensation.PartDo: v.step(a.Step).Attempts, compensation.PartUndo: v.step(a.Step).UndoAttempts}[a.Part]
		if a.Name == held {
			tried--
		}
		require.GreaterOrEqual(s.t, len(s.spansOf(path, a.Name)), tried, "tries of %s, %s", a.Name, path)
	}
}

// requireCalls requires a service's span for each try, and for each step that the service has done for the saga or undone.
func (s *traced) requireCalls(path string, v saga, effects map[string]string) {
	s.t.Helper()
	for _, p := range participants["orders"] {
		calls := map[string]int{http.MethodPut: v.step(p.step).Attempts, http.MethodDelete: v.step(p.step).UndoAttempts}
		switch effects[p.step] {
		case "done":
			calls[http.MethodPut] = max(1, calls[http.MethodPut])
		case "undone":
			calls[http.MethodDelete] = max(1, calls[http.MethodDelete])
		}
		for method, n := range calls {
			require.Eventually(s.t, func() bool { return len(s.spansOf(path, method+" "+p.service+" "+p.step)) >= n },
				20*time.Second, 10*time.Millisecond, "%d times %s of %s, %s", n, method, p.step, path)
		}
	}
}

// requireAct requires that the saga's trace has the act, from which one gets to the request that sent it, and back.
func (s *traced) requireAct(path, act, request string) {
	s.t.Helper()
	acts := s.spansOf(path, act)
	require.Len(s.t, acts, 1, path)
	require.Len(s.t, acts[0].links, 1)
	require.True(s.t, slices.ContainsFunc(s.collector.received(), func(sp span) bool {
		return sp.GetName() == request && sp.trace != acts[0].trace &&
			strings.HasPrefix(acts[0].links[0], sp.trace) && slices.Contains(sp.links, acts[0].trace+acts[0].parent)
	}), "nothing leads from the %s of %s to its request and back", act, path)
}
