// Package sagatest tests sagas: it runs one on the SDK's test suite, with a fake for every activity of its plan.
//
// The fakes keep the step contract as real services do: a do has its effect once, an undo makes a do that comes later
// fail, a pivot that happened cannot be undone. They do what a test asks of them ([Env.Refuse], [Env.Fail],
// [Env.LoseReply], [Env.FailUndo], …), note every call, and know which effects stand.
//
//	env := sagatest.New(t, plan)
//	env.Refuse("Charge")
//	err := env.Run(BookFlight, "AM 42")
//	env.RequireCalls("BookSeat", "Charge", "undo Charge", "undo BookSeat")
//	env.RequireState(compensation.Compensated)
//
// [Matrix] does that for every step of a plan and every way in which it can fail.
//
// # What is real, and what is not
//
// The workflow, its data conversion and its activities run on the SDK's suite. The kit plays the server, and the local
// part of the worker: calls are answered one at a time, at one moment in the order in which they were scheduled; they are
// tried again by their own retry policies and limits, on the suite's clock, and take as long as [Env.Takes] says. So a run
// is the same each time.
//
// A saga runs in workflow tasks, as on a server. A task ends when the workflow waits for nothing but ordinary activities,
// timers and messages; an ordinary activity begins then. What happens meanwhile (the end of an activity, a timer, an
// update, Temporal's cancel) waits for the next task. A task that lasts for four seconds because of its local activities
// is completed by a heartbeat, which puts on record what is settled and brings what has arrived. The history's length is
// 3 in the first try of the first task, and larger from then on. Results that no server takes break the saga.
//
// After the loss of a worker ([Env.CrashAt] and those after it), its record is replayed in a new environment of the
// suite, and the lost task is tried again when its limit of five seconds has passed, with a longer history. The services
// keep their effects. A worker that is only slow ([Env.SlowAt]) goes on beside the other one. A reset ([Env.ResetAt])
// goes on from an earlier task, in a run with an ID of its own.
//
// Signals, child workflows and activities outside the plan are the suite's own: they reach the workflow at once, and no
// successor of a lost worker replays them.
package sagatest
