package e2e_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/compensation"
)

// parkedScenarios are orders that wait for an operator on their way, or meet their deadline.
var parkedScenarios = []scenario{
	{
		name: "parked-and-retried", state: "compensated", cause: "AuthorizePayment refused: ", undone: untilPoints,
		start: place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true, "times": 1}}),
		steer: func(s *system, path string) {
			parked := s.awaitParked(path)
			require.Equal(s.t, "ReserveStock", parked.Step)
			require.Equal(s.t, "undo", parked.Part)
			require.Equal(s.t, "done", s.get(path).step("PriceOrder").Undo, "the other undos go on")
			s.requireRefused(path, compensation.UpdateSkip, compensation.Act{By: "grace"}, "reason is missing")
			s.requireRefused(path, compensation.UpdateRetry, compensation.Act{By: "grace", Step: "BookShipment"}, "BookShipment is not parked")
			require.Empty(s.t, s.get(path).Acts, "what was refused leaves no trace")
			s.requireCancelsLeaveNoTrace(path, 30)
			s.operate(path, compensation.UpdateRetry, compensation.Act{By: "grace"})
		},
		check: func(s *system, v saga) { require.Equal(s.t, []string{"retry by grace: "}, v.acts()) },
	},
	{
		name: "parked-and-skipped", state: "compensated_with_exceptions", cause: "AuthorizePayment refused: ",
		undone: []string{"PriceOrder", "ScreenFraud", "HoldPoints"},
		start:  place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true, "times": 1}}),
		steer: func(s *system, path string) {
			s.awaitParked(path)
			s.operate(path, compensation.UpdateSkip, compensation.Act{By: "grace", Reason: "the goods are lost", Step: "ReserveStock"})
		},
		check: func(s *system, v saga) {
			require.Equal(s.t, "skipped", v.step("ReserveStock").Undo)
			require.Equal(s.t, []string{"skip by grace: the goods are lost"}, v.acts())
			s.undoByHand("order-"+v.ID, "inventory/reservations", "ReserveStock")
		},
	},
	{
		name: "parked-and-marked-done", state: "compensated", cause: "AuthorizePayment refused: ",
		undone: []string{"PriceOrder", "ScreenFraud", "HoldPoints"},
		start:  place("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true, "times": 1}}),
		steer: func(s *system, path string) {
			s.awaitParked(path)
			s.undoByHand(workflowID(path), "inventory/reservations", "ReserveStock")
			s.operate(path, compensation.UpdateMarkDone, compensation.Act{By: "grace", Reason: "released at the desk", Reference: "T-17"})
		},
		check: func(s *system, v saga) { require.Equal(s.t, "marked_done", v.step("ReserveStock").Undo) },
	},
	{
		name: "pivot-marked-happened", state: "completed", start: place("good.json", captureUnknown(settings{"lose_reply": true, "times": 1})...),
		steer: func(s *system, path string) {
			s.requireUnknownPivot(path)
			s.operate(path, compensation.UpdateMarkHappened, compensation.Act{
				By: "grace", Reason: "the bank's statement has the charge", Reference: "T-19",
				Result: json.RawMessage(`{"capture_id":"cap-by-hand","amount":{"amount":6300,"currency":"EUR"}}`),
			})
		},
		check: func(s *system, v saga) {
			require.Equal(s.t, []string{"marked_done", "none"}, []string{v.step("CapturePayment").Do, v.step("CapturePayment").Undo})
			require.Contains(s.t, string(v.Result), `"capture_id":"cap-by-hand"`)
			require.Equal(s.t, []string{"mark-happened by grace: the bank's statement has the charge"}, v.acts())
		},
	},
	{
		name: "pivot-marked-prevented", state: "compensated", cause: "CapturePayment refused: ", undone: untilShipment,
		start: place("good.json", captureUnknown(settings{"down": true, "times": 1})...),
		steer: func(s *system, path string) {
			s.requireUnknownPivot(path)
			s.undoByHand(workflowID(path), "payment/captures", "CapturePayment") // so that it never will
			s.operate(path, compensation.UpdateMarkPrevented, compensation.Act{
				By: "grace", Reason: "the bank has no charge, and has blocked the reference", Reference: "T-20",
			})
		},
		check: func(s *system, v saga) {
			require.Equal(s.t, []string{"refused", "marked_done"}, []string{v.step("CapturePayment").Do, v.step("CapturePayment").Undo})
			require.Equal(s.t, []string{"mark-prevented by grace: the bank has no charge, and has blocked the reference"}, v.acts())
		},
	},
	{
		name: "step-after-the-pivot-marked-done", state: "completed",
		start: place("good.json", fault{"notification", "NotifyCustomer", settings{"refuse": true, "times": 1}}),
		steer: func(s *system, path string) {
			require.Equal(s.t, "do", s.awaitParked(path).Part)
			s.operate(path, compensation.UpdateMarkDone, compensation.Act{
				By: "grace", Reason: "told by telephone", Reference: "T-18", Result: json.RawMessage(`{"message_id":"none"}`),
			})
		},
		check: func(s *system, v saga) {
			require.Equal(s.t, "marked_done", v.step("NotifyCustomer").Do)
			s.notifyByHand("order-" + v.ID)
		},
	},
	{
		name: "step-after-the-pivot-skipped", state: "completed",
		start: place("good.json", fault{"notification", "NotifyCustomer", settings{"refuse": true, "times": 1}}),
		steer: func(s *system, path string) {
			s.awaitParked(path)
			s.operate(path, compensation.UpdateSkip, compensation.Act{By: "grace", Reason: "the customer knows"})
		},
		check: func(s *system, v saga) {
			require.Equal(s.t, "skipped", v.step("NotifyCustomer").Do)
			s.notifyByHand("order-" + v.ID)
		},
	},
	{
		name: "retried-with-other-input", state: "completed",
		start: place("good.json", fault{"notification", "NotifyCustomer", settings{"refuse": true, "times": 1}}),
		steer: func(s *system, path string) {
			s.awaitParked(path)
			s.requireRefused(path, compensation.UpdateRetryWithInput,
				compensation.Act{By: "grace", Reason: "typo", Input: json.RawMessage(`{"too":"ada@example.com"}`)}, "unknown field")
			s.operate(path, compensation.UpdateRetryWithInput, compensation.Act{
				By: "grace", Reason: "the address had a typo",
				Input: json.RawMessage(`{"to":"ada@example.org","subject":"Your order","text":"It is on its way."}`),
			})
		},
		check: func(s *system, v saga) { require.Equal(s.t, "done", v.step("NotifyCustomer").Do) },
	},
	{
		name: "turned-back-by-the-deadline", state: "compensated", cause: "not done by the saga's deadline",
		start: withDeadline(place("fraud-review.json")), undone: untilScreening,
	},
	{
		name: "deadline-extended", state: "completed",
		start: withDeadline(place("good.json", fault{"loyalty", "AwardPoints", settings{"down": true}})),
		steer: func(s *system, path string) {
			require.Contains(s.t, s.awaitParked(path).Reason, "deadline")
			s.operate(path, compensation.UpdateExtendDeadline, compensation.Act{
				By: "grace", Reason: "loyalty is being mended", Deadline: time.Now().Add(time.Hour),
			})
			s.await(path, "is still parked", func(v saga) bool { return v.State == "running" })
			s.clearFault("loyalty", "AwardPoints")
		},
	},
	{
		name: "express-fell-back", state: "completed",
		start: place("good.json", fault{"inventory", "ReserveStock", settings{"down": true, "times": 4}}),
		check: func(s *system, v saga) {
			require.Equal(s.t, 5, v.step("ReserveStock").Attempts)
			require.Equal(s.t, "prevented", v.step("RedeemVoucher").Undo, "an uncertain saga makes sure of what it did not run")
		},
	},
}

