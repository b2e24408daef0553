// Package compensation is a saga engine for Temporal workflows. It knows steps, their order and their undos, and how a
// saga turns back; it does not know what the steps do.
//
// A saga is a [Plan]: an ordered list of typed steps, known before it runs. The workflow is plain Go that runs them
// inside [Run]. Each [Step] is an activity, and declares the activity that undoes it.
//
//	var reserveStock = compensation.Step[ReserveStock, Reservation]{
//		Name: "ReserveStock",
//		Do:   inventory.ReserveStock, // func(ctx, key, ReserveStock) (Reservation, error)
//		Undo: inventory.ReleaseStock, // func(ctx, key) error
//	}
//
// # What holds, whatever crashes
//
//   - The undo of a step is registered before the step starts. A step whose reply was lost may have happened, so steps
//     of unknown outcome are undone too.
//   - A step's [Key] is the saga's ID and the step's name: the same over retries, replay and reset. An undo needs the key
//     only, so it can be called for a step whose result never arrived.
//   - Before the pivot a saga can turn back; after it, it only goes forward. [NewPlan] refuses plans in which that would
//     not hold. A saga that turns back fences the pivot before it undoes anything, so that no other try of it can get
//     past the pivot meanwhile; if a try could complete without the pivot, turning back is on record first
//     ([Plan.RequirePivot]).
//   - People's decisions are in the history before a step or an undo runs because of them.
//   - Undos run in reverse order of start, in a context that no cancel reaches, and past an undo that fails for good to
//     the next.
//   - A step ends done, refused (definitely without effect, see [Refuse]) or unknown. Unknown is tried again with the
//     same key until the step's limit; then [OnUnknown] says what follows. If the pivot's outcome stays unknown, its undo
//     decides which way the saga goes.
//   - What can neither be done nor undone parks the saga: it stays running until an operator settles it, or until what
//     failed succeeds after all.
//   - A workflow that was reset is uncertain about everything that its history lacks, and undoes it by key. The run before may
//     also have undone what the history shows as done: those steps are asked for again before the pivot.
//   - The workflow's status is the truth: Completed is done; Failed, with the original cause, is undone; Canceled is
//     undone because somebody asked.
//
// What the participants owe in return: Do and Undo have the effect of one run however often they run with one key, and
// an Undo makes a later Do with the same key fail. Package fence of this module helps services with that.
//
// # Express steps
//
// An ordinary activity costs Temporal three events and as many database transactions before and after the work. So a step
// is express by default: it runs as a local activity within the saga's workflow task, and as an ordinary activity, with
// the same key, only without a definite outcome. A saga in which all goes well is written twice, when it is accepted and
// when it ends. A step with a result of more than 64 KiB becomes an ordinary activity. The price is that a try of the
// saga can be lost together with its record; certain.go describes how tries can differ, and why each difference is safe.
//
// # Turning back
//
// A saga turns back when its body returns an error, when it is canceled ([UpdateCancel] or Temporal's own cancel), when
// its deadline passes ([Plan.WithDeadline]) or when an operator decides so ([UpdateCompensate]). All of this holds until
// the pivot is called: later, a cancel is too late, and a deadline parks. A saga hears requests that come while express
// steps run when its workflow task ends; a task that has lasted for half a second ends before the pivot.
//
// # Workers
//
// Every worker, replayer and test environment of sagas needs [NewPlugin] among its plugins. A workflow runs one saga, and
// has no cron schedule, no retry policy and no continue-as-new: its steps' keys are those of its workflow ID. Split a
// saga of thousands of items into a saga for each, or child workflows: a step with an item takes three events of the
// 51,200 that Temporal allows, and its undo three more.
//
// A try of the saga whose record was lost may have turned back already. Then the next one finds its steps undone. It
// still names the cause of the first if the participants remember it: see [UndoReason], [RefuseUndone] and
// [CarryReasons].
//
// # Parked sagas
//
// These park a saga: an undo that is refused or not done within its UndoLimit; a step after the pivot that is refused; a
// step with [ParkUnknown] whose outcome stays unknown; a deadline that passes after the pivot. What may still succeed is
// is tried all the while, and goes on by itself if it does. An operator has [UpdateRetry], [UpdateRetryWithInput],
// [UpdateSkip], [UpdateMarkDone], [UpdateCompensate] and [UpdateExtendDeadline], and for a pivot whose undo is parked
// [UpdateMarkHappened] and [UpdateMarkPrevented]; each takes an [Act], which stays in the history.
//
// Temporal runs no code of a saga that is terminated. [Recover] undoes such a saga by key, from another workflow.
//
// # Watching
//
// The Web UI shows a table of the steps as the workflow's current details, with what is parked and what operators did, and
// a summary for each activity. The search attribute SagaState tells sagas that turned back or wait from those that did
// not, ParkedSince since when they wait, SagaStep at which step, or which one turned them back; the memo field SagaCause
// says why they turned back. [ReadStatus] tells all of it to programs, from the history alone.
package compensation
