package compensation

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"
)

// An operator's result takes the place of the step's own; a step that is tried again returns a new one.
func TestStatusOfAStepDoneByHand(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	h.marker(t, "book flight", 1, failure(ErrTypeRefused, "no seats"))
	h.accepted(t, UpdateMarkDone, Act{Step: "BookFlight", By: "grace", Reason: "by phone", Result: json.RawMessage(`"12A"`)})
	h.marker(t, "book hotel", 1, failure(ErrTypeRefused, "no rooms"))
	h.accepted(t, UpdateMarkDone, Act{Step: "BookHotel", By: "grace", Reason: "by phone"})
	h.marker(t, "book car", 1, failure(ErrTypeRefused, "no cars"))
	h.accepted(t, UpdateRetry, Act{Step: "BookCar", By: "grace"})
	car := h.scheduled("BookCar/do")
	h.started(car, 1)
	h.completed(car)

	s := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Running, ""), h.events)
	var seat string
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(s.Steps[0].Result, &seat))
	require.Equal(t, "12A", seat)
	require.Equal(t, DoMarkedDone, s.Steps[0].Do)
	require.Nil(t, s.Steps[1].Result)
	require.Equal(t, h.result(car+2), s.Steps[2].Result)
}

// An operator's decision stands, whatever then becomes of the running tries.
func TestStatusOfWhatAnOperatorDecided(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	flight := h.scheduled("BookFlight/do")
	h.accepted(t, UpdateMarkDone, Act{By: "grace", Reason: "by phone", Reference: "T-1", Step: "BookFlight"})
	h.canceled(flight)
	hotel := h.scheduled("BookHotel/do")
	h.accepted(t, UpdateSkip, Act{By: "grace", Reason: "camping", Step: "BookHotel"})
	h.failed(hotel, "", "connection reset")
	undo := h.scheduled("BookFlight/undo")
	h.accepted(t, UpdateMarkDone, Act{By: "grace", Reason: "by phone", Reference: "T-2", Step: "BookFlight"})
	h.canceled(undo)

	s := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Compensating, "canceled"), h.events)
	require.Equal(t, DoMarkedDone, s.Steps[0].Do)
	require.Equal(t, UndoMarkedDone, s.Steps[0].Undo)
	require.Equal(t, DoSkipped, s.Steps[1].Do)
}

// A pivot whose undo is parked happened or not, as an operator decides.
func TestStatusOfAPivotThatAnOperatorKnows(t *testing.T) {
	t.Parallel()

	for update, want := range map[string]StepStatus{
		UpdateMarkHappened:  {Name: "Pay", Kind: Pivot, Do: DoMarkedDone, Undo: UndoNone},
		UpdateMarkPrevented: {Name: "Pay", Kind: Pivot, Do: DoUnknown, Undo: UndoMarkedDone},
	} {
		h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
		h.marker(t, "book car", 1, failure("", "connection reset"))
		h.marker(t, "pay", 1, failure("", "connection reset"))
		h.marker(t, "UNDO book flight", 1, failure("UndoRefused", "it is gone"))
		undo := h.scheduled("Pay/undo")
		h.accepted(t, update, Act{By: "grace", Reason: "by phone", Reference: "T-1", Result: json.RawMessage(`"cap-1"`)})
		h.canceled(undo)

		s := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Running, ""), h.events)
		pay := s.Steps[3]
		require.Equal(t, want, StepStatus{Name: pay.Name, Kind: pay.Kind, Do: pay.Do, Undo: pay.Undo}, update)
		require.Equal(t, UndoFailed, s.Steps[0].Undo, "the act is about the pivot")
		require.Equal(t, update == UpdateMarkHappened, pay.Result != nil)
	}
}

// An act that came too late changes nothing: its step is as the running try has left it.
func TestStatusOfAnActThatCameTooLate(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	h.marker(t, "pay", 1, failure("", "connection reset"))
	undo := h.scheduled("Pay/undo")
	act := h.accepted(t, UpdateMarkHappened, Act{Step: "Pay", By: "grace", Reason: "by phone", Reference: "T-1"})
	prevented := h.completed(undo)
	h.answered(act, nil)
	late := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Running, ""), h.events)
	require.Equal(t, DoMarkedDone, late.Steps[3].Do)
	require.Len(t, late.Acts, 1)

	h.events = h.events[:len(h.events)-1]
	h.answered(act, failure(ErrTypeActRefused, "mark-happened: too late: the undo of Pay was settled before"))
	s := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Running, ""), h.events)
	require.Equal(t, []any{DoUnknown, UndoPrevented, h.at(prevented)}, []any{s.Steps[3].Do, s.Steps[3].Undo, s.Steps[3].UndoneAt})
	require.Empty(t, s.Acts)
}

// A step that is marked done after the pivot is shown so, whatever was undone before.
func TestStatusOfAStepDoneByHandAfterUndos(t *testing.T) {
	t.Parallel()

	h := &tape{start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	h.marker(t, "UNDO book hotel", 1, nil)
	h.marker(t, "book car", 1, failure(ErrTypeRefused, "no cars"))
	h.accepted(t, UpdateMarkDone, Act{Step: "BookCar", By: "grace", Reason: "by phone", Reference: "T-1"})

	s := project(statusPlan, describe(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Running, ""), h.events)
	require.Equal(t, UndoPrevented, s.Steps[1].Undo)
	require.Equal(t, DoMarkedDone, s.Steps[2].Do)
}
