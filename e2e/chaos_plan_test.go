package e2e_test

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services"
)

// participant is where a step's resources are: /<service>/<collection>/<key>.
type participant struct {
	step, service, collection string
	undoable                  bool
}

// participants are the steps of each collection of sagas.
var participants = map[string][]participant{
	"orders": {
		{"PriceOrder", "pricing", "quotes", true},
		{"ScreenFraud", "fraud", "screenings", true},
		{"ReserveStock", "inventory", "reservations", true},
		{"RedeemVoucher", "vouchers", "redemptions", true},
		{"HoldPoints", "loyalty", "holds", true},
		{"AuthorizePayment", "payment", "authorizations", true},
		{"BookShipment", "shipping", "shipments", true},
		{"CapturePayment", "payment", "captures", true},
		{"CommitStock", "inventory", "commitments", false},
		{"AwardPoints", "loyalty", "awards", false},
		{"IssueInvoice", "invoicing", "invoices", false},
		{"DispatchShipment", "shipping", "dispatches", false},
		{"NotifyCustomer", "notification", "messages", false},
	},
	"returns": {
		{"ApproveReturn", "invoicing", "return-approvals", true},
		{"BookReturn", "shipping", "returns", true},
		{"InspectGoods", "inventory", "inspections", true},
		{"RefundPayment", "payment", "refunds", true},
		{"RestockGoods", "inventory", "restocks", false},
		{"TakeBackPoints", "loyalty", "takebacks", false},
		{"IssueCreditNote", "invoicing", "credit-notes", false},
		{"NotifyCustomer", "notification", "messages", false},
	},
}

// errand is one saga of the crash test, and all that is done to it.
type errand struct {
	collection, file string
	request          document
	// wait is how long after the one before it is asked for.
	wait   time.Duration
	faults []services.Fault
	// cancels are when it is asked to turn back, counted from when it was accepted.
	cancels []time.Duration
	// tell is the resource that takes message, once the saga waits for a person.
	tell    string
	message any
	// end is the state in which it ends if it is not canceled; empty if chance decides.
	end string
	// then is the return of the order, once that is completed.
	then *errand
}

func (e *errand) path() string { return "/v1/" + e.collection + "/" + e.request.id() }

// key is the step's key in this saga.
func (e *errand) key(step string) string { return workflowID(e.path()) + ":" + step }

// uses tells whether the saga runs the step on its way forward.
func (e *errand) uses(step string) bool {
	switch step {
	case "RedeemVoucher":
		return e.request.fields["voucher"] != nil
	case "HoldPoints":
		return e.request.fields["points"] != nil
	}
	return true
}

// hurt adds a fault. A step has one fault each way; the last one counts.
func (e *errand) hurt(f services.Fault) {
	f.Match = e.key(f.Step)
	e.faults = slices.DeleteFunc(e.faults, func(o services.Fault) bool { return o.Step == f.Step && o.On == f.On })
	e.faults = append(e.faults, f)
}

// disturbance is what happens to a worker: it is killed and, a little later, another one is started, or it is stopped
// for longer than a workflow task may take and then goes on as if nothing had happened.
type disturbance struct {
	// It comes so long after the errand of this index was asked for.
	after int
	wait  time.Duration
	// stall is 0 for a kill.
	stall time.Duration
	// down is how long a killed worker is missing.
	down time.Duration
}

// chaosPlan is everything that the seed decides.
type chaosPlan struct {
	errands      []*errand
	disturbances []disturbance
}

func newChaosPlan(t *testing.T, seed uint64, sagas, kills int) chaosPlan {
	t.Helper()
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	source := rand.NewChaCha8(s)
	d := dice{rand.New(source), source, t}

	var plan chaosPlan
	disturb := func(k, n int, what disturbance) {
		what.after, what.wait = d.within(k, n, sagas), d.upTo(1500*time.Millisecond)
		plan.disturbances = append(plan.disturbances, what)
	}
	for k := range kills {
		disturb(k, kills, disturbance{down: d.upTo(500 * time.Millisecond)})
	}
	stalls := (kills + killsPerStall - 1) / killsPerStall
	for k := range stalls {
		disturb(k, stalls, disturbance{stall: shortestStall + d.upTo(longestStall-shortestStall)})
	}
	slices.SortStableFunc(plan.disturbances, func(a, b disturbance) int { return a.after - b.after })

	due := plan.disturbances
	for i := range sagas {
		for len(due) > 0 && due[0].after < i {
			due = due[1:]
		}
		plan.errands = append(plan.errands, d.order(i, len(due) > 0 && due[0].after-wave < i))
	}
	return plan
}

// kindOfFault is what figures call it.
func kindOfFault(f services.Fault) string {
	switch {
	case f.LateMS > 0:
		return "late"
	case f.LoseReply:
		return "reply lost"
	case f.Down || f.ErrorRate > 0:
		return "error"
	case f.Refuse:
		return "refused"
	}
	return "slow"
}

// counted is figures in words, the names in order.
func counted(figures map[string]int) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		text += ", " + name + " " + strconv.Itoa(figures[name])
	}
	return text
}

// The same seed is the same plan, and a plan has everything that the crash test is about.
func TestChaosPlan(t *testing.T) {
	t.Parallel()

	plan := newChaosPlan(t, 7, 300, 10)
	require.Equal(t, plan, newChaosPlan(t, 7, 300, 10))
	require.NotEqual(t, plan, newChaosPlan(t, 8, 300, 10))

	seen := map[string]int{}
	for _, e := range plan.errands {
		seen[e.file]++
		for _, f := range e.faults {
			seen[string(f.On)+" "+kindOfFault(f)]++
		}
		if len(e.cancels) > 0 {
			seen["canceled "+strconv.Itoa(len(e.cancels))]++
		}
		if e.then != nil {
			seen["returned"]++
		}
	}
	for _, kind := range orderLoad {
		require.NotZero(t, seen[kind.file], kind.file)
	}
	for _, what := range []string{
		"do late", "do reply lost", "do error", "do slow", "do refused", "undo late", "undo reply lost", "undo error",
		"canceled 1", "canceled 2", "returned",
	} {
		require.NotZero(t, seen[what], what)
	}
	kills := 0
	for i, d := range plan.disturbances {
		if d.stall == 0 {
			require.Equal(t, kills, d.after/30, "one kill for each thirty sagas")
			kills++
		}
		require.Less(t, d.after, 300)
		require.GreaterOrEqual(t, d.after, plan.disturbances[max(i-1, 0)].after)
	}
	require.Equal(t, 10, kills)
	require.Len(t, plan.disturbances, 12)
}
