// Package steps has the participants of the measured saga: a server with ten steps that keep the step contract
// (docs/step-contract.md) in memory, and the client with which every engine calls it. It knows nothing of the engines;
// all of them do the same work here, so that what differs is theirs.
package steps

import (
	"fmt"
	"strconv"
	"strings"
)

// Count is the number of steps of the saga.
const Count = 10

// Name is the name of the n-th step, counted from 1: "Step1" to "Step10".
func Name(n int) string { return "Step" + strconv.Itoa(n) }

// Pivot is the name of the last step, which cannot be undone once it is done.
var Pivot = Name(Count)

// Input is what each step is asked to do.
type Input struct {
	// Order names the saga.
	Order string `json:"order"`
	// Amount stands for what an order holds.
	Amount int64 `json:"amount"`
	// Refuse makes the step refuse.
	Refuse bool `json:"refuse,omitempty"`
}

// Result is what each step answers.
type Result struct {
	Reference string `json:"reference"`
	// Filler makes a result as large as it is to be.
	Filler string `json:"filler,omitempty"`
}

// Books count what stands in the server's ledger.
type Books struct {
	// Done counts effects that stand, Undone the keys that were undone, whether or not they were done before.
	Done, Undone int
}

// Check tells whether the books are what sagas of one case leave, none of which is under way: each step done, or none
// done and each before the refused one undone. It says what is wrong with them.
func (b Books) Check(sagas int, failing bool) error {
	if !failing {
		if want := (Books{Done: sagas * Count}); b != want {
			return fmt.Errorf("%d sagas left the books %+v, not %+v", sagas, b, want)
		}
		return nil
	}
	// The refused step may be undone, too: that fences it.
	if b.Done != 0 || b.Undone < sagas*(Count-1) || b.Undone > sagas*Count {
		return fmt.Errorf("%d failing sagas left the books %+v: some effect stands, or was never undone", sagas, b)
	}
	return nil
}

// segment is a step's name in the URL: "step1" to "step10".
func segment(step string) string { return strings.ToLower(step) }
