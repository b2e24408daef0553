package e2e_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each filter finds what it should among sagas that ended, run and wait, on a real store.
func TestFindSagas(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	began := time.Now()
	customer := func(d document, id string) document {
		return d.with("customer", map[string]any{"id": id, "name": "Ada Lovelace", "email": "ada@example.com"})
	}
	good := customer(example(t, "orders/good.json"), "a-1.X_y")
	placed := workflowID(s.place("orders", good))
	s.awaitEnd("/v1/orders/" + good.id())
	given := example(t, "returns/good.json").with("order_id", good.id())
	returned := workflowID(s.place("returns", given))
	declined := workflowID(s.place("orders", customer(example(t, "orders/unknown-sku.json"), "b-2")))
	waits := customer(example(t, "orders/good.json"), "b-2")
	s.fault("notification", "NotifyCustomer", waits, settings{"refuse": true, "times": 1})
	parked := workflowID(s.place("orders", waits))
	since := s.awaitParked("/v1/orders/" + waits.id()).Since

	at := func(parameter string, t time.Time) string {
		return parameter + "=" + url.QueryEscape(t.Format(time.RFC3339Nano))
	}
	for query, want := range map[string][]string{
		"":                          {parked, returned, declined, placed},
		"type=ReturnOrder":          {returned},
		"state=completed":           {placed},
		"customer=a-1.X_y":          {returned, placed},
		"customer=a-1":              nil,
		"customer=b-2&state=parked": {parked},
		"step=PriceOrder":           {declined},
		"step=NotifyCustomer":       {parked},
		at("started_after", began):  {parked, returned, declined, placed},
		at("started_before", began): nil,
		at("ended_after", began):    {declined, placed},
		at("ended_before", began):   nil,
		at("parked_after", since.Add(-time.Second)):  {parked},
		at("parked_before", since.Add(-time.Second)): nil,
		at("parked_before", since.Add(time.Second)):  {parked},
		"state=parked&sort=parked_since":             {parked},
	} {
		s.awaitFound("/v1/sagas?"+query, want)
	}
	status, body := s.send(http.MethodGet, s.apiURL+"/v1/sagas?customer="+url.QueryEscape(`b-2' OR SagaState != '`), nil)
	require.Equal(t, http.StatusBadRequest, status, "%s", body)
}
