package services_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/pricing"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/wire"
)

const (
	patience = 10 * time.Second
	tick     = 10 * time.Millisecond
)

// order is a body that PriceOrder accepts.
var order = pricing.Request{Currency: "EUR", Lines: []wire.Line{{SKU: "TEA-SENCHA", Quantity: 1}}}

// breakable serves pricing and inventory with fault settings.
func breakable(t *testing.T) (base, quotes string) {
	t.Helper()
	base = servicetest.Serve(t, services.Config{
		Dir: t.TempDir(), Names: []string{"pricing", "inventory"}, Faults: true, Logger: quiet,
	})
	return base, base + "/pricing/quotes"
}

// setFault sets a fault of pricing's only step.
func setFault(t *testing.T, base string, fault map[string]any) {
	t.Helper()
	answer := servicetest.Call(t, http.MethodPut, base+"/pricing/faults/PriceOrder", fault)
	require.Equal(t, http.StatusNoContent, answer.Status, "%s", answer.Body)
}

func put(t *testing.T, quotes, key string) servicetest.Answer {
	t.Helper()
	return servicetest.Call(t, http.MethodPut, servicetest.Resource(quotes, key), order)
}

// lost does or undoes a step and returns the error of a connection that broke.
func lost(t *testing.T, method, url string) error {
	t.Helper()
	body, err := json.Marshal(order)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		require.NoError(t, res.Body.Close())
	}
	return err
}

func open(t *testing.T, base string) int64 {
	t.Helper()
	return servicetest.Audit(t, base+"/pricing").Figures["standing_quotes"]
}

func TestDown(t *testing.T) {
	t.Parallel()
	base, quotes := breakable(t)
	setFault(t, base, map[string]any{"down": true, "retry_after_s": 7, "times": 2, "lose_reply": true})

	for range 2 {
		answer := put(t, quotes, "order-1:PriceOrder")
		require.Equal(t, http.StatusServiceUnavailable, answer.Status)
		require.Equal(t, "unavailable", answer.Code)
		require.Equal(t, "7", answer.Header.Get("Retry-After"))
	}
	require.Zero(t, open(t, base), "nothing happened")
	require.Equal(t, http.StatusOK, put(t, quotes, "order-1:PriceOrder").Status, "the two times are over")
}

func TestErrorRate(t *testing.T) {
	t.Parallel()
	base, quotes := breakable(t)
	setFault(t, base, map[string]any{"error_rate": 1})
	for i := range 3 {
		answer := put(t, quotes, fmt.Sprintf("order-%d:PriceOrder", i))
		require.Equal(t, http.StatusInternalServerError, answer.Status)
		require.Empty(t, answer.Header.Get("Retry-After"))
	}
	require.Zero(t, open(t, base), "nothing happened")

	setFault(t, base, map[string]any{"error_rate": 0.5})
	failed := 0
	for i := range 100 {
		if put(t, quotes, fmt.Sprintf("order-%d:PriceOrder", i)).Status != http.StatusOK {
			failed++
		}
	}
	// Outside of this once in more than a million runs.
	require.InDelta(t, 50, failed, 25)
	require.Equal(t, int64(100-failed), open(t, base))
}

func TestLostReply(t *testing.T) {
	t.Parallel()
	base, quotes := breakable(t)
	setFault(t, base, map[string]any{"lose_reply": true, "times": 1})

	require.Error(t, lost(t, http.MethodPut, servicetest.Resource(quotes, "order-1:PriceOrder")))

	require.Equal(t, int64(1), open(t, base), "the effect is there")
	require.Equal(t, http.StatusOK, put(t, quotes, "order-1:PriceOrder").Status)
	require.Equal(t, int64(1), open(t, base), "once")
}

func TestLatency(t *testing.T) {
	t.Parallel()
	base, quotes := breakable(t)
	setFault(t, base, map[string]any{"latency_ms": 50})
	began := time.Now()
	require.Equal(t, http.StatusOK, put(t, quotes, "order-1:PriceOrder").Status)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)

	setFault(t, base, map[string]any{"latency_ms": 3_600_000})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, servicetest.Resource(quotes, "order-2:PriceOrder"), nil)
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(req) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, context.DeadlineExceeded)
	// That the test ends shows that the host no longer waits: closing its server waits for the call.
}

// A late call does what it has to although its caller has gone.
func TestLate(t *testing.T) {
	t.Parallel()
	base, quotes := breakable(t)
	resource := servicetest.Resource(quotes, "order-1:PriceOrder")
	for _, tt := range []struct {
		method, on string
		stands     int64
	}{{http.MethodPut, "do", 1}, {http.MethodDelete, "undo", 0}} {
		setFault(t, base, map[string]any{"late_ms": 50, "times": 1, "on": tt.on})
		began := time.Now()
		require.Error(t, lost(t, tt.method, resource))
		require.Eventually(t, func() bool { return open(t, base) == tt.stands }, patience, tick, "the %s arrives", tt.on)
		require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	}
	require.Equal(t, http.StatusGone, put(t, quotes, "order-1:PriceOrder").Status, "the key was done and undone")
}

