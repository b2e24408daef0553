package report

import "fmt"

// Goal is a ratio that the project set out to reach, with what this run has.
type Goal struct {
	Text string
	// Want is the bound; with AtMost the ratio must not exceed it, otherwise not fall below it.
	Want   float64
	AtMost bool
	Got    float64
}

// Reached tells whether the run keeps the bound.
func (g Goal) Reached() bool {
	if g.AtMost {
		return g.Got <= g.Want
	}
	return g.Got >= g.Want
}

func (g Goal) String() string {
	bound, verdict := "at least", "reached"
	if g.AtMost {
		bound = "at most"
	}
	if !g.Reached() {
		verdict = "not reached"
	}
	return fmt.Sprintf("%s: %.2f (%s %g): %s", g.Text, g.Got, bound, g.Want, verdict)
}

// RESTGoal is the goal of what an order costs over REST, which no row tells.
func RESTGoal(ratio float64) Goal {
	return Goal{Text: "Processor time of an order over REST to one straight from the SDK", Want: 1.25, AtMost: true, Got: ratio}
}

// Goals are the project's, of those whose rows are there.
func Goals(rows []Row) []Goal {
	var goals []Goal
	add := func(g Goal, over, under Key, number func(Numbers) float64) {
		a, haveA := find(rows, over)
		b, haveB := find(rows, under)
		if haveA && haveB {
			g.Got = quotient(number(a.Numbers), number(b.Numbers))
			goals = append(goals, g)
		}
	}
	throughput := func(n Numbers) float64 { return n.SagasPerSecond }
	p50 := func(n Numbers) float64 { return n.P50 }
	add(Goal{Text: "Sagas/s of Amends to plain Temporal's, 20 at once", Want: 9},
		Key{"amends", "success", 20}, Key{"plain", "success", 20}, throughput)
	add(Goal{Text: "The same for failing sagas", Want: 14},
		Key{"amends", "failing", 20}, Key{"plain", "failing", 20}, throughput)
	add(Goal{Text: "p50 of plain Temporal to Amends', one at a time", Want: 10},
		Key{"plain", "success", 1}, Key{"amends", "success", 1}, p50)
	add(Goal{Text: "Sagas/s of DBOS to Amends', 20 at once", Want: 2, AtMost: true},
		Key{"dbos", "success", 20}, Key{"amends", "success", 20}, throughput)
	add(Goal{Text: "p50 of DBOS to Amends', one failing saga at a time", Want: 1},
		Key{"dbos", "failing", 1}, Key{"amends", "failing", 1}, p50)
	return goals
}
