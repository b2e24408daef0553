package e2e_test

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/amends-dev/amends/worker"
)

// A worker that is told to stop says that it is not ready, finishes what it can within its limit, and hands the rest back:
// another worker goes on at once, and need not wait for any time limit of the activity.
func TestWorkerStopsInOrder(t *testing.T) {
	t.Parallel()

	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t)}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices()
	opsAddr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s.worker = spawn(t, "worker", binaries.amends, s.temporalEnv(), append(s.workerArgs(), "--stop-timeout", "1s", "--ops-addr", opsAddr)...)
	s.awaitReady("worker", s.worker, "http://"+opsAddr)
	s.apiURL, s.api = s.startAPI(time.Hour)

	s.setFault("shipping", "BookShipment", settings{"latency_ms": 60_000})
	path := place("good.json")(s)
	s.awaitStep(path, "BookShipment", "running")
	require.NoError(t, s.worker.cmd.Process.Signal(syscall.SIGTERM))
	s.awaitStatus(opsAddr, "/readyz", http.StatusServiceUnavailable)
	<-s.worker.done
	require.NoError(t, s.worker.err, "%s", s.worker.out)
	s.clearFault("shipping", "BookShipment")
	s.startWorker()

	require.Equal(t, "completed", s.awaitEnd(path).State)
	started := s.lastStart(path, "BookShipment")
	require.EqualValues(t, 2, started.GetAttempt())
	require.Equal(t, worker.ErrTypeHandedBack, started.GetLastFailure().GetApplicationFailureInfo().GetType())
	s.requireNothingHalfDone()
}

// An API that is told to stop says that it is not ready, answers on for a while, and then answers what is under way.
func TestAPIStopsInOrder(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	opsAddr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	url, api := s.startAPI(time.Hour, "--drain-delay", "2s", "--ops-addr", opsAddr)
	s.awaitReady("api", api, "http://"+opsAddr)

	d := example(t, "orders/fraud-review.json")
	waits := make(chan reply, 1)
	s.apiURL = url
	path := s.place("orders", d)
	s.awaitWait(path)
	tag := s.ask(http.MethodGet, url+path, nil).header.Get("ETag")
	go func() {
		waits <- s.ask(http.MethodGet, url+path, nil, "Prefer", "wait=60", "If-None-Match", tag)
	}()
	require.NoError(t, api.cmd.Process.Signal(syscall.SIGTERM))
	s.awaitStatus(opsAddr, "/readyz", http.StatusServiceUnavailable)
	refused := s.ask(http.MethodGet, url+"/readyz", nil)
	require.Equal(t, http.StatusServiceUnavailable, refused.status)
	require.Contains(t, string(refused.body), `"stopping"`)
	require.Equal(t, path, s.place("orders", d), "it answers on")

	require.Equal(t, http.StatusNotModified, (<-waits).status)
	<-api.done
	require.NoError(t, api.err, "%s", api.out)
}

// awaitStatus waits until a GET is answered with that status.
func (s *system) awaitStatus(addr, path string, status int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		return s.ask(http.MethodGet, "http://"+addr+path, nil).status == status
	}, 10*time.Second, 20*time.Millisecond, "%s%s is not %d", addr, path, status)
}

// lastStart is the event of the last start of the step's ordinary activity.
func (s *system) lastStart(path, activity string) *historypb.ActivityTaskStartedEventAttributes {
	s.t.Helper()
	it := s.dial().GetWorkflowHistory(s.t.Context(), workflowID(path), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	var scheduled int64
	var started *historypb.ActivityTaskStartedEventAttributes
	for it.HasNext() {
		event, err := it.Next()
		require.NoError(s.t, err)
		if event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == activity {
			scheduled = event.GetEventId()
		}
		if a := event.GetActivityTaskStartedEventAttributes(); a != nil && a.GetScheduledEventId() == scheduled {
			started = a
		}
	}
	require.NotNil(s.t, started, "%s was never an ordinary activity of %s", activity, path)
	return started
}
