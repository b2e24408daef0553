package e2e_test

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
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

// orderLoad is what is ordered: a file of examples/orders, how often of a hundred, and the state in which it ends if
// nobody cancels it.
var orderLoad = []struct {
	file  string
	share int
	end   string
}{
	{"good", 42, "completed"},
	{"good-with-voucher-and-points", 20, "completed"},
	{"fraud-review", 6, "completed"},
	{"unknown-sku", 2, "compensated"},
	{"fraud-suspected", 2, "compensated"},
	{"out-of-stock", 4, "compensated"},
	{"voucher-used", 3, "compensated"},
	{"not-enough-points", 4, "compensated"},
	{"overpaid", 2, "compensated"},
	{"card-declined", 5, "compensated"},
	{"no-carrier", 5, "compensated"},
	{"capture-declined", 5, "compensated"},
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
	// end is the state in which it ends if it is not canceled.
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
		return e.request["voucher"] != nil
	case "HoldPoints":
		return e.request["points"] != nil
	}
	return true
}

// disturbance is what happens to a worker: it is killed and, a little later, another one is started, or it is stopped
// for longer than a workflow task may take and then goes on as if nothing had happened.
type disturbance struct {
	// after is the errand that is asked for just before.
	after int
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

// The plan's measures. The load keeps about twenty sagas in flight.
const (
	meanWait = 80 * time.Millisecond
	// meanStep is about how long a step takes that meets no fault.
	meanStep = 150 * time.Millisecond
	// lastCall is the latest that a late call arrives.
	lastCall = 6 * time.Second
	// A workflow task that its worker does not finish is given to another one after ten seconds.
	shortestStall, longestStall = 10 * time.Second, 14 * time.Second
	killsPerStall               = 5
)

// dice draws what the plan is made of.
type dice struct {
	*rand.Rand
	source *rand.ChaCha8
	t      *testing.T
}

func newChaosPlan(t *testing.T, seed uint64, sagas, kills int) chaosPlan {
	t.Helper()
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	source := rand.NewChaCha8(s)
	d := dice{rand.New(source), source, t}

	var plan chaosPlan
	for i := range sagas {
		plan.errands = append(plan.errands, d.order(i))
	}
	for k := range kills {
		plan.disturbances = append(plan.disturbances, disturbance{after: d.within(k, kills, sagas), down: d.upTo(500 * time.Millisecond)})
	}
	stalls := (kills + killsPerStall - 1) / killsPerStall
	for k := range stalls {
		plan.disturbances = append(plan.disturbances, disturbance{
			after: d.within(k, stalls, sagas), stall: shortestStall + d.upTo(longestStall-shortestStall),
		})
	}
	slices.SortStableFunc(plan.disturbances, func(a, b disturbance) int { return a.after - b.after })
	return plan
}

// within is a number in the k-th of n equal parts of 0 to total.
func (d dice) within(k, n, total int) int { return (k*total + d.IntN(max(total, 1))) / n }

func (d dice) upTo(most time.Duration) time.Duration { return time.Duration(d.Int64N(int64(most))) }

func (d dice) percent(share int) bool { return d.IntN(100) < share }

// order draws the i-th order.
func (d dice) order(i int) *errand {
	pick, kind := d.IntN(100), 0
	for pick >= orderLoad[kind].share {
		pick -= orderLoad[kind].share
		kind++
	}
	e := &errand{
		collection: "orders", file: orderLoad[kind].file, end: orderLoad[kind].end,
		request: d.example("orders/" + orderLoad[kind].file + ".json"), wait: d.upTo(2 * meanWait),
	}
	switch e.file {
	case "good-with-voucher-and-points":
		e.request["voucher"] = unusedVoucher(i + 1)
	case "fraud-review":
		approved := d.percent(70)
		e.tell, e.message = "/approval", map[string]any{"approved": approved, "by": "grace"}
		if !approved {
			e.end = "compensated"
		}
	case "good":
		if d.percent(12) {
			e.then = d.giveBack(e)
		}
	}
	d.trouble(e)
	switch {
	case e.file == "voucher-used" || e.file == "not-enough-points":
		// The step beside the one that is refused: it is undone before its calls arrive.
		if d.percent(70) {
			e.hurt(d.lateDo("ReserveStock"))
		}
	case e.then == nil:
		d.cancel(e)
	}
	return e
}

// giveBack draws the return of an order.
func (d dice) giveBack(of *errand) *errand {
	e := &errand{collection: "returns", file: "good", end: "completed"}
	condition := "resalable"
	switch {
	case d.percent(25):
		e.end, condition = "compensated", "damaged"
	case d.percent(15):
		e.end, e.file = "compensated", "not-ordered"
	}
	e.request = d.example("returns/"+e.file+".json").with("order_id", of.request.id())
	e.tell, e.message = "/arrival", map[string]any{"condition": condition, "by": "dock 4"}
	d.trouble(e)
	d.cancel(e)
	return e
}

// example reads a file of examples/ and gives the order or return an ID that the seed decides.
func (d dice) example(file string) document {
	doc := example(d.t, file)
	id, err := uuid.NewRandomFromReader(d.source)
	require.NoError(d.t, err)
	doc["id"] = id.String()
	return doc
}

// cancel lets a quarter of the sagas be canceled, some twice. Most of these have a step whose calls are all late, about
// when it is canceled, so that its undo comes first.
func (d dice) cancel(e *errand) {
	if !d.percent(25) {
		return
	}
	when := d.upTo(2500 * time.Millisecond)
	if d.percent(70) {
		steps := participants[e.collection]
		i := d.IntN(len(steps))
		for !steps[i].undoable {
			i = d.IntN(len(steps))
		}
		e.hurt(d.lateDo(steps[i].step))
		when = time.Duration(i)*meanStep + d.upTo(2*time.Second)
	}
	e.cancels = []time.Duration{when}
	if d.percent(30) {
		e.cancels = append(e.cancels, when+d.upTo(500*time.Millisecond))
	}
}

// lateDo makes every try of a step late.
func (d dice) lateDo(step string) services.Fault {
	return services.Fault{Step: step, On: services.Do, LateMS: d.late(2 * time.Second), Times: 6}
}

// late is how late a call is, in milliseconds.
func (d dice) late(least time.Duration) int {
	return int((least + d.upTo(lastCall-least)).Milliseconds())
}

// trouble gives the saga some slow steps, so that it is in flight for a while, and up to three faults.
func (d dice) trouble(e *errand) {
	steps := participants[e.collection]
	for range 2 {
		e.hurt(services.Fault{Step: steps[d.IntN(len(steps))].step, On: services.Do, LatencyMS: 100 + d.IntN(900), Times: 1 + d.IntN(2)})
	}
	for range d.IntN(4) {
		p := steps[d.IntN(len(steps))]
		f := services.Fault{Step: p.step, On: services.Do, Times: 1 + d.IntN(3)}
		if p.undoable && d.percent(35) {
			f.On = services.Undo
		}
		switch d.IntN(5) {
		case 0:
			f.Down, f.RetryAfterS = true, d.IntN(2)
		case 1:
			f.ErrorRate = 1
		case 2, 3:
			f.LoseReply = true
		default:
			f.LateMS = d.late(200 * time.Millisecond)
		}
		e.hurt(f)
	}
}

// hurt adds a fault. A step has one fault each way; the last one counts.
func (e *errand) hurt(f services.Fault) {
	f.Match = e.key(f.Step)
	e.faults = slices.DeleteFunc(e.faults, func(o services.Fault) bool { return o.Step == f.Step && o.On == f.On })
	e.faults = append(e.faults, f)
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
		"do late", "do reply lost", "do error", "do slow", "undo late", "undo reply lost", "undo error",
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
