package devserver_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/devserver"
	"github.com/amends-dev/amends/internal/connect"
)

// holdUpdates holds each update until it is told to release them.
func holdUpdates(ctx workflow.Context) error {
	released := false
	err := workflow.SetUpdateHandler(ctx, "hold", func(ctx workflow.Context) error {
		return workflow.Await(ctx, func() bool { return released })
	})
	if err != nil {
		return err
	}
	workflow.GetSignalChannel(ctx, "release").Receive(ctx, nil)
	released = true
	return workflow.Await(ctx, func() bool { return false })
}

// The server's errors distinguish the limits of updates, one of them only by its text: this test detects a change of it.
func TestLimitsOfUpdates(t *testing.T) {
	t.Parallel()

	s := start(t, devserver.Options{Ephemeral: true, DynamicConfig: []byte("history.maxTotalUpdates: [{value: 3}]\nhistory.maxInFlightUpdates: [{value: 2}]")})
	c, err := connect.Dial(t.Context(), client.Options{
		HostPort: s.HostPort(), Namespace: s.Namespace(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w := worker.New(c, taskQueue, worker.Options{})
	w.RegisterWorkflow(holdUpdates)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: taskQueue}, holdUpdates)
	require.NoError(t, err)
	hold := func(ctx context.Context) error {
		_, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: run.GetID(), UpdateName: "hold", WaitForStage: client.WorkflowUpdateStageAccepted,
		})
		return err
	}

	for range 2 {
		require.NoError(t, hold(t.Context()))
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	err = hold(ctx)
	require.Equal(t, connect.UnsentInFlight, connect.WhyUnsent(err), "%v", err)

	require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), "", "release", nil))
	require.NoError(t, hold(t.Context()), "there is room again")
	err = hold(t.Context())
	require.Equal(t, connect.UnsentTotal, connect.WhyUnsent(err), "%v", err)
}
