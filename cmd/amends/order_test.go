package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
)

func goodOrder(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../examples/orders/good.json")
	require.NoError(t, err)
	return string(content)
}

func TestOrderPlace(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]answer{"POST /v1/orders": {202, acceptedNow, nil}})
	d.input = goodOrder(t)

	out, complaints, code := d.run("order", "place", "-f", "-")
	require.Zero(t, code, complaints)
	require.Equal(t, "42  running\n\nWhat you can do next:\n  amends saga watch order-42\n", out)

	out, complaints, code = d.run("order", "place", "-f", d.file(goodOrder(t)), "--output=json", "--idempotency-key=mine")
	require.Zero(t, code, complaints)
	require.JSONEq(t, acceptedNow, out)
	require.Len(t, d.sent, 2)
	require.Equal(t, d.sent[0], d.sent[1])
	require.Contains(t, d.sent[0], `"lines":[{"sku":"TEA-EARL-GREY","quantity":2}`)

	d.answers["POST /v1/orders"] = problem(http.StatusUnprocessableEntity, "invalid", "Some fields cannot be as they are.")
	_, complaints, code = d.run("order", "place", "-f", "-")
	require.Equal(t, exitRefused, code)
	require.Contains(t, complaints, "422 invalid: No. Some fields")
}

func TestOrderPlaceWaits(t *testing.T) {
	t.Parallel()
	orderView := func(state, more string) string { return viewOf("42", state, links, more) }
	for name, tt := range map[string]struct {
		place, get answer
		wait       string
		code       int
		sent       []string
		out        string
	}{
		"completed": {
			answer{201, orderView("completed", ended), nil},
			answer{},
			"--wait", 0,
			[]string{"POST wait=30"},
			"42  completed  started 2026-01-02T03:04:05Z, ended after 1.5s\n",
		},
		"undone": {
			answer{201, orderView("compensated", ended), nil}, answer{}, "--wait=10s", exitNotDone, []string{"POST wait=10"}, "42  compensated",
		},
		"ends after the longest wait": {
			answer{202, acceptedNow, nil}, answer{200, orderView("completed", ended), nil}, "--wait=5m", 0, []string{"POST wait=60", "GET "}, "42  completed",
		},
		"still runs": {
			answer{202, acceptedNow, nil}, answer{200, orderView("running", ""), nil}, "--wait=1s", exitStillRuns, []string{"POST wait=1", "GET ", "GET wait=1"}, "42  running",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, map[string]answer{"POST /v1/orders": tt.place, "GET /v1/orders/42": tt.get})
			d.input = goodOrder(t)

			out, complaints, code := d.run("order", "place", "-f", "-", tt.wait)

			require.Equal(t, tt.code, code, complaints)
			require.Contains(t, out, tt.out)
			for i, want := range tt.sent {
				method, prefer, _ := strings.Cut(want, " ")
				require.True(t, strings.HasPrefix(d.sent[i], method), d.sent[i])
				require.Contains(t, d.sent[i], prefer)
			}
		})
	}
}

func TestOrderPlaceWatches(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]answer{"POST /v1/orders": {202, acceptedNow, nil}, "GET /v1/sagas/order-42/events": eventsOf("running", "compensated")})
	d.input = goodOrder(t)
	out, _, code := d.run("order", "place", "-f", "-", "--watch")
	require.Equal(t, exitNotDone, code)
	require.Contains(t, out, "compensated")
}

func TestOrderDecisions(t *testing.T) {
	t.Parallel()
	approval, cancel := "POST /v1/orders/42/approval", "POST /v1/orders/42/cancel"
	for verb, sent := range map[string]string{
		"approve": approval + ` {"approved":true,"by":"ada","reason":"known"}`,
		"reject":  approval + ` {"approved":false,"by":"ada","reason":"known"}`,
		"cancel":  cancel + ` {"by":"ada","reason":"known"}`,
	} {
		d := newDesk(t, map[string]answer{
			"GET /v1/orders/42": {200, viewOf("42", "running", links+`,"approval":"/v1/orders/42/approval"`, ""), nil},
			approval:            {202, acceptedNow, nil}, cancel: {202, acceptedNow, nil},
		})
		_, complaints, code := d.run("order", verb, "42", "--by=ada", "--reason=known")
		require.Zero(t, code, complaints)
		require.Equal(t, []string{sent}, d.sent)

		d.interactive = true
		_, complaints, code = d.run("order", verb, "42", "--by=ada")
		require.Equal(t, exitError, code)
		require.Contains(t, complaints, "amends order approve 42")
		require.Contains(t, complaints, "this order, as ada? [y/N] nothing was done")
		require.Len(t, d.sent, 2)
	}
}

func TestOrderGet(t *testing.T) {
	t.Parallel()
	view := viewOf("42", "running", links+`,"cancel":"/v1/orders/42/cancel"`, `,"deadline":"2026-01-03T00:00:00Z"`)
	d := newDesk(t, map[string]answer{"GET /v1/orders/42": {200, view, nil}})
	out, _, code := d.run("order", "get", "42")
	require.Zero(t, code)
	require.Equal(t, `42  running  started 2026-01-02T03:04:05Z, deadline 2026-01-03T00:00:00Z
facts: payment held

STEP            KIND           DO       UNDO  TRIES  ERROR
PriceOrder      compensatable  done               1
CapturePayment  pivot          waiting            0

What you can do next:
  amends order cancel 42
  amends saga watch order-42
`, out)
}

// What cannot be is said before anything is sent.
func TestUsage(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	for want, args := range map[string][]string{
		"missing flags: --file=FILE":       {"order", "place"},
		"no such file":                     {"order", "place", "-f", "/nowhere/order.json"},
		`unknown field "color"`:            {"order", "place", "-f", d.file(`{"color":1}`)},
		"something follows the JSON value": {"order", "place", "-f", d.file(`{} {}`)},
		"can't be used together":           {"order", "place", "-f", "-", "--wait", "--watch"},
		"wait a second or more":            {"order", "place", "-f", "-", "--wait=0s"},
		"--input needs a --reason":         {"saga", "retry", "order-42", "S", "--input=-", "--by=ada"},
		"missing flags: --reason=TEXT":     {"saga", "skip", "order-42", "S", "--by=ada"},
		"neither a duration":               {"saga", "extend-deadline", "order-42", "soon", "--by=ada", "--reason=x"},
		"URL of the API":                   {"order", "get", "42", "--api=nowhere"},
		"--output must be one of":          {"order", "get", "42", "--output=xml"},
		"unknown flag --wait":              {"saga", "get", "order-42", "--wait"},
	} {
		_, complaints, code := d.run(args...)
		require.Contains(t, complaints, want)
		require.Equal(t, exitUsage, code, complaints)
	}
	require.Empty(t, d.sent)
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{badUsage("x"), 2},
		{completed("42", client.Completed), 0},
		{completed("42", client.Terminated), 3},
		{completed("42", client.Parked), 4},
		{&client.Problem{Status: 499}, 5},
		{&client.Problem{Status: 500}, 6},
		{client.ErrUnreachable, 6},
	} {
		err := tt.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		require.Equal(t, tt.want, exitCode(err), "%v", tt.err)
	}
	d := newDesk(t, map[string]answer{"GET /v1/orders/42": problem(503, "temporal_unavailable", "Later.", "Retry-After", "60")})
	_, _, code := d.run("order", "get", "42")
	require.Equal(t, exitUnavailable, code)
}
