package e2e_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services"
)

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

// The plan's measures. The load keeps some forty sagas in flight.
const (
	meanWait = 120 * time.Millisecond
	// meanStep is about how long a step takes that meets no fault.
	meanStep = 150 * time.Millisecond
	// wave is how many sagas are asked for at once before each disturbance. They are slow, so that it meets them half
	// way through their first workflow task, of which nothing is recorded yet.
	wave = 8
	// lastCall is the latest that a late call arrives.
	lastCall = 6 * time.Second
	// What a worker does not finish is given to another one: a workflow task after five seconds, an activity after ten.
	shortestStall, longestStall = 6 * time.Second, 14 * time.Second
	killsPerStall               = 5
)

// dice draws what the plan is made of.
type dice struct {
	*rand.Rand
	source *rand.ChaCha8
	t      *testing.T
}

// within is a number in the k-th of n equal parts of 0 to total.
func (d dice) within(k, n, total int) int { return (k*total + d.IntN(max(total, 1))) / n }

func (d dice) upTo(most time.Duration) time.Duration { return time.Duration(d.Int64N(int64(most))) }

func (d dice) percent(share int) bool { return d.IntN(100) < share }

// order draws the i-th order, which may be one of a wave.
func (d dice) order(i int, ofWave bool) *errand {
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
		e.request.fields["voucher"] = unusedVoucher(i + 1)
	case "fraud-review":
		approved := d.percent(70)
		e.tell, e.message = "/approval", map[string]any{"approved": approved, "by": "grace"}
		if !approved {
			e.end = "compensated"
		}
	}
	switch {
	case ofWave:
		e.wait = d.upTo(meanWait / 4)
		d.slow(e)
		d.cancel(e, 60, 3*time.Second)
	case (e.file == "voucher-used" || e.file == "not-enough-points") && d.percent(70):
		// The step beside the one that is refused: it is undone before its calls arrive.
		e.hurt(d.lateDo("ReserveStock"))
	case e.file == "good" && d.percent(15):
		d.trouble(e)
		e.then = d.giveBack(e)
	default:
		d.trouble(e)
		d.cancelLate(e)
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
	d.cancelLate(e)
	return e
}

// example reads a file of examples/ and gives the order or return an ID that the seed decides.
func (d dice) example(file string) document {
	doc := example(d.t, file)
	id, err := uuid.NewRandomFromReader(d.source)
	require.NoError(d.t, err)
	doc.key = id.String()
	return doc
}

// cancel lets a share of the sagas be canceled within that time, some twice.
func (d dice) cancel(e *errand, share int, within time.Duration) {
	if !d.percent(share) {
		return
	}
	e.cancels = []time.Duration{d.upTo(within)}
	if d.percent(30) {
		e.cancels = append(e.cancels, e.cancels[0]+d.upTo(500*time.Millisecond))
	}
}

// cancelLate lets a share of the sagas have a step whose calls are all late, and be canceled about then, so that its
// undo comes first.
func (d dice) cancelLate(e *errand) {
	d.cancel(e, 25, 2*time.Second)
	if len(e.cancels) == 0 {
		return
	}
	i, p := d.step(e, func(p participant) bool { return p.undoable })
	e.hurt(d.lateDo(p.step))
	for k := range e.cancels {
		e.cancels[k] += time.Duration(i) * meanStep
	}
}

// step draws one of the saga's steps.
func (d dice) step(e *errand, wanted func(participant) bool) (int, participant) {
	steps := participants[e.collection]
	for {
		if i := d.IntN(len(steps)); wanted(steps[i]) {
			return i, steps[i]
		}
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

// slow makes some steps slow, though not too slow for an express step: either before the pivot, or after it, where it is
// too late to turn back.
func (d dice) slow(e *errand) {
	before := d.percent(60)
	for range 3 {
		_, p := d.step(e, func(p participant) bool { return p.undoable == before })
		e.hurt(services.Fault{Step: p.step, On: services.Do, LatencyMS: 200 + d.IntN(700), Times: 1 + d.IntN(2)})
	}
}

// trouble gives the saga slow steps and up to three faults.
func (d dice) trouble(e *errand) {
	for range 2 {
		_, p := d.step(e, func(participant) bool { return true })
		e.hurt(services.Fault{Step: p.step, On: services.Do, LatencyMS: 100 + d.IntN(1000), Times: 1 + d.IntN(2)})
	}
	for range d.IntN(4) {
		_, p := d.step(e, func(participant) bool { return true })
		f := services.Fault{Step: p.step, On: services.Do, Times: 1 + d.IntN(3)}
		if p.undoable && d.percent(35) {
			f.On = services.Undo
		}
		switch d.IntN(6) {
		case 0:
			f.Down, f.RetryAfterS = true, d.IntN(2)
		case 1:
			f.ErrorRate = 1
		case 2, 3:
			f.LoseReply = true
		case 4:
			f.LateMS = d.late(200 * time.Millisecond)
		default:
			// What is refused at first and would be done later. After the pivot, and for an undo, a refusal needs a person.
			if f.On == services.Undo || !p.undoable {
				continue
			}
			f.Refuse, f.Times, e.end = true, 1, ""
		}
		e.hurt(f)
	}
}
