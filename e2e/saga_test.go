package e2e_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// saga is an order or a return as the API shows it.
type saga struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Cause   string `json:"cause"`
	TraceID string `json:"trace_id"`
	Steps   []step `json:"steps"`
	Facts   []struct {
		What      string          `json:"what"`
		Is        string          `json:"is"`
		Amount    json.RawMessage `json:"amount"`
		Tracking  string          `json:"tracking"`
		Reference string          `json:"reference"`
	} `json:"facts"`
	Waits []struct {
		For string `json:"for"`
	} `json:"waits"`
	Parked []parkedStep `json:"parked"`
	Acts   []struct {
		Act    string `json:"act"`
		By     string `json:"by"`
		Reason string `json:"reason"`
	} `json:"acts"`
	Result json.RawMessage   `json:"result"`
	Links  map[string]string `json:"links"`
}

// parkedStep is something that waits for an operator.
type parkedStep struct {
	Step   string    `json:"step"`
	Part   string    `json:"part"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

type step struct {
	Name         string `json:"name"`
	Item         string `json:"item"`
	Kind         string `json:"kind"`
	Do           string `json:"do"`
	Undo         string `json:"undo"`
	Attempts     int    `json:"attempts"`
	UndoAttempts int    `json:"undo_attempts"`
	Error        string `json:"error"`
}

func (s saga) step(name string) step {
	i := slices.IndexFunc(s.Steps, func(st step) bool { return st.Name == name })
	if i < 0 {
		return step{}
	}
	return s.Steps[i]
}

// requireFactsFit requires that the facts of a saga that has ended are those of its end.
func (s saga) requireFactsFit(tb testing.TB) {
	tb.Helper()
	settled := map[string][]string{
		"completed":                   {"charged", "sold", "redeemed", "spent", "dispatched", "issued", "booked", "restocked", "refunded", "taken_back", "none"},
		"compensated":                 {"released", "restored", "canceled", "withdrawn", "none"},
		"compensated_with_exceptions": {"held", "reserved", "redeemed", "booked", "inspected", "released", "restored", "canceled", "withdrawn", "none"},
	}[s.State]
	require.NotEmpty(tb, s.Facts)
	for _, f := range s.Facts {
		require.Contains(tb, settled, f.Is, "%s of a saga that is %s", f.What, s.State)
		if s.State != "completed" {
			continue
		}
		// The result has the same.
		switch f.What {
		case "payment":
			require.Contains(tb, []string{"charged", "refunded"}, f.Is)
			require.Contains(tb, string(s.Result), `":`+string(f.Amount)+`,`)
			require.Contains(tb, string(s.Result), `"`+f.Reference+`"`)
		case "shipment":
			require.Contains(tb, string(s.Result), `"tracking":"`+f.Tracking+`"`)
		case "invoice", "credit_note":
			require.Contains(tb, string(s.Result), `_number":"`+f.Reference+`"`)
		}
	}
}

// acts are what operators did, in words.
func (s saga) acts() []string {
	var acts []string
	for _, a := range s.Acts {
		acts = append(acts, a.Act+" by "+a.By+": "+a.Reason)
	}
	return acts
}

// undone are the steps that were undone.
func (s saga) undone() []string {
	var names []string
	for _, st := range s.Steps {
		if st.Undo == "done" {
			names = append(names, st.Name)
		}
	}
	return names
}
