package api

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/workflows"
)

// What is told of the payment never says more than what its two steps say.
func TestFacts(t *testing.T) {
	t.Parallel()
	type outcome struct {
		do   compensation.DoState
		undo compensation.UndoState
	}
	none := outcome{compensation.DoWaiting, compensation.UndoNone}
	done := outcome{compensation.DoDone, compensation.UndoNone}
	for name, tt := range map[string]struct {
		state              compensation.State
		authorize, capture outcome
		want               factual
	}{
		"not begun":                     {compensation.Running, none, none, "open"},
		"being authorized":              {compensation.Running, outcome{compensation.DoRunning, compensation.UndoNone}, none, "unsettled"},
		"authorized":                    {compensation.Running, done, none, "held"},
		"being captured":                {compensation.Running, done, outcome{compensation.DoRunning, compensation.UndoNone}, "unsettled"},
		"captured, or not":              {compensation.Parked, done, outcome{compensation.DoUnknown, compensation.UndoNone}, "unsettled"},
		"captured":                      {compensation.Running, done, done, "charged"},
		"captured by hand":              {compensation.Completed, done, outcome{compensation.DoMarkedDone, compensation.UndoNone}, "charged"},
		"turned back":                   {compensation.Compensating, outcome{compensation.DoDone, compensation.UndoWaiting}, outcome{compensation.DoRefused, compensation.UndoNone}, "being_released"},
		"being undone":                  {compensation.Compensating, outcome{compensation.DoDone, compensation.UndoRunning}, none, "being_released"},
		"undo parked":                   {compensation.Parked, outcome{compensation.DoDone, compensation.UndoFailed}, none, "being_released"},
		"undone":                        {compensation.Compensated, outcome{compensation.DoDone, compensation.UndoDone}, outcome{compensation.DoNotRun, compensation.UndoPrevented}, "released"},
		"undone by hand":                {compensation.Compensated, outcome{compensation.DoDone, compensation.UndoMarkedDone}, none, "released"},
		"left standing":                 {compensation.CompensatedWithExceptions, outcome{compensation.DoDone, compensation.UndoSkipped}, none, "held"},
		"left standing, unknown":        {compensation.CompensatedWithExceptions, outcome{compensation.DoUnknown, compensation.UndoSkipped}, none, "unsettled"},
		"unknown, being undone":         {compensation.Compensating, outcome{compensation.DoUnknown, compensation.UndoRunning}, none, "unsettled"},
		"unknown, undone":               {compensation.Compensated, outcome{compensation.DoUnknown, compensation.UndoDone}, none, "none"},
		"refused":                       {compensation.Compensated, outcome{compensation.DoRefused, compensation.UndoNone}, none, "none"},
		"refused on the second try":     {compensation.Compensated, outcome{compensation.DoRefused, compensation.UndoDone}, none, "none"},
		"prevented":                     {compensation.Compensated, outcome{compensation.DoNotRun, compensation.UndoPrevented}, none, "none"},
		"skipped":                       {compensation.Completed, done, outcome{compensation.DoSkipped, compensation.UndoNone}, "held"},
		"captured, of no authorization": {compensation.Running, none, done, "open"},
		"terminated":                    {compensation.Terminated, none, none, "unknown"},
		"terminated after it was done":  {compensation.Terminated, done, done, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := factsOf(orderMatters, compensation.Status{State: tt.state, Steps: []compensation.StepStatus{
				{Name: "AuthorizePayment", Do: tt.authorize.do, Undo: tt.authorize.undo, Result: resultOf(t, `{"authorization_id":"a","amount":{"amount":1,"currency":"EUR"}}`)},
				{Name: "CapturePayment", Do: tt.capture.do, Undo: tt.capture.undo, Result: resultOf(t, `{"capture_id":"c","amount":{"amount":2,"currency":"EUR"}}`)},
			}})
			want := fact{What: "payment", Is: tt.want}
			if tt.want == "charged" {
				want.Amount, want.Reference = &order.Money{Amount: 2, Currency: "EUR"}, "c"
			} else if slices.Contains([]factual{"held", "released", "being_released"}, tt.want) {
				want.Amount, want.Reference = &order.Money{Amount: 1, Currency: "EUR"}, "a"
			}
			require.Equal(t, want, facts[0])
			require.Contains(t, factual("").Schema(nil).Enum, string(tt.want))
		})
	}
}

