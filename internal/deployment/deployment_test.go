package deployment

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(minutes int) *timestamppb.Timestamp { return timestamppb.New(moment(minutes)) }

func moment(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }

// afterThree is a deployment whose third version is current and whose fourth ramps; the fifth has not begun.
func afterThree() *fake {
	r := &routing{
		CurrentDeploymentVersion: version("v3"), CurrentVersionChangedTime: at(30),
		RampingDeploymentVersion: version("v4"), RampingVersionChangedTime: at(40), RampingVersionPercentage: 20,
	}
	return &fake{
		routing: r, heard: r,
		summaries: []*summary{
			{
				DeploymentVersion: version("v1"), CreateTime: at(1), FirstActivationTime: at(2), LastCurrentTime: at(2),
				LastDeactivationTime: at(20), Status: enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED,
			},
			{
				DeploymentVersion: version("v2"), CreateTime: at(10), FirstActivationTime: at(20), LastCurrentTime: at(20),
				LastDeactivationTime: at(30), Status: enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING,
			},
			{DeploymentVersion: version("v3"), CreateTime: at(25), FirstActivationTime: at(26), LastCurrentTime: at(30)},
			{DeploymentVersion: version("v4"), CreateTime: at(35), FirstActivationTime: at(40)},
			{DeploymentVersion: version("v5"), CreateTime: at(41)},
		},
		seen:   map[string]time.Time{"v2": time.Now(), "v3": time.Now(), "v4": time.Now().Add(-time.Hour)},
		pinned: map[string]int64{"v2": 7, "v3": 100},
	}
}

func (f *fake) deployment() *Deployment { return Of(fakeClient{fake: f}, "default", "amends", "queue") }

func TestStatus(t *testing.T) {
	t.Parallel()

	f := afterThree()
	s, err := f.deployment().Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, Status{Name: "amends", settled: true, Versions: []Version{
		{BuildID: "v5", State: Inactive, Since: moment(41)},
		{BuildID: "v4", State: Ramping, Percent: 20, Since: moment(40)},
		{BuildID: "v3", State: Current, Workers: 1, Pinned: 100, Since: moment(30), LastCurrent: moment(30)},
		{BuildID: "v2", State: Draining, Workers: 1, Pinned: 7, Since: moment(30), LastCurrent: moment(20)},
		{BuildID: "v1", State: Drained, Since: moment(20), LastCurrent: moment(2)},
	}}, s)
	require.Contains(t, f.queries,
		"TemporalWorkerDeploymentVersion = 'amends:v2' AND TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'")
}

func TestStatusWhenTemporalIsBusy(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f, start := afterThree(), time.Now()
		f.busy = 4
		s, err := f.deployment().Status(t.Context())
		require.NoError(t, err)
		require.Len(t, s.Versions, 5)
		require.Equal(t, 4*lookEvery, time.Since(start))

		f.busy = 1000
		_, err = f.deployment().Status(t.Context())
		require.ErrorContains(t, err, "describe deployment amends: too many requests")
		require.Equal(t, 4*lookEvery+busyFor, time.Since(start))
	})
}

func TestStatusOfNothing(t *testing.T) {
	t.Parallel()

	_, err := (&fake{}).deployment().Status(t.Context())
	require.ErrorContains(t, err, "describe deployment amends: no worker has polled for it yet")
}

func TestNames(t *testing.T) {
	t.Parallel()

	require.NoError(t, CheckName("amends-eu_1"))
	for _, bad := range []string{"", "a.b", "a:b", "__a"} {
		require.Error(t, CheckName(bad), bad)
	}
}

// A version gets sagas when a worker of it polls, and it is said to get them when the task queues know.
func TestPromote(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		d, start := f.deployment(), time.Now()
		require.ErrorIs(t, d.Promote(t.Context(), "v1", 0), ErrNoWorker, "a deployment that nobody knows")

		time.AfterFunc(3*time.Second, func() {
			f.change(func() {
				f.summaries, f.seen = []*summary{{DeploymentVersion: version("v1"), CreateTime: at(1)}}, map[string]time.Time{"v1": time.Now()}
			})
		})
		require.NoError(t, d.Promote(t.Context(), "v1", time.Minute))
		require.InDelta(t, 5*time.Second, time.Since(start), float64(2*lookEvery), "three until it polls, two until it is known")
		s, err := d.Status(t.Context())
		require.NoError(t, err)
		v, ok := s.Version("v1")
		require.True(t, ok)
		require.Equal(t, Current, v.State)

		f.seen["v1"] = time.Now().Add(-2 * pollerLife)
		require.ErrorIs(t, d.Promote(t.Context(), "v1", time.Second), ErrNoWorker, "its workers are gone")
		require.ErrorIs(t, d.Ramp(t.Context(), "v1", 20, time.Second), ErrNoWorker)
	})
}

// What prepares a deployment makes its first version current, and leaves every later one as it is.
func TestPromoteFirst(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		d := f.deployment()
		_, err := d.PromoteFirst(t.Context(), "v1", 0)
		require.ErrorIs(t, err, ErrNoWorker)

		now := time.Now()
		f.change(func() {
			f.summaries = []*summary{{DeploymentVersion: version("v1"), CreateTime: at(1)}, {DeploymentVersion: version("v2"), CreateTime: at(2)}}
			f.seen = map[string]time.Time{"v1": now, "v2": now}
		})
		for _, asked := range []string{"v1", "v2"} {
			current, err := d.PromoteFirst(t.Context(), asked, 0)
			require.NoError(t, err)
			require.Equal(t, "v1", current)
		}
		s, err := d.Status(t.Context())
		require.NoError(t, err)
		v, ok := s.in(Current)
		require.True(t, ok)
		require.Equal(t, "v1", v.BuildID)
	})
}

