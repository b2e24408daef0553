// Package worker builds and runs the Temporal worker that hosts the sagas and their activities. It knows how to reach
// Temporal and the step services, and nothing of what the sagas do.
package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/deployment"
	"github.com/amends-dev/amends/workflows"
)

// Options of a [Worker].
type Options struct {
	// ServicesURL is where the step services are. Required.
	ServicesURL string
	// ServiceURLs overrides the URL of single services by name.
	ServiceURLs map[string]string
	// ServicesTLS is how they are called over https. Default: as the system does.
	ServicesTLS *tls.Config
	// Namespace is the client's. Default "default".
	Namespace string
	// StopTimeout is how long what runs may take to finish when the worker stops. Activities that do not are handed back:
	// others try them at once. Telling Temporal so may take [handBackTime] more. Default 5 s.
	StopTimeout time.Duration
	// SweepEvery is how often sagas are looked for that Temporal ended from outside, when this worker is the first of its
	// namespace: later ones leave the schedule as it is. Default [DefaultSweepEvery].
	SweepEvery time.Duration
	// AuditEvery is how often the step services are asked whether their books balance, on the same condition. Default
	// [DefaultAuditEvery].
	AuditEvery time.Duration
	// Tasks is how many sagas the worker drives at the same time, 2 or more; others wait in the queue for it or for another
	// worker. One whose services are slow needs more: a saga of ten steps of 100 ms takes a place for a second. Default
	// [DefaultTasks].
	Tasks int
	// EagerStart says that this process itself starts the sagas, and gets their first tasks with Temporal's answer. Then they
	// find more places free: fewer are kept for what comes from the queue.
	EagerStart bool
	// Deployment makes the worker one of a version, with which sagas stay that began on it. Default: none, and any worker
	// goes on with any saga.
	Deployment Deployment
	// Logger takes what the worker itself has to say. Default [slog.Default]. Workflows and activities log to the
	// client's logger.
	Logger *slog.Logger
}

// Deployment says of which version a worker is.
type Deployment struct {
	// Name is of all versions of these workers.
	Name string
	// BuildID is of one version. Workers of one have the same code.
	BuildID string
	// StopWhenDrained ends [Worker.Run] when the version gets no sagas any more and has none left.
	StopWhenDrained bool
}

func (d Deployment) check() error {
	if d == (Deployment{}) {
		return nil
	}
	if d.BuildID == "" {
		return errors.New("the deployment has no build ID")
	}
	return deployment.CheckName(d.Name)
}

// Worker polls the sagas' task queue.
type Worker struct {
	client    client.Client
	namespace string
	schedules []schedule
	logger    *slog.Logger
	worker    sdkworker.Worker
	failed    chan error
	version   Deployment
	state     atomic.Int32

	// over ends what is under way, stopTimeout after Stop.
	over        context.Context //nolint:containedctx // the worker's own life
	handBack    context.CancelFunc
	stopTimeout time.Duration

	// background is what makes the schedules, until stopBackground.
	background     sync.WaitGroup
	stopBackground context.CancelFunc
}

// The states of a Worker, in their order.
const (
	created = int32(iota)
	polling
	stopping
)