// A step's own result is told, and the other step's where it leaves something out.
func TestOwnDetailsComeFirst(t *testing.T) {
	t.Parallel()
	own := fact{
		What: "x", Is: "y", Amount: &order.Money{Amount: 1}, Points: 1, Lines: []order.Line{{SKU: "A"}}, Carrier: "a", Tracking: "a", Reference: "a",
	}
	other := workflows.Details{Amount: &order.Money{Amount: 2}, Points: 2, Lines: []order.Line{{SKU: "B"}}, Carrier: "b", Tracking: "b", Reference: "b"}
	told := own
	told.tell(other)
	require.Equal(t, own, told)

	var none fact
	none.tell(other)
	require.Equal(t, fact{Amount: other.Amount, Points: 2, Lines: other.Lines, Carrier: "b", Tracking: "b", Reference: "b"}, none)
}

func resultOf(t *testing.T, text string) *commonpb.Payloads {
	t.Helper()
	result, err := converter.GetDefaultDataConverter().ToPayloads(json.RawMessage(text))
	require.NoError(t, err)
	return result
}

// What recorded sagas tell. The histories have results of ordinary activities (revision 1) and of express steps.
func TestFactsOfRecordedSagas(t *testing.T) {
	t.Parallel()
	number := regexp.MustCompile(`("(?:reference|tracking)":"\w+)-[^"]+"`) // another one in each recording
	const (
		tea     = `"lines":[{"sku":"TEA-EARL-GREY","quantity":2},{"sku":"CUP-PORCELAIN","quantity":4}]`
		teapots = `"lines":[{"sku":"TEAPOT-IRON","quantity":1},{"sku":"TEA-SENCHA","quantity":1}]`
	)
	completed := []string{
		`{"what":"payment","is":"charged","amount":{"amount":6300,"currency":"EUR"},"reference":"cap-…"}`,
		`{"what":"stock","is":"sold",` + tea + `,"reference":"com-…"}`,
		`{"what":"voucher","is":"none"}`,
		`{"what":"points","is":"none"}`,
		`{"what":"shipment","is":"dispatched","carrier":"parcel","tracking":"PARCEL-…","reference":"shipment-…"}`,
		`{"what":"invoice","is":"issued","reference":"INV-…"}`,
	}
	for file, want := range map[string][]string{
		"revision-1/PlaceOrder/completed": completed,
		"revision-2/PlaceOrder/completed": completed,
		"revision-2/PlaceOrder/completed-with-voucher-and-points": {
			`{"what":"payment","is":"charged","amount":{"amount":6140,"currency":"EUR"},"reference":"cap-…"}`,
			`{"what":"stock","is":"sold",` + teapots + `,"reference":"com-…"}`,
			`{"what":"voucher","is":"redeemed","amount":{"amount":500,"currency":"EUR"},"reference":"SPRING-…"}`,
			`{"what":"points","is":"spent","amount":{"amount":150,"currency":"EUR"},"points":150,"reference":"hold-…"}`,
			`{"what":"shipment","is":"dispatched","carrier":"express","tracking":"EXPRESS-…","reference":"shipment-…"}`,
			`{"what":"invoice","is":"issued","reference":"INV-…"}`,
		},
		"revision-2/PlaceOrder/refused-at-capture-payment": {
			`{"what":"payment","is":"released","amount":{"amount":5900,"currency":"EUR"},"reference":"auth-…"}`,
			`{"what":"stock","is":"released","lines":[{"sku":"TEAPOT-IRON","quantity":1}],"reference":"res-…"}`,
			`{"what":"voucher","is":"none"}`,
			`{"what":"points","is":"none"}`,
			`{"what":"shipment","is":"canceled","carrier":"parcel","tracking":"PARCEL-…","reference":"shipment-…"}`,
			`{"what":"invoice","is":"none"}`,
		},
		"revision-3/PlaceOrder/pivot-marked-happened": completed,
		"revision-3/PlaceOrder/pivot-marked-prevented": {
			`{"what":"payment","is":"released","amount":{"amount":6300,"currency":"EUR"},"reference":"auth-…"}`,
			`{"what":"stock","is":"released",` + tea + `,"reference":"res-…"}`,
			`{"what":"voucher","is":"none"}`,
			`{"what":"points","is":"none"}`,
			`{"what":"shipment","is":"canceled","carrier":"parcel","tracking":"PARCEL-…","reference":"shipment-…"}`,
			`{"what":"invoice","is":"none"}`,
		},
		"revision-2/ReturnOrder/completed": {
			`{"what":"return","is":"booked",` + tea + `,"carrier":"parcel","tracking":"PARCEL-…","reference":"return-…"}`,
			`{"what":"goods","is":"restocked",` + tea + `,"reference":"rest-…"}`,
			`{"what":"payment","is":"refunded","amount":{"amount":6300,"currency":"EUR"},"reference":"ref-…"}`,
			`{"what":"points","is":"taken_back","points":63}`,
			`{"what":"credit_note","is":"issued","reference":"CN-…"}`,
		},
		"revision-2/PlaceOrder/parked-and-skipped": {
			`{"what":"payment","is":"none"}`,
			`{"what":"stock","is":"reserved","lines":[{"sku":"TEAPOT-IRON","quantity":1},{"sku":"CUP-PORCELAIN","quantity":6}],"reference":"res-…"}`,
			`{"what":"voucher","is":"none"}`,
			`{"what":"points","is":"released","amount":{"amount":100,"currency":"EUR"},"points":100,"reference":"hold-…"}`,
			`{"what":"shipment","is":"none"}`,
			`{"what":"invoice","is":"none"}`,
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			c := collections[0]
			if strings.Contains(file, workflows.TypeReturnOrder) {
				c = collections[1]
			}
			status, err := compensation.ReadEndedStatus(t.Context(), recorded{file: "../workflows/testdata/" + file + ".json"}, c.plan, "saga", "")
			require.NoError(t, err)
			var told []string
			for _, f := range factsOf(c.matters, status) {
				text, err := json.Marshal(f)
				require.NoError(t, err)
				told = append(told, number.ReplaceAllString(string(text), `$1-…"`))
			}
			require.Equal(t, want, told)
		})
	}
}

