package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

// canary marks what is a person's.
const canary = "CANARY"

// private is what must be in no log and in no trace. Cards that work have tokens without a mark.
var private = []string{canary, "tok_visa", "tok_declined"}

// personal is the order with a mark in what tells who somebody is. The customer's ID stays: people are found by it.
func personal(d document) document {
	fields := maps.Clone(d.fields)
	fields["customer"] = map[string]any{"id": "c-1001", "name": "Ada " + canary, "email": canary + "@example.com"}
	fields["ship_to"] = map[string]any{
		"name": "Ada " + canary, "street": canary + " Street 12", "postal_code": "20457 " + canary, "city": canary + "ville", "country": "DE",
	}
	d.fields = fields
	return d
}

// startLogged starts a system whose processes write all that they have to say, and send all spans.
func startLogged(t *testing.T) *traced {
	t.Helper()
	flags := []string{"--log-json", "--log-level=debug"}
	c := startCollector(t)
	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t), env: c.env()}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices(flags...)
	s.worker = spawn(t, "worker", binaries.amends, s.temporalEnv(), append(s.workerArgs(), flags...)...)
	s.apiURL, s.api = s.startAPI(time.Hour, append(flags, "--audit-log", s.auditLog())...)
	return &traced{s, c}
}

// auditLog is the file of what people do.
func (s *system) auditLog() string { return filepath.Join(s.dir, "audit.jsonl") }

// line is a line of a log.
type line map[string]any

// lines are those of a process that have all of this.
func (p *process) lines(with line) []line {
	p.t.Helper()
	var found []line
	for text := range strings.Lines(p.out.String()) {
		var l line
		require.NoError(p.t, json.Unmarshal([]byte(text), &l), text)
		matches := true
		for key, value := range with {
			matches = matches && l[key] == value
		}
		if matches {
			found = append(found, l)
		}
	}
	return found
}

// However sagas go, the logs of all processes say so in lines that are found by saga, step, attempt and trace, and whose people
// nobody finds in them, nor in the spans.
func TestLogs(t *testing.T) {
	t.Parallel()

	s := startLogged(t)
	order := func(file string, faults ...fault) (path string) {
		d := personal(example(t, "orders/"+file))
		for _, f := range faults {
			s.fault(f.service, f.step, d, f.settings)
		}
		return s.place("orders", d)
	}
	good := order("good.json")
	declined := order("card-declined.json")
	failing := order("good.json",
		fault{"payment", "AuthorizePayment", settings{"lose_reply": true, "times": 1}},
		fault{"notification", "NotifyCustomer", settings{"down": true, "times": 4}})
	parked := order("card-declined.json", fault{"inventory", "ReserveStock", settings{"on": "undo", "refuse": true, "times": 1}})
	// The service names the card in its refusal, which ends as the saga's cause.
	stranger := s.place("orders", personal(example(t, "orders/good.json")).with("payment", map[string]any{"token": canary}))
	require.Equal(t, http.StatusUnprocessableEntity, s.ask(http.MethodPost, s.apiURL+"/v1/orders",
		[]byte(`{"customer":{"id":"c-1001","name":"`+canary+`","email":"`+canary+`"},"lines":[]}`)).status)

	s.awaitParked(parked)
	require.ErrorContains(t, s.tryToOperate(parked, compensation.UpdateRetryWithInput, compensation.Act{
		By: "grace", Reason: canary, Input: json.RawMessage(`{"` + canary + `":1}`),
	}), "retry-with-input: ")
	s.operate(parked, compensation.UpdateSkip, compensation.Act{By: "grace", Reason: "the goods are lost"})
	ends := map[string]string{
		good: "completed", declined: "compensated", failing: "completed", parked: "compensated_with_exceptions", stranger: "compensated",
	}
	for path, state := range ends {
		require.Equal(t, state, s.awaitEnd(path).State, path)
	}
	require.Contains(t, s.get(stranger).Cause, canary)

	for path := range ends {
		require.Eventually(t, func() bool { return len(s.spansOf(path, "PlaceOrder")) == 1 }, 10*time.Second, 10*time.Millisecond, path)
	}
	for _, sp := range s.collector.received() {
		for _, mark := range private {
			require.NotContains(t, sp.String(), mark, sp.process)
		}
	}
	processes := []*process{s.worker, s.api, s.services}
	for _, p := range processes {
		for text := range strings.Lines(p.out.String()) {
			for _, mark := range private {
				require.NotContains(t, text, mark, p.name)
			}
		}
	}
	s.requireTold(declined, line{"step": "AuthorizePayment", "part": "do", "outcome": "refused", "level": "INFO", "code": "card_declined"})
	s.requireTold(failing, line{"step": "AuthorizePayment", "mode": "express", "outcome": "unknown", "level": "WARN"})
	s.requireTold(failing, line{"step": "NotifyCustomer", "mode": "fallback", "outcome": "unknown", "level": "WARN"})
	s.requireTold(parked, line{"step": "ReserveStock", "part": "undo", "outcome": "failed", "level": "WARN"})
	require.Len(t, s.worker.lines(line{"level": "ERROR"}), 1, "nothing else waits for a person")
	waits := s.worker.lines(line{"level": "ERROR", "msg": "saga is parked", "saga": workflowID(parked), "step": "ReserveStock"})
	require.Len(t, waits, 1)
	require.NotContains(t, waits[0], "reason", "which may name people")

	written, err := os.ReadFile(s.auditLog())
	require.NoError(t, err)
	var act line
	require.NoError(t, json.Unmarshal(written, &act), "%s", written)
	require.Subset(t, act, line{
		"msg": "act", "act": "skip", "by": "grace", "saga": workflowID(parked), "step": "ReserveStock", "reason": "the goods are lost", "outcome": "done",
	})
	require.Len(t, s.api.lines(line{"msg": "request", "trace_id": act["trace_id"], "request_id": act["request_id"]}), 1)
}

// requireTold requires that the worker's log has this of a saga's step, in one line for each try, and that its trace leads to
// the request that began the saga and to the service that was called.
func (s *system) requireTold(path string, about line) {
	s.t.Helper()
	about = maps.Clone(about)
	about["saga"], about["msg"] = workflowID(path), "step tried"
	told := s.worker.lines(about)
	require.NotEmpty(s.t, told, about)
	for _, l := range told {
		try := line{"trace_id": l["trace_id"], "saga": l["saga"], "step": l["step"], "part": l["part"], "mode": l["mode"], "attempt": l["attempt"]}
		require.Len(s.t, s.worker.lines(try), 1, try)
		require.NotEmpty(s.t, l["trace_id"])
		require.NotEmpty(s.t, s.api.lines(line{"trace_id": l["trace_id"], "msg": "request", "method": "POST"}), l)
		require.NotEmpty(s.t, s.services.lines(line{
			"trace_id": l["trace_id"], "msg": "step call", "saga": l["saga"], "step": l["step"], "attempt": fmt.Sprint(l["attempt"]),
		}), l)
	}
}
