package replay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
)

// corpus is where the recorded histories are.
var corpus = filepath.Join("..", "..", "workflows", "testdata")

func read(t *testing.T, file string) History {
	t.Helper()
	h, err := ReadFile(filepath.Join(corpus, file))
	require.NoError(t, err)
	return h
}

// A saga can be replayed at any moment of its life.
func TestRunningSagas(t *testing.T) {
	t.Parallel()

	for _, file := range []string{
		"revision-1/PlaceOrder/undo-needed-retries.json", "revision-2/PlaceOrder/approved.json", "revision-2/PlaceOrder/parked-and-retried.json",
		"revision-2/PlaceOrder/express-fell-back.json", "revision-2/PlaceOrder/canceled-through-temporal.json",
		"revision-2/PlaceOrder/uncertain-turned-back.json", "revision-2/ReturnOrder/goods-overdue.json", "revision-2/ActOnSagas/completed.json",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()

			h := read(t, file)
			replayed, moments := 0, 0
			for n := range len(h.Events) + 1 {
				if n < len(h.Events) && ofTask[h.Events[n].GetEventType()] {
					continue // Temporal writes what a workflow task brings about at once with the task's end
				}
				moments++
				o := Run(History{Name: file, Events: h.Events[:n]})
				require.Nil(t, o.Difference, "after %d of %d events: %v", n, len(h.Events), o.Difference)
				require.GreaterOrEqual(t, o.Events, replayed)
				require.LessOrEqual(t, o.Events, n)
				replayed = o.Events
			}
			require.Equal(t, len(h.Events), replayed, "all of a saga that has ended")
			require.Greater(t, moments, 8)
		})
	}
}

// ofTask are the events that a workflow task of ours brings about.
var ofTask = map[enumspb.EventType]bool{
	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: true, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: true,
	enumspb.EVENT_TYPE_TIMER_STARTED: true, enumspb.EVENT_TYPE_TIMER_CANCELED: true, enumspb.EVENT_TYPE_MARKER_RECORDED: true,
	enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: true, enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: true, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: true, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: true,
}

func TestDifferences(t *testing.T) {
	t.Parallel()

	for file, want := range map[string]Difference{
		"revision-1/must-fail/steps-swapped.json": {
			Event: 5, EventType: "ActivityTaskScheduled", Step: "ReserveStock",
			History: "activity ReserveStock/do", Code: "does nothing of the kind there",
		},
		"revision-2/must-fail/steps-swapped.json": {
			Event: 5, EventType: "MarkerRecorded", Step: "ReserveStock",
			History: "runs ReserveStock as a local activity", Code: "runs PriceOrder instead",
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()

			o := Run(read(t, file))
			require.Equal(t, &want, o.Difference)
			require.Equal(t, "PlaceOrder", o.Type)
		})
	}
}

// An activity of the same ID that is another one is found, too.
func TestActivityOfAnotherType(t *testing.T) {
	t.Parallel()

	h := read(t, "revision-1/PlaceOrder/completed.json")
	for _, event := range h.Events {
		if a := event.GetActivityTaskScheduledEventAttributes(); a.GetActivityId() == "BookShipment/do" {
			a.ActivityType.Name = "BookTruck"
		}
	}
	d := Run(h).Difference
	require.NotNil(t, d)
	require.Equal(t, "ActivityTaskScheduled", d.EventType)
	require.Equal(t, "BookShipment", d.Step)
	require.Contains(t, d.History, "BookTruck")
	require.Contains(t, d.Code, "ScheduleActivityTask ")
	require.Contains(t, d.Code, "Name:BookShipment")
	require.Regexp(t, `^event \d+, ActivityTaskScheduled, step BookShipment\n  history: .*BookTruck.*\n  code:    Schedule`, d.String())
}

func TestExplain(t *testing.T) {
	t.Parallel()

	events := read(t, "revision-1/PlaceOrder/completed.json").Events
	last := events[len(events)-1]
	for text, want := range map[string]Difference{
		"[TMPRL1100] nondeterministic workflow: missing replay command for WorkflowExecutionCompleted: (Result:x, y)": {
			Event: last.GetEventId(), EventType: "WorkflowExecutionCompleted",
			History: "WorkflowExecutionCompleted Result:x, y", Code: "does nothing more there",
		},
		"[TMPRL1100] nondeterministic workflow: extra replay command for StartTimer: (TimerId:5, x)": {
			History: "has nothing more there", Code: "StartTimer TimerId:5, x",
		},
		"[TMPRL1100] nondeterministic workflow: missing replay command for TimerStarted: (TimerId:no-such, x)": {
			History: "TimerStarted TimerId:no-such, x", Code: "does nothing more there",
		},
		"unable to find workflow type": {Code: "unable to find workflow type"},
	} {
		require.Equal(t, &want, explain(events, errors.New(text)), text)
	}
	require.Equal(t, "  code:    it panics", Difference{Code: "it panics"}.String())
}

func TestSave(t *testing.T) {
	t.Parallel()

	h := read(t, "revision-2/PlaceOrder/approved.json")
	h.Events[0].GetWorkflowExecutionStartedEventAttributes().Identity = "17@somebodys-machine"
	h.Name, h.Run = "order/1 ü", "0123456789"
	dir := t.TempDir()
	require.NoError(t, h.Save(dir))

	files, err := Files([]string{dir})
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "PlaceOrder", "order-1--01234567.json")}, files)
	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	recorded, err := os.ReadFile(filepath.Join(corpus, "revision-2", "PlaceOrder", "approved.json"))
	require.NoError(t, err)
	require.Equal(t, string(recorded), string(content), "as the corpus has it")
}

func TestNoHistories(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	_, err := Files([]string{filepath.Join(dir, "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
	file := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(file, []byte(`{"events": 1}`), 0o600))
	files, err := Files([]string{dir})
	require.NoError(t, err)
	require.Empty(t, files, "a folder's other files are none")
	files, err = Files([]string{file})
	require.NoError(t, err)
	require.Equal(t, []string{file}, files, "what is named is meant")
	_, err = ReadFile(file)
	require.ErrorContains(t, err, fmt.Sprintf("%s: not a history", file))
	require.Equal(t, Outcome{Name: "empty"}, Run(History{Name: "empty"}))
}
