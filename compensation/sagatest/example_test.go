package sagatest_test

import (
	"fmt"
	"testing"

	"github.com/amends-dev/amends/compensation/sagatest"
)

// The car is refused: what was booked before it is undone, after the payment was fenced.
func Example() {
	var t testing.T // in a test, its own
	env := sagatest.New(&t, trip)
	sagatest.Answer(env, "BookFlight", func(flight string) string { return "seat 12A on " + flight })
	env.Refuse("BookCar")
	err := env.Run(Trip)
	fmt.Println(err != nil, env.State(), env.Cause())
	for _, call := range env.Calls() {
		fmt.Println(call)
	}
	// Output:
	// true compensated BookCar refused: not today
	// BookFlight
	// BookHotel
	// BookCar
	// undo Pay
	// undo BookCar
	// undo BookHotel
	// undo BookFlight
}