// captureUnknown returns faults that leave it unknown whether the payment was captured: of the first try's reply as
// given, then a gateway that refuses both the next try and the undo.
func captureUnknown(first settings) []fault {
	return []fault{
		{"payment", "CapturePayment", first},
		{"payment", "CapturePayment", settings{"match": ":", "refuse": true, "times": 1}},
		{"payment", "CapturePayment", settings{"on": "undo", "refuse": true, "times": 1}},
	}
}

// requireUnknownPivot waits until the undo of the payment's capture is parked, and requires that acts which leave open
// whether it happened are refused.
func (s *system) requireUnknownPivot(path string) {
	s.t.Helper()
	parked := s.awaitParked(path)
	require.Equal(s.t, []string{"CapturePayment", "undo"}, []string{parked.Step, parked.Part})
	unsaid := compensation.Act{By: "grace", Reason: "it was done", Reference: "T-18"}
	for _, name := range []string{compensation.UpdateMarkDone, compensation.UpdateSkip} {
		s.requireRefused(path, name, unsaid, "nobody knows whether CapturePayment happened")
	}
	resource := s.apiURL + "/v1/sagas/" + workflowID(path)
	answer := s.ask(http.MethodPost, resource+"/steps/CapturePayment/mark-done", []byte(`{"by":"grace","reason":"it was done","reference":"T-18"}`),
		"If-Match", s.ask(http.MethodGet, resource, nil).header.Get("ETag"))
	require.Equal(s.t, http.StatusConflict, answer.status, "%s", answer.body)
	require.Contains(s.t, string(answer.body), "ask its service, then say mark-happened or mark-prevented")
}

