package deployment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// lookEvery is how often Temporal is asked while something is waited for.
const lookEvery = 250 * time.Millisecond

// settleWithin is how long a change may take to reach every task queue.
const settleWithin = 30 * time.Second

// changeWithin is how long Temporal is asked for a change that it does not answer in time. One call waits ten seconds.
const changeWithin = time.Minute

// ErrNoWorker is why no sagas are sent to a version: nobody would work on them.
var ErrNoWorker = errors.New("no worker of it polls")

// ErrNothingBefore is why nothing is rolled back.
var ErrNothingBefore = errors.New("no version ramps, and none was current before")

// Ramp sends so many percent of the sagas that start to the version, once a worker of it polls. It waits so long for one,
// and then until every task queue knows.
func (d *Deployment) Ramp(ctx context.Context, buildID string, percent float32, wait time.Duration) error {
	if err := d.awaitWorkers(ctx, buildID, wait); err != nil {
		return err
	}
	return d.setRamp(ctx, buildID, percent)
}

// Promote sends all sagas that start to the version. It waits as [Deployment.Ramp] does.
func (d *Deployment) Promote(ctx context.Context, buildID string, wait time.Duration) error {
	if err := d.awaitWorkers(ctx, buildID, wait); err != nil {
		return err
	}
	return d.change(ctx, "promote "+buildID+" of", func() error {
		_, err := d.handle().SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{BuildID: buildID})
		return err
	})
}

// PromoteFirst is [Deployment.Promote] if no version gets the sagas that start yet. It returns the version that gets them.
func (d *Deployment) PromoteFirst(ctx context.Context, buildID string, wait time.Duration) (current string, err error) {
	status, err := d.Status(ctx)
	var notFound *serviceerror.NotFound
	if err != nil && !errors.As(err, &notFound) {
		return "", err
	}
	if v, ok := status.in(Current); ok {
		return v.BuildID, nil
	}
	return buildID, d.Promote(ctx, buildID, wait)
}

// Rollback takes back the last step: it ends a ramp, or makes the version current that was so before. Sagas that began
// on the version that goes stay with it. It returns the versions that got sagas until now, and from now on.
func (d *Deployment) Rollback(ctx context.Context, wait time.Duration) (from, to string, err error) {
	status, err := d.Status(ctx)
	if err != nil {
		return "", "", err
	}
	current, _ := status.in(Current)
	if ramping, ok := status.in(Ramping); ok {
		return ramping.BuildID, current.BuildID, d.setRamp(ctx, "", 0)
	}
	before, ok := status.previous()
	if !ok {
		return "", "", fmt.Errorf("roll back deployment %s: %w", d.name, ErrNothingBefore)
	}
	return current.BuildID, before.BuildID, d.Promote(ctx, before.BuildID, wait)
}

// setRamp makes the version ramp; none, if its build ID is empty.
func (d *Deployment) setRamp(ctx context.Context, buildID string, percent float32) error {
	return d.change(ctx, "ramp "+buildID+" of", func() error {
		_, err := d.handle().SetRampingVersion(ctx, client.WorkerDeploymentSetRampingVersionOptions{BuildID: buildID, Percentage: percent})
		return err
	})
}

// change sets what Temporal routes, and returns when every task queue knows. A server that has much to do takes longer than one
// call waits; it is asked again then, since to what is set already it answers as if it had just been.
func (d *Deployment) change(ctx context.Context, what string, set func() error) error {
	err := insist(ctx, changeWithin, isA[*serviceerror.DeadlineExceeded], set)
	switch {
	case err == nil:
		return d.awaitSettled(ctx)
	case isA[*serviceerror.DeadlineExceeded](err):
		return fmt.Errorf("%w: Temporal may have done it or not; ask again, which does no harm", d.wrap(what, err))
	default:
		return d.wrap(what, err)
	}
}

func (d *Deployment) handle() client.WorkerDeploymentHandle {
	return d.client.WorkerDeploymentClient().GetHandle(d.name)
}

// awaitWorkers returns when a worker of the version polls, and Temporal has noted both of its task queues: it does that
// some time after the first polls, and routes nothing before. Otherwise the error wraps [ErrNoWorker].
func (d *Deployment) awaitWorkers(ctx context.Context, buildID string, wait time.Duration) error {
	none := fmt.Errorf("version %s of deployment %s: %w", buildID, d.name, ErrNoWorker)
	return d.await(ctx, wait, none, func(s Status) (bool, error) {
		if v, _ := s.Version(buildID); v.Workers == 0 {
			return false, nil
		}
		version, err := d.handle().DescribeVersion(ctx, client.WorkerDeploymentDescribeVersionOptions{BuildID: buildID})
		noted := map[client.TaskQueueType]bool{}
		for _, queue := range version.Info.TaskQueuesInfos {
			noted[queue.Type] = noted[queue.Type] || queue.Name == d.queue
		}
		return noted[client.TaskQueueTypeWorkflow] && noted[client.TaskQueueTypeActivity], err
	})
}

// awaitSettled returns when every task queue has heard of the change.
func (d *Deployment) awaitSettled(ctx context.Context) error {
	slow := fmt.Errorf("deployment %s: the change is made, but not every task queue has heard of it within %s", d.name, settleWithin)
	return d.await(ctx, settleWithin, slow, func(s Status) (bool, error) { return s.settled, nil })
}

// await returns when the deployment is as wanted, or with otherwise when that takes longer. It looks once at least. A
// deployment that nobody knows may come into being.
func (d *Deployment) await(ctx context.Context, wait time.Duration, otherwise error, wanted func(Status) (bool, error)) error {
	over := time.After(wait)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		is := false
		s, err := d.Status(ctx)
		if err == nil {
			is, err = wanted(s)
		}
		var notFound *serviceerror.NotFound
		switch {
		case is:
			return nil
		case err != nil && !errors.As(err, &notFound):
			return err
		}
		select {
		case <-tick.C:
		case <-over:
			return otherwise
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