// What is undone before a late do arrives stays undone.
func TestLateDoIsFenced(t *testing.T) {
	t.Parallel()
	log := &lines{}
	base := servicetest.Serve(t, services.Config{
		Dir: t.TempDir(), Names: []string{"pricing"}, Faults: true,
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	resource := servicetest.Resource(base+"/pricing/quotes", "order-1:PriceOrder")
	setFault(t, base, map[string]any{"late_ms": 1000, "times": 1})

	require.Error(t, lost(t, http.MethodPut, resource))
	require.Equal(t, http.StatusNoContent, servicetest.Call(t, http.MethodDelete, resource, nil).Status)
	require.Eventually(t, func() bool { return len(log.calls(t)) == 2 }, patience, tick, "the do arrives")
	require.Equal(t, http.MethodPut, log.calls(t)[1]["method"], "after the undo")
	require.Zero(t, open(t, base))
}

func TestFaultMeetsWhatItNames(t *testing.T) {
	t.Parallel()
	base, quotes := breakable(t)
	setFault(t, base, map[string]any{"down": true, "match": "order-13:"})
	require.Equal(t, http.StatusOK, put(t, quotes, "order-1:PriceOrder").Status)
	require.Equal(t, http.StatusServiceUnavailable, put(t, quotes, "order-13:PriceOrder").Status)
	require.Equal(t, http.StatusServiceUnavailable, put(t, quotes, "order-13:PriceOrder.item").Status)

	setFault(t, base, map[string]any{"down": true, "on": "undo"})
	resource := servicetest.Resource(quotes, "order-13:PriceOrder")
	require.Equal(t, http.StatusServiceUnavailable, put(t, quotes, "order-13:PriceOrder").Status, "that of do still stands")
	require.Equal(t, http.StatusServiceUnavailable, servicetest.Call(t, http.MethodDelete, resource, nil).Status)
	require.Equal(t, http.StatusNotFound, servicetest.Call(t, http.MethodGet, resource, nil).Status, "a probe never fails")
	require.Equal(t, http.StatusOK, put(t, quotes, "order-14:PriceOrder").Status)

	other := servicetest.Call(t, http.MethodPut, base+"/inventory/reservations/order-13:ReserveStock", map[string]any{"lines": order.Lines})
	require.Equal(t, http.StatusOK, other.Status, "another service")
}

// A key that names no step belongs to the step of the header.
func TestFaultByHeader(t *testing.T) {
	t.Parallel()
	base, quotes := breakable(t)
	setFault(t, base, map[string]any{"down": true, "on": "undo"})
	require.Equal(t, http.StatusNoContent, servicetest.Call(t, http.MethodDelete, quotes+"/mine", nil).Status)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, quotes+"/mine", nil)
	require.NoError(t, err)
	req.Header.Set("Saga-Step", "PriceOrder")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
}

func TestListAndClear(t *testing.T) {
	t.Parallel()
	base, _ := breakable(t)
	faults := base + "/inventory/faults"
	list := func() string { return string(servicetest.Call(t, http.MethodGet, faults, nil).Body) }
	require.JSONEq(t, `[]`, list())
	for _, step := range []string{"ReserveStock", "CommitStock"} {
		for _, on := range []string{"do", "undo"} {
			answer := servicetest.Call(t, http.MethodPut, faults+"/"+step, map[string]any{"down": true, "on": on})
			require.Equal(t, http.StatusNoContent, answer.Status)
		}
	}
	for _, latency := range []int{4, 5} { // the second replaces the first
		servicetest.Call(t, http.MethodPut, faults+"/ReserveStock", map[string]any{"latency_ms": latency, "match": "x", "times": 3})
	}

	require.Equal(t, http.StatusNoContent, servicetest.Call(t, http.MethodDelete, faults+"/CommitStock", nil).Status)
	require.JSONEq(t, `[
		{"step":"ReserveStock","on":"do","match":"","times":0,"error_rate":0,"latency_ms":0,"late_ms":0,"lose_reply":false,"refuse":false,"down":true,"retry_after_s":0},
		{"step":"ReserveStock","on":"do","match":"x","times":3,"error_rate":0,"latency_ms":5,"late_ms":0,"lose_reply":false,"refuse":false,"down":false,"retry_after_s":0},
		{"step":"ReserveStock","on":"undo","match":"","times":0,"error_rate":0,"latency_ms":0,"late_ms":0,"lose_reply":false,"refuse":false,"down":true,"retry_after_s":0}
	]`, list())

	require.Equal(t, http.StatusNoContent, servicetest.Call(t, http.MethodDelete, faults, nil).Status)
	require.JSONEq(t, `[]`, list())
}

func TestFaultSettingsAreChecked(t *testing.T) {
	t.Parallel()
	base, _ := breakable(t)
	for name, fault := range map[string]map[string]any{
		"no effect":         {},
		"unknown direction": {"down": true, "on": "probe"},
		"unknown field":     {"down": true, "color": "red"},
		"rate above 1":      {"error_rate": 1.5},
		"negative":          {"down": true, "times": -1},
		"before its time":   {"late_ms": -1},
		"another step":      {"down": true, "step": "ReserveStock"},
	} {
		answer := servicetest.Call(t, http.MethodPut, base+"/pricing/faults/PriceOrder", fault)
		require.Equal(t, http.StatusBadRequest, answer.Status, name)
		require.Equal(t, "malformed", answer.Code, name)
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		answer := servicetest.Call(t, method, base+"/inventory/faults/PriceOrder", map[string]any{"down": true})
		require.Equal(t, http.StatusNotFound, answer.Status)
		require.Contains(t, string(answer.Body), "the steps are: ReserveStock, CommitStock, InspectGoods, RestockGoods")
	}
}

func TestFaultsAreOffByDefault(t *testing.T) {
	t.Parallel()
	base := servicetest.Serve(t, services.Config{Dir: t.TempDir(), Names: []string{"pricing"}})
	answer := servicetest.Call(t, http.MethodPut, base+"/pricing/faults/PriceOrder", map[string]any{"down": true})
	require.Equal(t, http.StatusNotFound, answer.Status)
}
