package activities_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

var (
	key       = compensation.Key{Saga: "order-42", Step: "AuthorizePayment"}
	authorize = activities.AuthorizePayment{Token: "tok_visa", Amount: order.Money{Amount: 1290, Currency: "EUR"}}
)

const authorized = `{"authorization_id":"a1","amount":{"amount":1290,"currency":"EUR"}}`

// bundle runs activities against a participant that answers as the test says.
type bundle struct {
	*testsuite.TestActivityEnvironment
	set      *activities.Set
	requests atomic.Int64
}

func newBundle(t *testing.T, answer http.HandlerFunc) *bundle {
	t.Helper()
	b := &bundle{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	set, err := activities.New(activities.Options{ServicesURL: server.URL + "/"})
	require.NoError(t, err)
	var suite testsuite.WorkflowTestSuite
	b.set, b.TestActivityEnvironment = set, suite.NewTestActivityEnvironment()
	for _, participant := range set.All() {
		b.RegisterActivity(participant)
	}
	return b
}

func (b *bundle) authorize() (activities.Authorization, error) {
	var out activities.Authorization
	value, err := b.ExecuteActivity(b.set.Payment.AuthorizePayment, key, authorize)
	if err != nil {
		return out, err
	}
	err = value.Get(&out)
	return out, err
}

func (b *bundle) void() error {
	_, err := b.ExecuteActivity(b.set.Payment.VoidAuthorization, key)
	return err
}

// refusing answers each request with a problem, as a service that keeps the contract does.
func refusing(status int, code, detail string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Saga-Key", path.Base(r.URL.EscapedPath()))
		body := fmt.Sprintf(`{"type":"about:blank","status":%d,"code":%q,"detail":%q}`, status, code, detail)
		answering(status, body, headers...)(w, r)
	}
}

// answering answers each request alike.
func answering(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		if status < 300 {
			w.Header().Set("Content-Type", "application/json")
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // a client that went away is the test's own doing
	}
}

func TestCallFollowsTheStepContract(t *testing.T) {
	t.Parallel()

	b := newBundle(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPut || r.URL.Path != "/payment/authorizations/order-42:AuthorizePayment" ||
			string(body) != `{"token":"tok_visa","amount":{"amount":1290,"currency":"EUR"}}` {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for header, want := range map[string]string{
			"Saga-Id": "order-42", "Saga-Step": "AuthorizePayment", "Saga-Attempt": "1", "Content-Type": "application/json",
		} {
			if r.Header.Get(header) != want {
				w.WriteHeader(http.StatusBadRequest)
			}
		}
		if parts := strings.Split(r.Header.Get("Traceparent"), "-"); len(parts) != 4 || len(parts[1]) != 32 || len(parts[2]) != 16 {
			w.WriteHeader(http.StatusBadRequest)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Saga-Key", "order-42%3AAuthorizePayment")
		_, _ = io.WriteString(w, authorized)
	})
	got, err := b.authorize()
	require.NoError(t, err)
	require.Equal(t, activities.Authorization{ID: "a1", Amount: authorize.Amount}, got)
}

func TestUndoIsADelete(t *testing.T) {
	t.Parallel()

	b := newBundle(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && r.URL.Path == "/payment/authorizations/order-42:AuthorizePayment" && r.ContentLength == 0 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
	})
	require.NoError(t, b.void())
}

