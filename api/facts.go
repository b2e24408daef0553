package api

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/amends-dev/amends/compensation"
)

// fact is something of an order or a return, in business words.
type fact struct {
	What string  `json:"what" doc:"What it is about." example:"payment"`
	Is   factual `json:"is" doc:"How it stands. open: nothing is known of it so far. unsettled: it may or may not have happened; the saga finds out. none: it has not happened, and will not. unknown: the saga was ended from outside, so nobody can say. being_…: what was done is being undone. The others are facts." example:"charged"`
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

// matter is what a fact is about, and the steps that change it, in the saga's order.
type matter struct {
	what   string
	stages []stage
}

// stage is what a step makes of a matter. undone is empty for a step that nothing undoes.
type stage struct {
	step         string
	done, undone factual
}

// orderMatters and returnMatters are what people ask about.
var (
	orderMatters = []matter{
		{"payment", []stage{{"AuthorizePayment", "held", "released"}, {"CapturePayment", "charged", ""}}},
		{"stock", []stage{{"ReserveStock", "reserved", "released"}, {"CommitStock", "sold", ""}}},
		{"voucher", []stage{{"RedeemVoucher", "redeemed", "restored"}}},
		{"points", []stage{{"HoldPoints", "held", "released"}}},
		{"shipment", []stage{{"BookShipment", "booked", "canceled"}, {"DispatchShipment", "dispatched", ""}}},
		{"invoice", []stage{{"IssueInvoice", "issued", ""}}},
	}
	returnMatters = []matter{
		{"return", []stage{{"BookReturn", "booked", "canceled"}}},
		{"goods", []stage{{"InspectGoods", "inspected", "withdrawn"}, {"RestockGoods", "restocked", ""}}},
		{"payment", []stage{{"RefundPayment", "refunded", ""}}},
		{"points", []stage{{"TakeBackPoints", "taken_back", ""}}},
		{"credit_note", []stage{{"IssueCreditNote", "issued", ""}}},
	}
)

// factsOf are the facts that a saga's steps come to. They say no more than its history does.
func factsOf(matters []matter, status compensation.Status) []fact {
	facts := make([]fact, len(matters))
	for i, m := range matters {
		facts[i] = fact{m.what, m.stands(status)}
	}
	return facts
}

// stands is the word of the last stage that has one.
func (m matter) stands(status compensation.Status) factual {
	if status.State == compensation.Terminated {
		return factUnknown // an express step leaves no trace before its task is over, and what is known may be undone by now
	}
	for i := len(m.stages) - 1; i >= 0; i-- {
		for _, st := range status.Steps {
			if st.Name != m.stages[i].step {
				continue
			}
			if is := m.stages[i].stands(st); is != "" {
				return is
			}
		}
	}
	if status.State.Ended() {
		return factNone
	}
	return factOpen
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
