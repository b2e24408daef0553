package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A worker is killed in the middle of sagas, some on their way forward and some on their way back, and another one is
// started: every saga ends, and nothing has happened twice.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	const each = 5
	s.setFault("shipping", "BookShipment", settings{"latency_ms": 60_000})
	s.setFault("inventory", "ReserveStock", settings{"on": "undo", "latency_ms": 60_000})

	var forward, back []string
	for range each {
		forward = append(forward, place("good.json")(s))
		back = append(back, place("card-declined.json")(s))
	}
	s.awaitStep(forward[0], "BookShipment", "running")
	s.await(back[0], "does not turn back", func(v saga) bool { return v.step("ReserveStock").Undo == "running" })
	s.worker.kill()
	require.False(t, ended(s.get(forward[each-1])), "the API shows a saga also while no worker runs")
	s.clearFault("shipping", "BookShipment")
	s.clearFault("inventory", "ReserveStock")
	s.startWorker()

	for i := range each {
		v := s.awaitEnd(forward[i])
		require.Equal(t, "completed", v.State, v.Cause)
		v = s.awaitEnd(back[i])
		require.Equal(t, "compensated", v.State, v.Cause)
		want := untilPoints
		if v.step("AuthorizePayment").Attempts > 1 {
			want = untilRefusedTwice // the worker died while it was tried
		}
		require.Equal(t, want, v.undone())
	}
	require.EqualValues(t, each, s.requireNothingHalfDone()["invoicing"].Figures["invoices"])
}

// Temporal is stopped and started again on its file; so are the step services on theirs.
func TestServersRestarted(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	waiting := place("fraud-review.json")(s)
	s.awaitWait(waiting)
	done := s.awaitEnd(place("good.json")(s))

	s.temporal.stop()
	s.startTemporal()
	s.services.stop()
	s.startServices()
	s.awaitReady("api", s.api, s.apiURL)

	require.Equal(t, done, s.get("/v1/orders/"+done.ID))
	s.decide(waiting, true)
	require.Equal(t, "completed", s.awaitEnd(waiting).State)
	s.requireNothingHalfDone()
}

// The whole of `make run` is stopped with a saga in flight, and started again: the saga goes on.
func TestRunStoppedInFlight(t *testing.T) {
	t.Parallel()

	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t)}
	uiPort, apiPort, servicesPort := freePort(t), freePort(t), freePort(t)
	s.apiURL, s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", apiPort), fmt.Sprintf("http://127.0.0.1:%d", servicesPort)
	start := func() *process {
		p := spawn(t, "amends-dev", binaries.amendsDev, nil, "--data", filepath.Join(s.dir, "data"),
			"--temporal-port", fmt.Sprint(s.temporalPort), "--ui-port", fmt.Sprint(uiPort),
			"--api-addr", fmt.Sprintf("127.0.0.1:%d", apiPort), "--services-addr", fmt.Sprintf("127.0.0.1:%d", servicesPort))
		s.awaitReady("amends-dev", p, s.apiURL)
		return p
	}
	run := start()
	key, err := os.ReadFile(filepath.Join(s.dir, "data", "api-key"))
	require.NoError(t, err)
	s.apiKey, s.caller = strings.TrimSpace(string(key)), "default/key:local"
	s.setFault("shipping", "BookShipment", settings{"latency_ms": 60_000})
	inFlight, waiting := place("good.json")(s), place("fraud-review.json")(s)
	s.awaitStep(inFlight, "BookShipment", "running")
	s.awaitWait(waiting)
	run.stop()

	start() // its services know of no fault
	require.Equal(t, "completed", s.awaitEnd(inFlight).State)
	s.decide(waiting, false)
	require.Equal(t, "compensated", s.awaitEnd(waiting).State)
	s.requireNothingHalfDone()
}
