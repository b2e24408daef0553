package demo

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/examples"
	"github.com/amends-dev/amends/internal/services"
)

// decision is what the demo does, as a person would, with an order that waits for approval.
type decision int

const (
	none decision = iota
	approve
	reject
	cancel
)

// scenario is a way for an order to go.
type scenario struct {
	// name is what the table calls it.
	name string
	// example is the order's file.
	example  string
	decision decision
	// voucher gives the order a voucher of its own, picked at random.
	voucher bool
	// fault goes wrong for this order only.
	fault *fault
	end   end
}

// fault is a setting of a service, without the key that it is for.
type fault struct {
	service string
	services.Fault
}

// end is how a scenario ends.
type end struct {
	state client.State
	// refusedBy is the only step that may have refused; empty for none.
	refusedBy string
	// cause is part of the sentence that says why.
	cause string
}

var completed = end{state: client.Completed}

// going are the scenarios of orders that are completed, some of them past a fault. The first is that of nothing special.
// A service keeps one setting for each step, so every fault has a step of its own; failing has others.
var going = []scenario{
	{name: "good", example: "good", end: completed},
	{name: "voucher and points", example: "good-with-voucher-and-points", voucher: true, end: completed},
	{name: "review, approved", example: "fraud-review", decision: approve, end: completed},
	{
		name: "slow prices", example: "good", end: completed,
		fault: &fault{"pricing", services.Fault{Step: "PriceOrder", LatencyMS: 1500, Times: 1}},
	},
	{
		name: "stock reply lost", example: "good", end: completed,
		fault: &fault{"inventory", services.Fault{Step: "ReserveStock", LoseReply: true, Times: 1}},
	},
	{
		name: "payment down", example: "good", end: completed,
		fault: &fault{"payment", services.Fault{Step: "AuthorizePayment", Down: true, Times: 2}},
	},
	{
		name: "capture reply lost", example: "good", end: completed,
		fault: &fault{"payment", services.Fault{Step: "CapturePayment", LoseReply: true, Times: 1}},
	},
	{
		name: "invoicing flaky", example: "good", end: completed,
		fault: &fault{"invoicing", services.Fault{Step: "IssueInvoice", ErrorRate: 1, Times: 2}},
	},
}

// failing are the scenarios of orders that are undone: every example that is, the decisions against an order, and undos
// that go wrong at first.
var failing = slices.Concat(undoneExamples(), []scenario{
	{
		name: "review, rejected", example: "fraud-review", decision: reject,
		end: end{state: client.Compensated, cause: "rejected by " + person},
	},
	{
		name: "canceled", example: "fraud-review", decision: cancel,
		end: end{state: client.Compensated, cause: "canceled by " + person},
	},
	{
		name: "undo held up", example: "capture-declined", voucher: true, end: endOf("capture-declined"),
		fault: &fault{"shipping", services.Fault{Step: "BookShipment", On: services.Undo, Down: true, Times: 2}},
	},
	{
		name: "undo reply lost", example: "card-declined", voucher: true, end: endOf("card-declined"),
		fault: &fault{"fraud", services.Fault{Step: "ScreenFraud", On: services.Undo, LoseReply: true, Times: 1}},
	},
})

func undoneExamples() []scenario {
	var list []scenario
	for _, e := range examples.Orders {
		if e.State == compensation.Compensated {
			list = append(list, scenario{name: strings.ReplaceAll(e.Name, "-", " "), example: e.Name, end: endOf(e.Name)})
		}
	}
	return list
}

func endOf(example string) end {
	i := slices.IndexFunc(examples.Orders, func(e examples.Example) bool { return e.Name == example })
	return end{state: client.State(examples.Orders[i].State), refusedBy: examples.Orders[i].RefusedBy}
}

// mix chooses n scenarios, six in ten of them going, in random order. Every scenario comes once before any comes
// again, and one with a fault comes once at most; without faults those are left out.
func mix(r *rand.Rand, n int, faults bool) []scenario {
	good := (6*n + 5) / 10
	chosen := slices.Concat(
		pick(r, going, good, faults, func([]scenario) scenario { return going[0] }),
		pick(r, failing, n-good, faults, func(kinds []scenario) scenario { return kinds[r.IntN(len(kinds))] }),
	)
	r.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}

// pick chooses n of the kinds, each once; once they are used up, again chooses from those without a fault.
func pick(r *rand.Rand, kinds []scenario, n int, faults bool, again func([]scenario) scenario) []scenario {
	plain := slices.DeleteFunc(slices.Clone(kinds), func(s scenario) bool { return s.fault != nil })
	if !faults {
		kinds = plain
	}
	var chosen []scenario
	for _, i := range r.Perm(len(kinds))[:min(n, len(kinds))] {
		chosen = append(chosen, kinds[i])
	}
	for len(chosen) < n {
		chosen = append(chosen, again(plain))
	}
	return chosen
}