// requireCancelsLeaveNoTrace requires that cancels of a saga that turns back already are accepted, and leave nothing in
// its history, in which each event counts.
func (s *system) requireCancelsLeaveNoTrace(path string, n int) {
	s.t.Helper()
	length := func() int {
		it, events := s.dial().GetWorkflowHistory(s.t.Context(), workflowID(path), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT), 0
		for ; it.HasNext(); events++ {
			_, err := it.Next()
			require.NoError(s.t, err)
		}
		return events
	}
	s.act(path+"/cancel", byAda) // the workflow task that it comes with may also record what waited
	before := length()
	for range n {
		status, answer := s.post(s.apiURL+path+"/cancel", byAda)
		require.Equal(s.t, http.StatusAccepted, status, "%s", answer)
		require.Contains(s.t, string(answer), `"state":"parked"`)
	}
	require.Equal(s.t, before, length())
}

// withDeadline starts the saga through an API that gives it two seconds.
func withDeadline(start func(*system) string) func(*system) string {
	return func(s *system) string {
		impatient := *s
		impatient.apiURL, _ = s.startAPI(time.Hour, "--order-deadline", "2s")
		return start(&impatient)
	}
}

// awaitParked waits until something of the saga is parked, and returns it.
func (s *system) awaitParked(path string) parkedStep {
	s.t.Helper()
	v := s.await(path, "is not parked", func(v saga) bool { return v.State == "parked" && len(v.Parked) > 0 })
	return v.Parked[len(v.Parked)-1]
}

// operate does an operator's act over the API. Tries in the background change the saga, so it may take a second look.
func (s *system) operate(path, name string, act compensation.Act) {
	s.t.Helper()
	resource := s.apiURL + "/v1/sagas/" + workflowID(path)
	target := resource + "/" + name
	if name != compensation.UpdateExtendDeadline {
		if act.Step == "" {
			act.Step = s.awaitParked(path).Step
		}
		target = resource + "/steps/" + act.Step + "/" + strings.TrimSuffix(name, "-with-input")
	}
	said := map[string]any{"by": act.By, "reason": act.Reason, "reference": act.Reference, "input": act.Input, "result": act.Result}
	if !act.Deadline.IsZero() {
		said["deadline"] = act.Deadline
	}
	maps.DeleteFunc(said, func(_ string, v any) bool { return reflect.ValueOf(v).IsZero() })
	body, err := json.Marshal(said)
	require.NoError(s.t, err)
	require.Eventually(s.t, func() bool {
		answer := s.ask(http.MethodPost, target, body, "If-Match", s.ask(http.MethodGet, resource, nil).header.Get("ETag"))
		if answer.status == http.StatusPreconditionFailed {
			return false
		}
		require.Equal(s.t, http.StatusOK, answer.status, "%s", answer.body)
		return true
	}, time.Minute, 10*time.Millisecond, "the saga keeps changing")
}

// requireRefused requires that the saga refuses an operator's act, as Temporal's Web UI and command line send it, and
// says why.
func (s *system) requireRefused(path, name string, act compensation.Act, why string) {
	s.t.Helper()
	require.ErrorContains(s.t, s.tryToOperate(path, name, act), why)
}

func (s *system) tryToOperate(path, name string, act compensation.Act) error {
	s.t.Helper()
	handle, err := s.dial().UpdateWorkflow(s.t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: workflowID(path), UpdateName: name, Args: []any{act}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return handle.Get(s.t.Context(), nil)
}

// undoByHand takes back a step's effect at its service.
func (s *system) undoByHand(sagaID, collection, stepName string) {
	s.t.Helper()
	key := compensation.Key{Saga: sagaID, Step: stepName}
	status, body := s.send(http.MethodDelete, s.servicesURL+"/"+collection+"/"+url.PathEscape(key.String()), nil)
	require.Equal(s.t, http.StatusNoContent, status, "%s", body)
}

// notifyByHand does what NotifyCustomer would have done, for the audit, which counts a message for each order.
func (s *system) notifyByHand(sagaID string) {
	s.t.Helper()
	key := compensation.Key{Saga: sagaID, Step: "NotifyCustomer"}
	body := []byte(`{"to":"ada@example.com","subject":"Your order","text":"It is on its way."}`)
	status, answer := s.send(http.MethodPut, s.servicesURL+"/notification/messages/"+url.PathEscape(key.String()), body)
	require.Equal(s.t, http.StatusOK, status, "%s", answer)
}
