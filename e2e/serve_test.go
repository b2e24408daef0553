package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
)

// The API and a worker in one process: a saga's first task comes with the answer to its start, and a saga that waits
// when the process is stopped goes on in the next one.
func TestServe(t *testing.T) {
	t.Parallel()

	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t)}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices()
	s.apiURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))

	first := s.serve()
	s.awaitReady("serve", first, s.apiURL)
	done := place("good.json")(s)
	require.Equal(t, "completed", s.awaitEnd(done).State)
	require.True(t, s.startedEagerly(done), "the first task went through the queue")
	waiting := place("fraud-review.json")(s)
	s.awaitWait(waiting)

	requireFails(t, s.serve(), "amends: api: listen at "+strings.TrimPrefix(s.apiURL, "http://"))
	requireFails(t, s.serve("--service-url", "payment=127.0.0.1:8090"), "amends: worker: service payment: ")

	for _, state := range []string{"parked", "compensated_with_exceptions", "terminated"} {
		s.awaitList("?state="+state, nil)
	}

	first.stop()
	s.awaitReady("serve", s.serve(), s.apiURL)
	s.decide(waiting, true)
	require.Equal(t, "completed", s.awaitEnd(waiting).State)
	s.requireNothingHalfDone()
}

func (s *system) serve(args ...string) *process {
	s.t.Helper()
	return spawn(s.t, "serve", binaries.amends, s.temporalEnv(), append([]string{
		"serve", "--no-auth", "--addr", strings.TrimPrefix(s.apiURL, "http://"), "--services-url", s.servicesURL,
	}, args...)...)
}

func (s *system) startedEagerly(path string) bool {
	s.t.Helper()
	event, err := s.dial().GetWorkflowHistory(
		s.t.Context(), workflowID(path), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT,
	).Next()
	require.NoError(s.t, err)
	return event.GetWorkflowExecutionStartedEventAttributes().GetEagerExecutionAccepted()
}

// requireFails waits until the process has ended, and requires that it said why.
func requireFails(t *testing.T, p *process, why string) {
	t.Helper()
	<-p.done
	require.EqualError(t, p.err, "exit status 1")
	require.Contains(t, p.out.String(), why)
}
