package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/terminal"
)

var (
	theSaga   = answer{200, parkedSaga, []string{"ETag", `"seen"`}}
	sagaAfter = answer{200, viewOf("order-42", "compensating", sagaLinks, ""), []string{"ETag", `"after"`}}
)

const parkedText = `order-42  parked  started 2026-01-02T03:04:05Z
cause: AuthorizePayment refused: card_declined
facts: stock being released

STEP              KIND           DO       UNDO       TRIES  ERROR
ReserveStock      compensatable  done     failed       1+3  inventory: 422
AuthorizePayment  compensatable  refused                 2  card �[31mdeclined
CapturePayment    pivot          not_run  prevented    0+1

PARKED: undoing ReserveStock, since 2026-01-02T03:05:00Z: refused: the goods are lost
  It is still tried, and goes on by itself if that succeeds.
2026-01-02T03:06:00Z  retry ReserveStock by grace: again

http://ui.example/x

What you can do next:
  amends saga retry order-42 ReserveStock
  amends saga skip order-42 ReserveStock --reason …
  amends saga mark-done order-42 ReserveStock --reason … --reference …
  amends saga watch order-42
`

func TestSagaGet(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]answer{"GET /v1/sagas/order-42": theSaga})

	out, complaints, code := d.run("saga", "get", "order-42")
	require.Zero(t, code, complaints)
	require.Equal(t, parkedText, out)

	out, complaints, code = d.run("saga", "get", "order-42", "--output=json")
	require.Zero(t, code, complaints)
	require.JSONEq(t, parkedSaga, out)

	out, complaints, code = d.run("saga", "get", "order-43")
	require.Equal(t, exitRefused, code)
	require.Empty(t, out)
	require.Equal(t, "GET /v1/sagas/order-43: 404 not_found: No. Nothing has this ID.\n", complaints)
}

