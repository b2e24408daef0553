package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"golang.org/x/sync/errgroup"

	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/pgtest"
)

var (
	upgradePhase = flag.Duration("upgrade.phase", 4*time.Second, "how long TestRollingUpgrade lets orders come between two steps of the deploy")
	upgradeRate  = flag.Float64("upgrade.rate", 5, "how many orders a second TestRollingUpgrade places")
)

// TestRollingUpgrade deploys under load as docs/deploying.md says: from v1 to v2, a fifth of the sagas and then all, back
// to v1, and on to v3, which has its steps in another order. Workers and APIs are replaced meanwhile, each by SIGTERM. No
// request fails, each saga ends as it should and on the version that began it, no workflow task fails, and the books
// balance. One request in a hundred may be answered 503, which says to repeat it, since a machine may be too busy.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	changed := changedBinary(t)
	u := startUpgrade(t)
	phase := func(what string, step func()) {
		u.s.t.Logf("%3.0f s: %s", time.Since(u.began).Seconds(), what)
		step()
		u.let(*upgradePhase)
	}
	var load errgroup.Group
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	load.Go(func() error { return u.load(ctx) })

	phase("v1", func() {})
	phase("v2 ramps", func() {
		u.startWorkers("v2", binaries.amends, "--stop-when-drained")
		u.deploy("ramp", "v2", "--percent", "20", "--wait", "1m")
	})
	phase("the APIs are replaced", u.replaceAPIs)
	phase("v2", func() { u.deploy("promote", "v2") })
	phase("a worker of each is replaced", func() {
		u.replaceWorker("v1", binaries.amends)
		u.replaceWorker("v2", binaries.amends, "--stop-when-drained")
	})
	phase("back to v1", func() { u.deploy("rollback") })
	phase("v3 ramps", func() {
		u.startWorkers("v3", changed)
		u.deploy("ramp", "v3", "--percent", "20", "--wait", "1m")
	})
	phase("v3", func() { u.deploy("promote", "v3") })
	stop()
	require.NoError(t, load.Wait())

	u.awaitDrained("v1")
	for _, p := range u.workers["v1"] {
		p.stop()
	}
	for _, p := range u.workers["v2"] {
		<-p.done // by itself
		require.NoError(t, p.err, "%s", p.out)
		require.Contains(t, p.out.String(), "the version is drained")
	}
	u.examine()
}

// upgrade is a run of TestRollingUpgrade.
type upgrade struct {
	s     *system
	began time.Time
	// workers are those that run, by version; ended are the others.
	workers map[string][]*process
	ended   []*process
	apis    balancer
	orders  []*upgradeOrder
	traffic traffic
	// terms counts the SIGTERMs.
	terms int
}

func startUpgrade(t *testing.T) *upgrade {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), temporalDSN: pgtest.DSN(t), servicesDSN: pgtest.DSN(t), temporalPort: freePort(t)}
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.startServices()
	u := &upgrade{s: s, began: time.Now(), workers: map[string][]*process{}}
	u.startWorkers("v1", binaries.amends)
	u.deploy("promote", "v1", "--wait", "1m")
	for range 2 {
		u.apis.add(u.startAPI())
	}
	s.apiURL = u.apis.pick()
	return u
}

// startWorkers starts two workers of the version.
func (u *upgrade) startWorkers(version, binary string, flags ...string) {
	u.s.t.Helper()
	for range 2 {
		u.workers[version] = append(u.workers[version], u.startWorker(version, binary, flags...))
	}
}

func (u *upgrade) startWorker(version, binary string, flags ...string) *process {
	u.s.t.Helper()
	flags = append(u.s.workerArgs(), append(flags, "--deployment-name", "shop", "--build-id", version, "--stop-timeout", "1s")...)
	return spawn(u.s.t, "worker of "+version, binary, u.s.temporalEnv(), flags...)
}

// replaceWorker tells a worker to stop, and starts another one of the same version.
func (u *upgrade) replaceWorker(version, binary string, flags ...string) {
	u.s.t.Helper()
	old := u.workers[version][0]
	u.workers[version][0] = u.startWorker(version, binary, flags...)
	old.stop()
	u.terms++
	u.ended = append(u.ended, old)
}

func (u *upgrade) startAPI() (string, *process) {
	u.s.t.Helper()
	return u.s.startAPI(time.Hour, "--drain-delay", "1s")
}