// New makes a worker. It fails on options that cannot be used.
func New(c client.Client, o Options) (*Worker, error) {
	if o.Namespace == "" {
		o.Namespace = client.DefaultNamespace
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 5 * time.Second
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = DefaultSweepEvery
	}
	if o.AuditEvery == 0 {
		o.AuditEvery = DefaultAuditEvery
	}
	if o.Tasks == 0 {
		o.Tasks = DefaultTasks
	}
	if o.Tasks < 2 {
		return nil, fmt.Errorf("worker: Tasks is %d, and must be 2 at least", o.Tasks)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := o.Deployment.check(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	set, err := activities.New(activities.Options{ServicesURL: o.ServicesURL, URLs: o.ServiceURLs, TLS: o.ServicesTLS})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	w := &Worker{
		client: c, namespace: o.Namespace, schedules: schedules(o.SweepEvery, o.AuditEvery), logger: o.Logger,
		version: o.Deployment, failed: make(chan error, 1), stopTimeout: o.StopTimeout,
	}
	w.over, w.handBack = context.WithCancel(context.Background()) //nolint:forbidigo // the worker's own life, which begins here
	options := Tuning(o.Tasks, o.EagerStart)
	options.WorkerStopTimeout = o.StopTimeout + handBackTime
	options.Interceptors = append([]interceptor.WorkerInterceptor{&handBack{over: w.over}, &spread{}, compensation.CarryReasons(nil)}, options.Interceptors...)
	options.DeploymentOptions = sdkworker.DeploymentOptions{
		UseVersioning: o.Deployment.Name != "",
		Version:       sdkworker.WorkerDeploymentVersion{DeploymentName: o.Deployment.Name, BuildID: o.Deployment.BuildID},
	}
	options.OnFatalError = func(err error) { w.failed <- fmt.Errorf("worker: %w", err) }
	w.worker = sdkworker.New(c, workflows.TaskQueue, options)
	workflows.Register(w.worker)
	for _, participant := range set.All() {
		w.worker.RegisterActivity(participant)
	}
	return w, nil
}

// Start checks that the namespace has what the sagas need, and begins to poll. It does not wait for work.
func (w *Worker) Start(ctx context.Context) error {
	if err := connect.CheckSearchAttributes(ctx, w.client, w.namespace, workflows.SearchAttributes()); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if err := w.worker.Start(); err != nil {
		return fmt.Errorf("worker: start polling: %w", err)
	}
	w.state.CompareAndSwap(created, polling)
	ctx, w.stopBackground = context.WithCancel(context.WithoutCancel(ctx))
	w.background.Go(func() { w.ensureSchedules(ctx) })
	w.logger.Info("worker polls", "namespace", w.namespace, "task_queue", workflows.TaskQueue,
		"deployment", w.version.Name, "build_id", w.version.BuildID)
	return nil
}

// Ready finds what keeps the worker from its work: it does not poll, or Temporal does not answer.
func (w *Worker) Ready(ctx context.Context) error {
	switch w.state.Load() {
	case created:
		return errors.New("the worker does not poll yet")
	case stopping:
		return errors.New("the worker stops")
	}
	if _, err := w.client.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("ask Temporal for its health: %w", err)
	}
	return nil
}

// Stop ends polling and waits for what runs, at most StopTimeout. What is unfinished then goes on in another worker.
func (w *Worker) Stop() {
	w.state.Store(stopping)
	defer time.AfterFunc(w.stopTimeout, w.handBack).Stop()
	defer w.handBack()
	if w.stopBackground != nil {
		w.stopBackground()
	}
	w.background.Wait()
	w.worker.Stop()
	w.logger.Info("worker stopped")
}

// Run starts the worker and stops it when ctx ends, when its version is drained and that is wanted, or with an error when
// the SDK gives up.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.Start(ctx); err != nil {
		return err
	}
	defer w.Stop()
	drained, stop := w.drained(ctx)
	defer stop()
	select {
	case <-ctx.Done():
		return nil
	case <-drained:
		w.logger.Info("the version is drained", "deployment", w.version.Name, "build_id", w.version.BuildID)
		return nil
	case err := <-w.failed:
		return err
	}
}

// drained is closed when the worker's version has no sagas left, if it should stop then. The caller calls stop.
func (w *Worker) drained(ctx context.Context) (_ <-chan struct{}, stop func()) {
	if !w.version.StopWhenDrained {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	drained := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		d := deployment.Of(w.client, w.namespace, w.version.Name, workflows.TaskQueue)
		if d.AwaitDrained(ctx, w.version.BuildID, w.logger) == nil {
			close(drained)
		}
	})
	return drained, func() {
		cancel()
		watch.Wait()
	}
}

// Failed gets the error with which the SDK gives up polling, if it ever does. Run takes it by itself.
func (w *Worker) Failed() <-chan error { return w.failed }