// Each act is sent with the tag of the saga that was looked at.
func TestSagaActs(t *testing.T) {
	t.Parallel()
	step := "/v1/sagas/order-42/steps/ReserveStock"
	for name, tt := range map[string]struct {
		args       []string
		path, sent string
	}{
		"retry": {[]string{"retry", "order-42", "ReserveStock"}, step + "/retry", step + `/retry If-Match: "seen" {"by":"ada"}`},
		"retry with input": {
			[]string{"retry", "order-42", "ReserveStock", "--item=2", "--input=-", "--reason=a typo"},
			step + "/retry",
			step + `/retry?item=2 If-Match: "seen" {"by":"ada","reason":"a typo","input":{"sku":"TEA"}}`,
		},
		"skip": {[]string{"skip", "order-42", "ReserveStock", "--reason=lost"}, step + "/skip", step + `/skip If-Match: "seen" {"by":"ada","reason":"lost"}`},
		"mark done": {
			[]string{"mark-done", "order-42", "ReserveStock", "--reason=done", "--reference=T-17", "--result=-"},
			step + "/mark-done",
			step + `/mark-done If-Match: "seen" {"by":"ada","reason":"done","reference":"T-17","result":{"sku":"TEA"}}`,
		},
		"the pivot happened": {
			[]string{"mark-happened", "order-42", "CapturePayment", "--reason=seen", "--reference=T-17", "--result=-"},
			"/v1/sagas/order-42/steps/CapturePayment/mark-happened",
			`/v1/sagas/order-42/steps/CapturePayment/mark-happened If-Match: "seen" {"by":"ada","reason":"seen","reference":"T-17","result":{"sku":"TEA"}}`,
		},
		"the pivot was prevented": {
			[]string{"mark-prevented", "order-42", "CapturePayment", "--reason=blocked", "--reference=T-17"},
			"/v1/sagas/order-42/steps/CapturePayment/mark-prevented",
			`/v1/sagas/order-42/steps/CapturePayment/mark-prevented If-Match: "seen" {"by":"ada","reason":"blocked","reference":"T-17"}`,
		},
		"extend deadline": {
			[]string{"extend-deadline", "order-42", "2027-01-31T12:00:00+01:00", "--reason=late"},
			"/v1/sagas/order-42/extend-deadline",
			`/v1/sagas/order-42/extend-deadline If-Match: "seen" {"by":"ada","reason":"late","deadline":"2027-01-31T11:00:00Z"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, map[string]answer{"GET /v1/sagas/order-42": theSaga, "POST " + tt.path: sagaAfter})
			d.input = `{"sku":"TEA"}`

			out, complaints, code := d.run(append([]string{"saga"}, append(tt.args, "--by=ada")...)...)

			require.Zero(t, code, complaints)
			require.Equal(t, []string{"GET /v1/sagas/order-42", "POST " + tt.sent}, d.sent)
			require.Contains(t, out, "order-42  compensating  ")

			d.answers["POST "+tt.path] = problem(http.StatusPreconditionFailed, "precondition_failed", "Look again.")
			out, complaints, code = d.run(append([]string{"saga"}, append(tt.args, "--by=ada")...)...)
			require.Equal(t, exitRefused, code)
			require.Empty(t, out)
			require.Contains(t, complaints, "order-42 has changed since you saw it, and nothing was done; look at it again: amends saga get order-42")
		})
	}
}

// Somebody at a terminal sees the saga and is asked first.
func TestSagaActAsks(t *testing.T) {
	t.Parallel()
	path := "POST /v1/sagas/order-42/steps/ReserveStock/skip"
	args := []string{"saga", "skip", "order-42", "ReserveStock", "--reason=lost", "--by=ada"}
	for input, done := range map[string]bool{"y\n": true, "Yes\n": true, "\n": false, "n\n": false, "": false, "yeah\n": false} {
		d := newDesk(t, map[string]answer{"GET /v1/sagas/order-42": theSaga, path: sagaAfter})
		d.interactive, d.input = true, input

		_, complaints, code := d.run(args...)

		require.True(t, strings.HasPrefix(complaints, parkedText+"\nSkip ReserveStock, as ada? [y/N] "), complaints)
		if done {
			require.Zero(t, code, complaints)
			require.Len(t, d.sent, 2)
			continue
		}
		require.Equal(t, exitError, code, "%q", input)
		require.Len(t, d.sent, 1)
		require.True(t, strings.HasSuffix(complaints, "nothing was done\n"), complaints)
	}
	d := newDesk(t, map[string]answer{"GET /v1/sagas/order-42": theSaga, path: sagaAfter})
	d.interactive = true
	_, complaints, code := d.run(append(args, "--yes")...)
	require.Zero(t, code, complaints)
	require.Empty(t, complaints)
}

// The question about a pivot's outcome names the consequence, and the operator explains how it is known.
func TestMarksOfAPivot(t *testing.T) {
	t.Parallel()
	for act, question := range map[string]string{
		"mark-happened":  "\nCapturePayment DID happen: keep it and go forward, as ada? [y/N] ",
		"mark-prevented": "\nCapturePayment did NOT happen and never will: undo everything, as ada? [y/N] ",
	} {
		d := newDesk(t, map[string]answer{"GET /v1/sagas/order-42": theSaga})
		d.interactive, d.input = true, "n\n"
		args := []string{"saga", act, "order-42", "CapturePayment", "--by=ada", "--reason=seen"}

		_, complaints, code := d.run(append(args, "--reference=T-17")...)
		require.Equal(t, exitError, code)
		require.Contains(t, complaints, question)
		require.Len(t, d.sent, 1)

		_, complaints, code = d.run(args...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, complaints, "--reference")
	}
}

func TestSagaDecisions(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]answer{
		"GET /v1/sagas/order-42":            theSaga,
		"POST /v1/sagas/order-42/cancel":    {202, sagaAccepted, nil},
		"POST /v1/sagas/order-42/approval":  {202, sagaAccepted, nil},
		"POST /v1/sagas/order-again/cancel": {202, sagaAccepted, []string{"Idempotent-Replayed", "true"}},
	})
	for verb, sent := range map[string]string{
		"cancel":  `POST /v1/sagas/order-42/cancel {"by":"ada","reason":"twice"}`,
		"approve": `POST /v1/sagas/order-42/approval {"approved":true,"by":"ada","reason":"twice"}`,
		"reject":  `POST /v1/sagas/order-42/approval {"approved":false,"by":"ada","reason":"twice"}`,
	} {
		d.interactive, d.sent = false, nil
		args := []string{"saga", verb, "order-42", "--by=ada", "--reason=twice"}
		out, complaints, code := d.run(args...)
		require.Zero(t, code, complaints)
		require.Equal(t, "order-42  running\n\nWhat you can do next:\n  amends saga watch order-42\n", out)
		require.Equal(t, []string{sent}, d.sent)

		d.interactive, d.input = true, "n\n"
		_, complaints, code = d.run(args...)
		require.Equal(t, exitError, code)
		require.True(t, strings.HasPrefix(complaints, parkedText), complaints)
		require.Contains(t, strings.ToLower(complaints), verb+" this saga, as ada? [y/n] nothing was done")
		require.Equal(t, []string{sent, "GET /v1/sagas/order-42"}, d.sent)
	}
	d.interactive = false
	out, complaints, code := d.run("saga", "cancel", "order-again", "--by=ada")
	require.Zero(t, code, complaints)
	require.Contains(t, out, "(taken before, with this key)")
}

func TestSagaList(t *testing.T) {
	t.Parallel()
	item := `{"id":"order-42","type":"PlaceOrder","state":"parked","cause":"out of stock","step":"ReserveStock","customer":"c-1","started_at":"2026-01-02T03:04:05Z",` + sagaLinks + `}}`
	d := newDesk(t, map[string]answer{"GET /v1/sagas": {200, `{"items":[` + item + `,` + item + `]}`, nil}})

	out, complaints, code := d.run("saga", "list", "--type=PlaceOrder", "--state=parked", "--customer=c-1", "--step=ReserveStock",
		"--started-after=2026-01-01T00:00:00Z", "--longest-parked-first")
	require.Zero(t, code, complaints)
	require.Equal(t, `SAGA      TYPE        STATE   STEP          CUSTOMER  STARTED               CAUSE
order-42  PlaceOrder  parked  ReserveStock  c-1       2026-01-02T03:04:05Z  out of stock
order-42  PlaceOrder  parked  ReserveStock  c-1       2026-01-02T03:04:05Z  out of stock
`, out)
	require.Equal(t, []string{"GET /v1/sagas?customer=c-1&page_size=50&sort=parked_since&started_after=2026-01-01T00%3A00%3A00Z" +
		"&state=parked&step=ReserveStock&type=PlaceOrder"}, d.sent)

	out, _, code = d.run("saga", "list", "--limit=1")
	require.Zero(t, code)
	require.Contains(t, out, "There are more: --limit=10, or 0 for all.")
	require.Equal(t, 1, strings.Count(out, "order-42"))

	out, _, code = d.run("saga", "list", "--limit=1", "--output=json")
	require.Zero(t, code)
	require.JSONEq(t, `{"items":[`+item+`]}`, out)
}

func eventsOf(states ...string) answer {
	text := ""
	for i, s := range states {
		more, name := "", "saga"
		if client.State(s).Ended() {
			more, name = ended, "ended"
		}
		data := strings.Join(strings.Fields(viewOf("order-42", s, sagaLinks, more)), " ")
		text += "id: " + string(rune('a'+i)) + "\nevent: " + name + "\ndata: " + data + "\n\n"
	}
	return answer{200, text, []string{"Content-Type", "text/event-stream"}}
}

func TestSagaWatch(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]answer{"GET /v1/sagas/order-42/events": eventsOf("running", "running", "completed")})
	out, complaints, code := d.run("saga", "watch", "order-42")
	require.Zero(t, code, complaints)
	require.Regexp(t, `^\d\d:\d\d:\d\d  PriceOrder: done\n\d\d:\d\d:\d\d  running\n\d\d:\d\d:\d\d  completed\n$`, out)

	d.answers["GET /v1/sagas/order-42/events"] = eventsOf("running", "compensated")
	out, complaints, code = d.run("saga", "watch", "order-42", "--output=json")
	require.Equal(t, exitNotDone, code)
	require.Equal(t, "order-42 ended as compensated\n", complaints)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 2)
	require.JSONEq(t, viewOf("order-42", "compensated", sagaLinks, ended), lines[1])
}

// On a terminal the next drawing takes the place of the last one.
func TestDrawing(t *testing.T) {
	t.Parallel()
	var v client.Saga
	require.NoError(t, json.Unmarshal([]byte(parkedSaga), &v))
	var out strings.Builder
	d := &drawing{terminal.Block{Out: &out, Width: func() int { return 41 }}}
	require.NoError(t, d.show(&v))
	first := out.String()
	for line := range strings.SplitSeq(first, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 40, line)
	}
	out.Reset()
	require.NoError(t, d.show(&v))
	require.Equal(t, "\x1b[20A\x1b[J"+first, out.String())
	require.Equal(t, 20, strings.Count(first, "\n"))
}

// Of each fact that is one, the detail is told that people look for.
func TestFactTexts(t *testing.T) {
	t.Parallel()
	tea := []client.Line{{SKU: "TEA", Quantity: 2}, {SKU: "CUP", Quantity: 4}}
	require.Equal(t, []string{
		"payment charged (EUR 12.90)", "stock sold (2 TEA + 4 CUP)", "points taken back (63)", "return booked (PA-1)", "invoice issued (INV-7)", "goods unsettled",
	}, factTexts([]client.Fact{
		{What: "payment", Is: "charged", Amount: &client.Money{Amount: 1290, Currency: "EUR"}, Reference: "cap-1"},
		{What: "stock", Is: "sold", Lines: tea, Reference: "com-1"},
		{What: "voucher", Is: "none"},
		{What: "points", Is: "taken_back", Points: 63},
		{What: "return", Is: "booked", Lines: tea, Carrier: "parcel", Tracking: "PA-1", Reference: "return-1"},
		{What: "invoice", Is: "issued", Reference: "INV-7"},
		{What: "goods", Is: "unsettled"},
		{What: "shipment", Is: "open"},
	}))
}

// What is offered is what docs/parked-sagas.md says.
func TestNextCommands(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	pivot := func(do client.DoState) []client.Step {
		return []client.Step{{Name: "CapturePayment", Kind: client.Pivot, Do: do}}
	}
	parked := func(part client.Part, steps []client.Step) *client.Saga {
		return &client.Saga{ID: "order-42", State: client.Parked, Steps: steps, Parked: []client.ParkedPart{{Step: "S", Item: "2", Part: part}}}
	}
	whole := parked(client.PartSaga, pivot(client.DoDone))
	withDeadline := *whole
	withDeadline.Deadline = &at
	for name, tt := range map[string]struct {
		saga *client.Saga
		want []string
	}{
		"a step before the pivot": {parked(client.PartDo, pivot(client.DoWaiting)), []string{"retry", "mark-done", "watch"}},
		"a step after the pivot":  {parked(client.PartDo, pivot(client.DoDone)), []string{"retry", "skip", "mark-done", "watch"}},
		"an undo":                 {parked(client.PartUndo, pivot(client.DoNotRun)), []string{"retry", "skip", "mark-done", "watch"}},
		"a pivot's undo": {
			&client.Saga{ID: "order-42", State: client.Parked, Steps: pivot(client.DoUnknown), Parked: []client.ParkedPart{{Step: "CapturePayment", Part: client.PartUndo}}},
			[]string{"retry", "mark-happened", "mark-prevented", "watch"},
		},
		"the saga":     {whole, []string{"watch"}},
		"its deadline": {&withDeadline, []string{"extend-deadline", "watch"}},
		"runs":         {&client.Saga{ID: "order-42", State: client.Running, Links: client.Links{Cancel: "/c"}}, []string{"cancel", "watch"}},
		"ended":        {&client.Saga{ID: "order-42", State: client.Completed}, nil},
	} {
		var got []string
		for _, command := range nextCommands("saga", tt.saga) {
			got = append(got, strings.Fields(command)[2])
		}
		require.Equal(t, tt.want, got, name)
	}
	require.Contains(t, nextCommands("saga", parked(client.PartUndo, nil)), "amends saga retry order-42 S --item 2")
	require.Equal(t, []string{"amends saga approve order-42", "amends saga reject order-42", "amends saga watch order-42"}, nextCommands("saga",
		&client.Saga{ID: "order-42", State: client.Running, Links: client.Links{Approval: "/a"}}))
	require.Equal(t, []string{"amends order approve 42", "amends order reject 42", "amends saga watch order-42"}, nextCommands("order",
		&client.Order{ID: "42", State: client.Running, Links: client.Links{Saga: "/v1/sagas/order-42", Approval: "/a"}}))
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	var d deadline
	require.NoError(t, d.UnmarshalText([]byte("24h")))
	require.WithinDuration(t, time.Now().Add(24*time.Hour), d.Time, 5*time.Second)
	require.ErrorContains(t, d.UnmarshalText([]byte("tomorrow")), "neither a duration")
}

// TestServersText: no text of an API, in any answer and form, controls the terminal or hides anything.
func TestServersText(t *testing.T) {
	t.Parallel()

	const hostile = "\x1b]0;x\a\x1b[2J\u009b31m\u202eevil\u200b\u2028\r\x7f\ufe0f\u3164 end"
	text := strconv.Quote(hostile)[1:]
	text = text[:len(text)-1]
	text = strings.NewReplacer(`\x1b`, `\u001b`, `\a`, `\u0007`, `\x7f`, `\u007f`).Replace(text)
	saga := strings.NewReplacer("grace", text, "again", text, "refused: the goods are lost", text, "card_declined", text, "inventory: 422", text,
		"http://ui.example/x", "http://ui.example/"+text, `"step":"ReserveStock"`, `"step":"`+text+`"`).Replace(parkedSaga)
	accepted := strings.Replace(sagaAccepted, "order-42", text, 2)
	refusal := answer{
		http.StatusConflict, `{"type":"https://p.example","title":"` + text + `","status":409,"code":"too_late_to_cancel","detail":"` + text + `",
			"errors":[{"parameter":"` + text + `","detail":"` + text + `"}]}`, []string{"Content-Type", "application/problem+json"},
	}
	d := newDesk(t, map[string]answer{
		"GET /v1/sagas/order-42":                           {http.StatusOK, saga, []string{"ETag", `"a"`}},
		"GET /v1/sagas/order-42/events":                    {http.StatusOK, "id: a\nevent: saga\ndata: " + strings.ReplaceAll(saga, "\n", "") + "\n\n", []string{"Content-Type", "text/event-stream"}},
		"POST /v1/sagas/order-42/cancel":                   {http.StatusAccepted, accepted, nil},
		"POST /v1/sagas/order-42/approval":                 refusal,
		"POST /v1/sagas/order-42/steps/ReserveStock/retry": refusal,
		"GET /v1/sagas": {http.StatusOK, `{"items":[{"id":"` + text + `","type":"` + text + `","state":"parked","cause":"` + text + `","step":"` + text + `",
			"customer":"` + text + `","started_at":"2026-01-02T03:04:05Z",` + sagaLinks + `}}]}`, nil},
	})
	for _, command := range []string{
		"saga get order-42", "saga get order-42 --output=json", "saga list", "saga list --output=json",
		"saga cancel order-42 --by=me", "saga cancel order-42 --by=me --output=json", "saga approve order-42 --by=me",
		"saga retry order-42 ReserveStock --by=me", "saga retry order-42 ReserveStock --by=me --output=json",
	} {
		out, complaints, _ := d.run(strings.Fields(command)...)
		said := out + complaints
		require.Contains(t, said, "evil", command)
		for _, r := range strings.ReplaceAll(said, "\n", "") {
			require.Truef(t, unicode.IsPrint(r) && r != '\ufe0f' && r != '\u3164', "%s: %U in %q", command, r, said)
		}
		if strings.HasSuffix(command, "json") && complaints == "" {
			require.True(t, json.Valid([]byte(out)), out)
			require.Contains(t, out, `\u202eevil\u200b`, command)
		}
	}
}