// replaceAPIs starts another API for each, and then tells the old ones to stop.
func (u *upgrade) replaceAPIs() {
	u.s.t.Helper()
	for _, old := range u.apis.all() {
		u.apis.add(u.startAPI())
		require.NoError(u.s.t, old.process.cmd.Process.Signal(syscall.SIGTERM))
		u.s.awaitStatus(strings.TrimPrefix(old.url, "http://"), "/readyz", http.StatusServiceUnavailable)
		u.apis.remove(old.url) // as whoever balances the load does, who asks as often
		<-old.process.done
		require.NoError(u.s.t, old.process.err, "%s", old.process.out)
		u.terms++
	}
	u.s.apiURL = u.apis.pick()
}

// deploy runs a command of amends deploy.
func (u *upgrade) deploy(args ...string) {
	u.s.t.Helper()
	code, said := u.s.command(binaries.amends, append([]string{"deploy", "--deployment-name", "shop"}, args...)...)
	require.Zero(u.s.t, code, said)
	u.s.t.Log(strings.TrimSpace(said))
}

// let lets time pass.
func (u *upgrade) let(d time.Duration) {
	u.s.t.Helper()
	require.NoError(u.s.t, pause(u.s.t.Context(), d))
}

// awaitDrained waits until no saga is left on the version.
func (u *upgrade) awaitDrained(version string) {
	u.s.t.Helper()
	var said string
	for began := time.Now(); time.Since(began) < time.Minute; u.let(500 * time.Millisecond) {
		_, said = u.s.command(binaries.amends, "deploy", "--deployment-name", "shop", "status", "--output", "json")
		var status struct {
			Versions []struct {
				BuildID string `json:"build_id"`
				State   string `json:"state"`
				Pinned  int    `json:"pinned"`
			} `json:"versions"`
		}
		require.NoError(u.s.t, json.Unmarshal([]byte(said), &status), said)
		for _, v := range status.Versions {
			if v.BuildID == version && v.State == "drained" {
				require.Zero(u.s.t, v.Pinned)
				return
			}
		}
	}
	require.Fail(u.s.t, version+" is not drained", said)
}

// examine holds what came of each saga against what should have, and prints the figures.
func (u *upgrade) examine() {
	u.s.t.Helper()
	began, ends, across, handedBack := map[string]int{}, map[string]int{}, 0, 0
	for _, o := range u.orders {
		v := u.s.awaitEnd(o.path)
		require.Equal(u.s.t, o.kind.end, v.State, "%s %s: %s", o.path, o.kind.file, v.Cause)
		ends[v.State]++
		h := u.s.tasksOf(o.path)
		require.Len(u.s.t, h.versions, 1, "%s ran on %v", o.path, h.versions)
		began[h.versions[0]]++
		handedBack += h.handedBack
		if h.tasks > 1 {
			across++
		}
	}
	books := u.s.requireNothingHalfDone()
	require.EqualValues(u.s.t, ends["completed"], books["invoicing"].Figures["invoices"])
	for _, version := range []string{"v1", "v2", "v3"} {
		require.NotZero(u.s.t, began[version], "no saga began on %s", version)
	}
	for _, p := range slices.Concat(u.ended, u.workers["v1"], u.workers["v2"], u.workers["v3"]) {
		require.NoError(u.s.t, flawless(p))
	}
	require.LessOrEqual(u.s.t, u.traffic.busy, len(u.traffic.took)/100, "%s", u.traffic.String())
	u.s.t.Logf("%d orders%s; by the version that they began on%s", len(u.orders), counted(ends), counted(began))
	u.s.t.Logf("%d sagas of several workflow tasks, each on one version; %d activities were handed back", across, handedBack)
	u.s.t.Logf("%d processes stopped by SIGTERM; %s; %.0f s in all", u.terms+len(u.workers["v1"]), u.traffic.String(), time.Since(u.began).Seconds())
}

// taskHistory is what a saga's history tells of its workflow tasks.
type taskHistory struct {
	tasks    int
	versions []string
	// handedBack counts activities that a stopping worker left to others.
	handedBack int
}

// tasksOf reads the saga's history, and requires that no workflow task failed because of the code.
func (s *system) tasksOf(path string) taskHistory {
	s.t.Helper()
	var h taskHistory
	it := s.dial().GetWorkflowHistory(s.t.Context(), workflowID(path), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		require.NoError(s.t, err)
		if a := event.GetWorkflowTaskFailedEventAttributes(); a != nil {
			require.Equal(s.t, enumspb.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND, a.GetCause(), "%s: %v", path, a)
		}
		if event.GetActivityTaskStartedEventAttributes().GetLastFailure().GetApplicationFailureInfo().GetType() == "HandedBack" {
			h.handedBack++
		}
		if a := event.GetWorkflowTaskCompletedEventAttributes(); a != nil {
			h.tasks++
			if version := a.GetDeploymentVersion().GetBuildId(); !slices.Contains(h.versions, version) {
				h.versions = append(h.versions, version)
			}
		}
	}
	return h
}
