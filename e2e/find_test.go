package e2e_test

import (
	"encoding/json"
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
	// Has every character that Temporal's SQL stores do not find as it is, or fail on.
	const odd = `gid://shopify/Customer/1 %_:$1 'Zoë 客\' ;"?~*'`
	good := customer(example(t, "orders/good.json"), odd)
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
		"":                                 {parked, returned, declined, placed},
		"type=ReturnOrder":                 {returned},
		"state=completed":                  {placed},
		"customer=a-1":                     nil,
		"customer=" + url.QueryEscape(odd): {returned, placed},
		"customer=" + url.QueryEscape(`b-2' OR SagaState != '`): nil,
		"customer=b-2&state=parked":                             {parked},
		"step=PriceOrder":                                       {declined},
		"step=NotifyCustomer":                                   {parked},
		at("started_after", began):                              {parked, returned, declined, placed},
		at("started_before", began):                             nil,
		at("ended_after", began):                                {declined, placed},
		at("ended_before", began):                               nil,
		at("parked_after", since.Add(-time.Second)):             {parked},
		at("parked_before", since.Add(-time.Second)):            nil,
		at("parked_before", since.Add(time.Second)):             {parked},
		"state=parked&sort=parked_since":                        {parked},
	} {
		s.awaitFound("/v1/sagas?"+query, want)
	}
	// It is shown as it was sent.
	status, body := s.send(http.MethodGet, s.apiURL+"/v1/sagas?customer="+url.QueryEscape(odd), nil)
	require.Equal(t, http.StatusOK, status, "%s", body)
	var found struct{ Items []struct{ Customer string } }
	require.NoError(t, json.Unmarshal(body, &found))
	require.Equal(t, odd, found.Items[0].Customer)
}