// recorded is a Temporal that has one history.
type recorded struct {
	client.Client
	file string
}

func (r recorded) GetWorkflowHistory(context.Context, string, string, bool, enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	text, err := os.ReadFile(r.file)
	if err != nil {
		panic(err)
	}
	history, err := client.HistoryFromJSON(bytes.NewReader(text), client.HistoryJSONOptions{})
	if err != nil {
		panic(err)
	}
	return &recordedEvents{history.GetEvents()}
}

type recordedEvents struct{ left []*historypb.HistoryEvent }

func (e *recordedEvents) HasNext() bool { return len(e.left) > 0 }

func (e *recordedEvents) Next() (*historypb.HistoryEvent, error) {
	next := e.left[0]
	e.left = e.left[1:]
	return next, nil
}

// Every step that facts are made of is one of the plan, in its order, and has an undo if its word says so.
func TestMattersFitThePlans(t *testing.T) {
	t.Parallel()
	for _, c := range collections {
		steps := c.plan.Steps()
		for _, m := range c.matters {
			last := -1
			for _, st := range m.stages {
				at := slices.IndexFunc(steps, func(info compensation.StepInfo) bool { return info.Name == st.step })
				require.Greater(t, at, last, st.step)
				require.Equal(t, steps[at].Kind == compensation.Compensatable, st.undone != "", st.step)
				if st.from != "" {
					from := slices.IndexFunc(steps, func(info compensation.StepInfo) bool { return info.Name == st.from })
					require.Contains(t, steps[:at], steps[max(from, 0)], "%s is told by an earlier step", st.step)
				}
				last = at
			}
		}
	}
}
