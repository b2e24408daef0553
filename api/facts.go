package api

import (
	"cmp"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// fact is something of an order or a return, in business words.
type fact struct {
	What string  `json:"what" doc:"What it is about." example:"payment"`
	Is   factual `json:"is" doc:"How it stands. open: nothing is known of it so far. unsettled: it may or may not have happened; the saga finds out. none: it has not happened, and will not. unknown: the saga was ended from outside, so nobody can say. being_…: what was done is being undone. The others are facts." example:"charged"`

	Amount    *order.Money `json:"amount,omitempty" doc:"The money that it is about. Here and below, what was undone tells what it was; where it is not known, or not what this is about, it is absent."`
	Points    int64        `json:"points,omitempty" doc:"The loyalty points that it is about." example:"200"`
	Lines     []order.Line `json:"lines,omitempty" nullable:"false" doc:"The articles that it is about."`
	Carrier   string       `json:"carrier,omitempty" doc:"Who carries it." example:"parcel"`
	Tracking  string       `json:"tracking,omitempty" doc:"The carrier's number for it." example:"PA-00000042"`
	Reference string       `json:"reference,omitempty" doc:"What the service calls it, such as an invoice's number." example:"2026-000042"`
}

// factual is how something stands.
type factual string

const (
	factOpen      factual = "open"
	factUnsettled factual = "unsettled"
	factNone      factual = "none"
	factUnknown   factual = "unknown"
	beingPrefix           = "being_"
)

// Schema implements [huma.SchemaProvider].
func (factual) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	seen := map[factual]bool{}
	add := func(words ...factual) {
		for _, word := range words {
			if !seen[word] {
				seen[word] = true
				s.Enum = append(s.Enum, string(word))
			}
		}
	}
	add(factOpen, factUnsettled, factNone, factUnknown)
	for _, c := range collections {
		for _, m := range c.matters {
			for _, st := range m.stages {
				add(st.done)
				if st.undone != "" {
					add(beingPrefix+st.undone, st.undone)
				}
			}
		}
	}
	s.PrecomputeMessages()
	return s
}

// matter is what a fact is about, and the steps that change it, in the saga's order. Where the first one has no effect, the
// others have none on it.
type matter struct {
	what   string
	stages []stage
}

// stage is what a step makes of a matter.
type stage struct {
	step string
	// undone is empty for a step that nothing undoes.
	done, undone factual
	// from is an earlier step whose result tells what this one's leaves out; empty for none.
	from string
}

// orderMatters and returnMatters are what people ask about.
var (
	orderMatters = []matter{
		{"payment", []stage{
			{step: "AuthorizePayment", done: "held", undone: "released"},
			{step: "CapturePayment", done: "charged"},
		}},
		{"stock", []stage{
			{step: "ReserveStock", done: "reserved", undone: "released", from: "PriceOrder"},
			{step: "CommitStock", done: "sold", from: "PriceOrder"},
		}},
		{"voucher", []stage{
			{step: "RedeemVoucher", done: "redeemed", undone: "restored"},
		}},
		{"points", []stage{
			{step: "HoldPoints", done: "held", undone: "released"},
			{step: "AwardPoints", done: "spent", from: "HoldPoints"},
		}},
		{"shipment", []stage{
			{step: "BookShipment", done: "booked", undone: "canceled"},
			{step: "DispatchShipment", done: "dispatched", from: "BookShipment"},
		}},
		{"invoice", []stage{
			{step: "IssueInvoice", done: "issued"},
		}},
	}
	returnMatters = []matter{
		{"return", []stage{
			{step: "BookReturn", done: "booked", undone: "canceled", from: "ApproveReturn"},
		}},
		{"goods", []stage{
			{step: "InspectGoods", done: "inspected", undone: "withdrawn", from: "ApproveReturn"},
			{step: "RestockGoods", done: "restocked", from: "ApproveReturn"},
		}},
		{"payment", []stage{
			{step: "RefundPayment", done: "refunded"},
		}},
		{"points", []stage{
			{step: "TakeBackPoints", done: "taken_back"},
		}},
		{"credit_note", []stage{
			{step: "IssueCreditNote", done: "issued"},
		}},
	}
)

// factsOf are the facts that a saga's steps come to. They say no more than its history does.
func factsOf(matters []matter, status compensation.Status) []fact {
	facts := make([]fact, len(matters))
	for i, m := range matters {
		facts[i] = m.fact(status)
	}
	return facts
}

// fact is what the last stage says that says something.
func (m matter) fact(status compensation.Status) fact {
	if status.State == compensation.Terminated {
		// An express step leaves no trace before its task is over, and what is known may be undone by now.
		return fact{What: m.what, Is: factUnknown}
	}
	first := m.stages[0].stands(stepOf(status, m.stages[0].step))
	for i, g := range slices.Backward(m.stages) {
		st := stepOf(status, g.step)
		is := g.stands(st)
		if is == "" || (i > 0 && first == "") {
			continue
		}
		f := fact{What: m.what, Is: is}
		if is != factUnsettled {
			f.tell(workflows.DetailsOf(g.step, st.Result))
			f.tell(workflows.DetailsOf(g.from, stepOf(status, g.from).Result))
		}
		return f
	}
	if status.State.Ended() {
		return fact{What: m.what, Is: factNone}
	}
	return fact{What: m.what, Is: factOpen}
}

// stepOf is the step with that name; one that does nothing if there is none. None that facts are made of has items.
func stepOf(status compensation.Status, name string) compensation.StepStatus {
	i := slices.IndexFunc(status.Steps, func(st compensation.StepStatus) bool { return st.Name == name })
	if i < 0 {
		return compensation.StepStatus{}
	}
	return status.Steps[i]
}

// tell adds what is not told yet.
func (f *fact) tell(d workflows.Details) {
	f.Amount = cmp.Or(f.Amount, d.Amount)
	f.Points = cmp.Or(f.Points, d.Points)
	f.Carrier = cmp.Or(f.Carrier, d.Carrier)
	f.Tracking = cmp.Or(f.Tracking, d.Tracking)
	f.Reference = cmp.Or(f.Reference, d.Reference)
	if f.Lines == nil {
		f.Lines = d.Lines
	}
}

// stands is the word for a step; "" for one that has left nothing.
func (g stage) stands(st compensation.StepStatus) factual {
	switch st.Undo {
	case compensation.UndoDone, compensation.UndoMarkedDone:
		if st.Do == compensation.DoDone || st.Do == compensation.DoMarkedDone {
			return g.undone
		}
		return ""
	case compensation.UndoPrevented:
		return ""
	case compensation.UndoWaiting, compensation.UndoRunning, compensation.UndoFailed:
		if st.Do == compensation.DoDone || st.Do == compensation.DoMarkedDone {
			return beingPrefix + g.undone
		}
		return factUnsettled
	case compensation.UndoNone, compensation.UndoSkipped:
	}
	switch st.Do {
	case compensation.DoDone, compensation.DoMarkedDone:
		return g.done
	case compensation.DoRunning, compensation.DoUnknown:
		return factUnsettled
	case compensation.DoWaiting, compensation.DoRefused, compensation.DoNotRun, compensation.DoSkipped:
	}
	return ""
}
