package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/amends-dev/amends/compensation"
)

// A version's workers die, and its sagas with them: one that waits for a person, one that is parked and one whose step is
// tried again and again. They are moved as docs/deploying.md says, go on with the other version, and the books balance. One
// is moved to a build first that does not replay it, and gets out of there the same way.
func TestMoveSagas(t *testing.T) {
	t.Parallel()

	changed := changedBinary(t)
	u := startUpgrade(t)
	u.startWorkers("v2", binaries.amends)
	u.deploy("promote", "v2", "--wait", "1m")
	waits := place("fraud-review.json")(u.s)
	u.s.awaitWait(waits)
	parked := place("good.json", fault{"inventory", "CommitStock", settings{"refuse": true, "times": 1}})(u.s)
	u.s.awaitParked(parked)
	tries := place("good.json", fault{"shipping", "BookShipment", settings{"down": true}})(u.s)
	u.s.await(tries, "is not tried again", func(v saga) bool { return v.step("BookShipment").Attempts > 1 })
	for _, p := range u.workers["v2"] {
		p.kill()
	}

	u.requireRefused("it gets sagas that start", "--from", "v2", "v1")
	u.deploy("rollback")
	u.requireRefused("version v3 of deployment shop: no worker of it polls", "--from", "v2", "v3")
	to, query := u.awaitMovable(3, "--from", "v2")
	require.Equal(t, "v1", to, "the current version")
	u.s.awaitReplay("3 histories with ", 0, binaries.amends, "--from-cluster", "--query", query)
	u.s.awaitReplay("2 differ", 7, binaries.amends, "--from-cluster", "--query", query, "--against", changed)
	u.move("3 sagas moved to v1; 0 ended before.", "--from", "v2")
	u.awaitMovable(0, "--from", "v2")

	u.startWorkers("v3", changed)
	u.move("1 saga moved to v3", "--query", fmt.Sprintf("WorkflowId = '%s'", workflowID(tries)), "v3", "--wait", "1m")
	u.s.clearFault("shipping", "BookShipment")
	u.awaitStuck(tries)
	u.awaitMovable(1, "--from", "v3")
	u.move(`"moved": 1,`, "--from", "v3", "--output", "json")

	u.s.decide(waits, true)
	u.s.operate(parked, compensation.UpdateRetry, compensation.Act{By: "grace"})
	for _, path := range []string{waits, parked, tries} {
		v := u.s.awaitEnd(path)
		require.Equal(t, "completed", v.State, v.Cause)
	}
	for _, path := range []string{waits, parked} {
		require.Equal(t, []string{"v2", "v1"}, u.s.tasksOf(path).versions)
	}
	require.Equal(t, []string{"ops", "ops", "ops"}, u.s.movers(tries))
	u.s.requireNothingHalfDone()
}

// command runs amends deploy move.
func (u *upgrade) command(args ...string) (code int, said string) {
	u.s.t.Helper()
	return u.s.command(binaries.amends, append([]string{"deploy", "--deployment-name", "shop", "move", "--by", "ops"}, args...)...)
}

func (u *upgrade) requireRefused(why string, args ...string) {
	u.s.t.Helper()
	code, said := u.command(args...)
	require.Equal(u.s.t, 1, code, said)
	require.Contains(u.s.t, said, why)
}

// move moves sagas, and requires that it says so.
func (u *upgrade) move(says string, args ...string) {
	u.s.t.Helper()
	code, said := u.command(args...)
	require.Zero(u.s.t, code, said)
	require.Contains(u.s.t, said, says)
}

// awaitMovable waits until so many sagas would be moved, since lists follow a moment later than sagas. It returns where
// to, and the query that finds them.
func (u *upgrade) awaitMovable(want int, args ...string) (to, query string) {
	u.s.t.Helper()
	var plan struct {
		To, Query string
		Found     int
	}
	require.Eventually(u.s.t, func() bool {
		code, said := u.command(append(args, "--dry-run", "--output", "json")...)
		require.Zero(u.s.t, code, said)
		require.NoError(u.s.t, json.Unmarshal([]byte(said), &plan), said)
		return plan.Found == want
	}, time.Minute, 100*time.Millisecond, "not %d sagas", want)
	return plan.To, plan.Query
}

// awaitStuck waits until the saga's workflow task has failed.
func (u *upgrade) awaitStuck(path string) {
	u.s.t.Helper()
	temporal := u.s.dial()
	require.Eventually(u.s.t, func() bool {
		d, err := temporal.DescribeWorkflowExecution(u.s.t.Context(), workflowID(path), "")
		require.NoError(u.s.t, err)
		return d.GetPendingWorkflowTask().GetAttempt() > 1
	}, time.Minute, 100*time.Millisecond, "its workflow task does not fail")
}

// movers are those who moved the saga, in this order.
func (s *system) movers(path string) (by []string) {
	s.t.Helper()
	it := s.dial().GetWorkflowHistory(s.t.Context(), workflowID(path), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		require.NoError(s.t, err)
		if a := event.GetWorkflowExecutionOptionsUpdatedEventAttributes(); a != nil {
			by = append(by, a.GetIdentity())
		}
	}
	return by
}