// Of a version whose task queues Temporal has not all noted, it would route nothing.
func TestPromoteBeforeAllQueuesAreNoted(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f, start := afterThree(), time.Now()
		f.noted = map[string][]client.WorkerDeploymentTaskQueueInfo{"v2": {
			{Name: "queue", Type: client.TaskQueueTypeWorkflow}, {Name: "other", Type: client.TaskQueueTypeActivity},
		}}
		require.ErrorIs(t, f.deployment().Ramp(t.Context(), "v2", 20, time.Second), ErrNoWorker)

		time.AfterFunc(3*time.Second, func() { f.change(func() { delete(f.noted, "v2") }) })
		require.NoError(t, f.deployment().Promote(t.Context(), "v2", time.Minute))
		require.InDelta(t, 6*time.Second, time.Since(start), float64(2*lookEvery))
	})
}

// A worker that polls one queue only is none.
func TestWorkersPollBoth(t *testing.T) {
	t.Parallel()

	f := afterThree()
	f.onlyWorkflows = "v2"
	s, err := f.deployment().Status(t.Context())
	require.NoError(t, err)
	v, _ := s.Version("v2")
	require.Zero(t, v.Workers)
	v, _ = s.Version("v3")
	require.Equal(t, 1, v.Workers)
}

func TestPromoteUnheard(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f := afterThree()
		f.deaf = true
		require.ErrorContains(t, f.deployment().Promote(t.Context(), "v2", 0), "not every task queue has heard of it within 30s")

		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		require.ErrorIs(t, f.deployment().Promote(ctx, "v2", 0), context.DeadlineExceeded)
	})
}

// Who has no answer in time does not know whether it was done, so it is asked for again.
func TestChangeThatIsAnsweredLate(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f := afterThree()
		f.late = 2
		require.NoError(t, f.deployment().Promote(t.Context(), "v2", 0))
		require.Equal(t, "v2", f.routing.GetCurrentDeploymentVersion().GetBuildId())

		f.late = 1
		require.NoError(t, f.deployment().Ramp(t.Context(), "v3", 10, 0))
		require.Zero(t, f.late)

		f.late = 1000
		err := f.deployment().Promote(t.Context(), "v3", 0)
		require.EqualError(t, err, "promote v3 of deployment amends: context deadline exceeded: Temporal may have done it or not; ask again, which does no harm")
	})
}

func TestRamp(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f := afterThree()
		require.NoError(t, f.deployment().Ramp(t.Context(), "v2", 35, 0))
		require.Equal(t, "v2", f.routing.GetRampingDeploymentVersion().GetBuildId())
		require.InDelta(t, 35, f.routing.GetRampingVersionPercentage(), 0)
		require.Equal(t, "v3", f.routing.GetCurrentDeploymentVersion().GetBuildId())
	})
}

// The first rollback ends the ramp, the second one makes the version current that was so before.
func TestRollback(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f := afterThree()
		d := f.deployment()
		from, to, err := d.Rollback(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, []string{"v4", "v3"}, []string{from, to})
		require.Nil(t, f.routing.GetRampingDeploymentVersion())

		from, to, err = d.Rollback(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, []string{"v3", "v2"}, []string{from, to}, "not v1, which was current before that")
		require.Equal(t, "v2", f.routing.GetCurrentDeploymentVersion().GetBuildId())
	})
}

func TestRollbackOfTheFirst(t *testing.T) {
	t.Parallel()

	r := &routing{CurrentDeploymentVersion: version("v1")}
	f := &fake{routing: r, heard: r, summaries: []*summary{{DeploymentVersion: version("v1"), FirstActivationTime: at(1), LastCurrentTime: at(1)}}}
	_, _, err := f.deployment().Rollback(t.Context(), 0)
	require.ErrorIs(t, err, ErrNothingBefore)
}

func TestAwaitDrained(t *testing.T) {
	t.Parallel()

	drained := enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED
	for name, tt := range map[string]struct {
		version string
		// after becomes of the deployment within a minute.
		after  func(*fake)
		drains bool
	}{
		"drains":               {"v2", func(f *fake) { f.summaries[1].Status = drained }, true},
		"gets sagas still":     {"v3", func(*fake) {}, false},
		"never got any":        {"v5", func(*fake) {}, false},
		"was drained before":   {"v1", func(*fake) {}, false},
		"is not known yet":     {"v6", func(*fake) {}, false},
		"began again and ends": {"v1", func(f *fake) { f.summaries[0].Status = enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			synctest.Test(t, func(t *testing.T) {
				f := afterThree()
				time.AfterFunc(time.Minute, func() { f.change(func() { tt.after(f) }) })
				time.AfterFunc(2*time.Minute, func() { f.change(func() { f.summaries[0].Status = drained }) })
				ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
				defer stop()
				err := f.deployment().AwaitDrained(ctx, tt.version, slog.New(slog.DiscardHandler))
				if tt.drains {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
			})
		})
	}
}
