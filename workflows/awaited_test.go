package workflows

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

// A reply is the outcome of an update.
type reply struct {
	accepted bool
	rejected error
}

func (r *reply) Accept()             { r.accepted = true }
func (r *reply) Reject(err error)    { r.rejected = err }
func (r *reply) Complete(any, error) {}

// A message is taken once, and only while something waits for it.
func TestAwaited(t *testing.T) {
	t.Parallel()

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	replies := map[time.Duration]*reply{}
	for at, message := range map[time.Duration]string{
		30 * time.Minute:  "too early",
		90 * time.Minute:  "wrong",
		100 * time.Minute: "right",
		110 * time.Minute: "right once more",
		190 * time.Minute: "too late",
	} {
		replies[at] = &reply{}
		env.RegisterDelayedCallback(func() { env.UpdateWorkflow("answer", "", replies[at], message) }, at)
	}
	env.ExecuteWorkflow(func(ctx workflow.Context) (string, error) {
		a, err := expect(ctx, "answer", "", func(message string) error {
			if message == "wrong" {
				return errors.New("it is wrong")
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		_ = workflow.Sleep(ctx, time.Hour) // nothing cancels it
		a.open()
		_ = workflow.Sleep(ctx, 2*time.Hour) // nothing cancels it
		a.close()
		message, inTime, err := a.await(ctx, time.Minute, "")
		if !inTime || err != nil {
			return "", errors.New("it had come before")
		}
		return message, workflow.Sleep(ctx, time.Hour)
	})
	require.NoError(t, env.GetWorkflowError())
	var taken string
	require.NoError(t, env.GetWorkflowResult(&taken))
	require.Equal(t, "right", taken)
	for at, want := range map[time.Duration]bool{
		30 * time.Minute: false, 90 * time.Minute: false, 100 * time.Minute: true, 110 * time.Minute: false, 190 * time.Minute: false,
	} {
		r := replies[at]
		require.Equal(t, want, r.accepted, "after %s", at)
		var app *temporal.ApplicationError
		if at != 90*time.Minute && !want {
			require.ErrorAs(t, r.rejected, &app, "after %s", at)
			require.Equal(t, ErrTypeNotAwaited, app.Type())
		}
	}
	require.ErrorContains(t, replies[90*time.Minute].rejected, "it is wrong")
}

// A wait that was opened and closed without a message takes no message later.
func TestAwaitedThatDidNotCome(t *testing.T) {
	t.Parallel()

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	late := &reply{}
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow("answer", "", late, "too late") }, 2*time.Hour)
	env.ExecuteWorkflow(func(ctx workflow.Context) (bool, error) {
		a, err := expect(ctx, "answer", "", func(string) error { return nil })
		if err != nil {
			return false, err
		}
		a.open()
		_, inTime, err := a.await(ctx, time.Hour, "")
		a.close()
		return inTime, errors.Join(err, workflow.Sleep(ctx, 2*time.Hour))
	})
	var inTime bool
	require.NoError(t, env.GetWorkflowResult(&inTime))
	require.False(t, inTime)
	require.False(t, late.accepted)
	require.ErrorContains(t, late.rejected, "nothing waits for answer here")
}