func TestOutcomesOfDo(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		answer      http.HandlerFunc
		failureType string
		text        string
		final       bool // not tried again
		delay       time.Duration
	}{
		"refused":                       {refusing(422, "card_declined", "the card was declined"), compensation.ErrTypeRefused, "the card was declined", true, 0},
		"refused without words":         {refusing(404, "not_found", ""), compensation.ErrTypeRefused, "status 404 Not Found", true, 0},
		"undone before":                 {refusing(410, "undone", "Undone"), compensation.ErrTypeRefused, "Undone", true, 0},
		"conflict":                      {refusing(409, "sold", "sold"), compensation.ErrTypeRefused, "sold", true, 0},
		"key reused":                    {refusing(409, "key_reused", "other body"), activities.ErrTypeKeyReused, "other body", true, 0},
		"reused at another status":      {refusing(422, "key_reused", "other body"), compensation.ErrTypeRefused, "other body", true, 0},
		"in progress":                   {refusing(409, "in_progress", "", "Retry-After", "3"), activities.ErrTypeUnanswered, "status 409", false, 3 * time.Second},
		"in progress at another status": {refusing(422, "in_progress", ""), compensation.ErrTypeRefused, "status 422", true, 0},
		"too many":                      {answering(429, ``, "Retry-After", "7"), activities.ErrTypeUnanswered, "status 429", false, 7 * time.Second},
		"too early":                     {answering(425, ``), activities.ErrTypeUnanswered, "status 425", false, 0},
		"request timeout":               {answering(408, ``), activities.ErrTypeUnanswered, "status 408", false, 0},
		"server error":                  {answering(500, ``), activities.ErrTypeUnanswered, "status 500", false, 0},
		"unavailable for hours":         {answering(503, ``, "Retry-After", "999999"), activities.ErrTypeUnanswered, "status 503", false, 10 * time.Minute},
		"bad Retry-After":               {answering(503, ``, "Retry-After", "soon"), activities.ErrTypeUnanswered, "status 503", false, 0},
		"redirect":                      {answering(307, ``, "Location", "/elsewhere"), activities.ErrTypeUnanswered, "status 307", false, 0},
		"connection broken":             {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, activities.ErrTypeUnanswered, "no answer: EOF", false, 0},
		"not JSON":                      {answering(200, `<html>`), activities.ErrTypeUnanswered, "cannot be used", false, 0},
		"another amount":                {answering(200, `{"authorization_id":"a1","amount":{"amount":1,"currency":"EUR"}}`), activities.ErrTypeUnanswered, "amount is EUR 0.01, asked for EUR 12.90", false, 0},
		"without an ID":                 {answering(201, `{"amount":{"amount":1290,"currency":"EUR"}}`), activities.ErrTypeUnanswered, "authorization_id is missing", false, 0},
		"endless answer":                {answering(200, strings.Repeat(" ", 65<<10)), activities.ErrTypeUnanswered, "more than 65536 bytes", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := newBundle(t, tt.answer)
			_, err := b.authorize()
			requireFailure(t, err, tt.failureType, tt.text, tt.final, tt.delay)
			require.EqualValues(t, 1, b.requests.Load(), "Temporal retries, not the client")
		})
	}
}

func TestOutcomesOfUndo(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		answer      http.HandlerFunc
		failureType string
		final       bool
	}{
		"irreversible":                   {refusing(409, "irreversible", ""), compensation.ErrTypeIrreversible, true},
		"irreversible at another status": {refusing(422, "irreversible", ""), activities.ErrTypeUndoRefused, true},
		"in progress":                    {refusing(409, "in_progress", ""), activities.ErrTypeUnanswered, false},
		"refused":                        {refusing(403, "forbidden", ""), activities.ErrTypeUndoRefused, true},
		"unavailable":                    {answering(503, ``), activities.ErrTypeUnanswered, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			requireFailure(t, newBundle(t, tt.answer).void(), tt.failureType, "", tt.final, 0)
		})
	}
}

func TestRefusalCarriesItsCode(t *testing.T) {
	t.Parallel()

	_, err := newBundle(t, refusing(422, "card_declined", "")).authorize()
	require.Equal(t, "card_declined", compensation.RefusalCode(err))
}

func TestRetryAfterDate(t *testing.T) {
	t.Parallel()

	at := time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
	_, err := newBundle(t, answering(503, ``, "Retry-After", at)).authorize()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.InDelta(t, time.Minute, failure.NextRetryDelay(), float64(5*time.Second))
}

func TestBadURLs(t *testing.T) {
	t.Parallel()

	for _, u := range []string{"", "127.0.0.1:8090", "ftp://host", "http://"} {
		_, err := activities.New(activities.Options{ServicesURL: u})
		require.ErrorContains(t, err, "service pricing: ", u)
	}
	_, err := activities.New(activities.Options{ServicesURL: "http://host", URLs: map[string]string{"payment": "::"}})
	require.ErrorContains(t, err, "service payment: ")
}

func requireFailure(t *testing.T, err error, failureType, text string, final bool, delay time.Duration) {
	t.Helper()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, failureType, failure.Type(), "%v", err)
	require.Contains(t, failure.Message(), text)
	require.Equal(t, final, failure.NonRetryable())
	require.Equal(t, delay, failure.NextRetryDelay())
}
