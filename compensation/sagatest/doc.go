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
// The workflow, its data conversion and its activities run on the SDK's suite. The kit does the rest of the server's part,
// and the local part of the worker's: activities run one at a time, in the order in which they were scheduled, local ones
// first; they are tried again by their own retry policies and limits, on the suite's clock; an ordinary activity begins
// when the workflow task is over that scheduled it. So a run is the same each time.
//
// The history's length is 3 in the first try of the first workflow task and larger from then on: after the end of an
// ordinary activity, a timer, an update, a signal or a cancel. Where a worker was lost ([Env.CrashAt]), what it had
// recorded is replayed in a new environment of the suite, and the task that was lost begins with a longer history. The
// services keep their effects. A worker that is only slow ([Env.SlowAt]) goes on beside the other one.
package sagatest
