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
//   - A step's [Key] is the saga's ID and the step's name: the same over retries, replay and reset. An undo needs the key only, so
//     it can be called for a step whose result never arrived.
//   - Undos run in reverse order of start, in a context that no cancel reaches, without a time limit, and past an undo
//     that fails for good to the next. What failed is tried again, with growing pauses, until nothing is left.
//   - Before the pivot a saga can turn back; after it, it only goes forward. [NewPlan] refuses plans in which that would
//     not hold.
//   - A step ends done, refused (definitely without effect, see [Refuse]) or unknown. Unknown is tried again with the
//     same key until the step's limit. If the pivot's outcome stays unknown, its undo decides which way the saga goes.
//   - The workflow's status is the truth: Completed is done; Failed, with the original cause, is undone; Canceled is
//     undone because somebody asked.
//
// What the participants owe in return: Do and Undo have the effect of one run however often they run with one key, and
// an Undo makes a later Do with the same key fail. Package fence of this module helps services with that.
//
// # Watching
//
// The Web UI shows a table of the steps as the workflow's current details, and a summary for each activity. The search attribute
// SagaState tells sagas that turned back from those that did not; the memo field SagaCause says why. [ReadStatus] tells
// all of it to programs, from the history alone.
package compensation
