package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
)

// transport answers requests without a network, so that its time is the test's.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// script answers one request after the other, the last answer again and again, and notes their keys and when they came.
type script struct {
	answers []reply
	keys    []string
	at      []time.Duration
	began   time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	s.at = append(s.at, time.Since(s.began))
	next := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return next.send()
}

// reply is an answer: a problem from 400 on, otherwise an order that was accepted. Without a status the connection breaks.
type reply struct {
	status int
	code   client.Code
	// headers are name and value in turn.
	headers []string
	// cut: it breaks off.
	cut bool
}

func (a reply) send() (*http.Response, error) {
	if a.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	body := `{"id":"42","state":"running","links":{"self":"/v1/orders/42","events":"/e"}}`
	w := httptest.NewRecorder()
	if a.status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
		body = fmt.Sprintf(`{"type":"https://p.example","title":"T.","status":%d,"code":%q,"detail":"D."}`, a.status, a.code)
	}
	for i := 0; i < len(a.headers); i += 2 {
		w.Header().Set(a.headers[i], a.headers[i+1])
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, body)
	answer := w.Result()
	if a.cut {
		answer.Body = io.NopCloser(io.MultiReader(strings.NewReader(body[:10]), cut{}))
	}
	return answer, nil
}

func newClient(t *testing.T, rt http.RoundTripper, o client.Options) *client.Client {
	t.Helper()
	o.HTTP = &http.Client{Transport: rt}
	c, err := client.New("http://api.example", o)
	require.NoError(t, err)
	return c
}

func place(t *testing.T, c *client.Client) (*client.Started[client.Receipt], error) {
	t.Helper()
	return c.PlaceOrder(t.Context(), client.OrderRequest{}, client.StartOptions{})
}

// What may succeed later is sent again, with the same key, until it does.
func TestRepeats(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]reply{
		"broken connection": {},
		"502 of a proxy":    {status: 502, headers: []string{"Content-Type", "text/html"}},
		"503":               {status: 503, code: "temporal_unavailable"},
		"504":               {status: 504, headers: []string{"Content-Type", "text/plain"}},
		"429":               {status: 429, code: "too_many_streams"},
		"in flight":         {status: 409, code: "in_flight"},
		"answer cut off":    {status: 202, cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: []reply{failure, failure, {status: 202}}, began: time.Now()}

				got, err := place(t, newClient(t, s, client.Options{}))

				require.NoError(t, err)
				require.Equal(t, "42", got.ID)
				require.Nil(t, got.Ended)
				require.Len(t, s.keys, 3)
				require.NotEmpty(t, s.keys[0])
				require.Equal(t, []string{s.keys[0], s.keys[0], s.keys[0]}, s.keys)
				require.LessOrEqual(t, s.at[1], 200*time.Millisecond+1)
				require.Greater(t, s.at[2], s.at[1])
			})
		})
	}
}

// cut is a body that breaks off.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What was refused is not sent again.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for code, status := range map[client.Code]int{
		client.CodeInvalid: 422, client.CodeNotFound: 404, client.CodeTooLate: 409, client.CodePreconditionFailed: 412, client.CodeInternal: 500,
	} {
		s := &script{answers: []reply{{status: status, code: code}}}

		_, err := place(t, newClient(t, s, client.Options{}))

		var p *client.Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, status, p.Status)
		require.Equal(t, code, p.Code)
		require.NotErrorIs(t, err, client.ErrUnreachable)
		require.EqualError(t, err, fmt.Sprintf("POST /v1/orders: %d %s: T. D.", status, code))
		require.Len(t, s.keys, 1)
	}
}

func TestRepeatsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []reply{{}}, began: time.Now()}

		_, err := place(t, newClient(t, s, client.Options{}))

		require.ErrorIs(t, err, client.ErrUnreachable)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Len(t, s.keys, 11)
		pause := 200 * time.Millisecond
		for i := 1; i < len(s.at); i++ {
			require.LessOrEqual(t, s.at[i]-s.at[i-1], pause+1, "pause %d", i)
			pause = min(2*pause, 5*time.Second)
		}

		s = &script{answers: []reply{{}}}
		_, err = place(t, newClient(t, s, client.Options{Repeats: -1}))
		require.ErrorIs(t, err, client.ErrUnreachable)
		require.Len(t, s.keys, 1)
	})
}

// The pauses are random, and their bound doubles: the first five of twenty clients last about a minute together.
func TestPausesGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sum time.Duration
		for range 20 {
			s := &script{answers: []reply{{}}, began: time.Now()}
			_, err := place(t, newClient(t, s, client.Options{Repeats: 5}))
			require.ErrorIs(t, err, client.ErrUnreachable)
			sum += s.at[5]
		}
		require.Greater(t, sum, 30*time.Second)
		require.Less(t, sum, 100*time.Second)
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []reply{{status: 503, code: "no_worker", headers: []string{"Retry-After", "4"}}, {status: 202}}, began: time.Now()}
		_, err := place(t, newClient(t, s, client.Options{}))
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.at[1], 4*time.Second)

		// Many clients with the same Retry-After do not come back at once.
		first, last := time.Hour, time.Duration(0)
		for range 100 {
			s = &script{answers: []reply{{status: 429, code: "rate_limited", headers: []string{"Retry-After", "4"}}, {status: 202}}, began: time.Now()}
			_, err = place(t, newClient(t, s, client.Options{FirstPause: time.Millisecond}))
			require.NoError(t, err)
			first, last = min(first, s.at[1]), max(last, s.at[1])
		}
		require.GreaterOrEqual(t, first, 4*time.Second)
		require.LessOrEqual(t, last, 5*time.Second+time.Millisecond)
		require.Greater(t, last-first, time.Second/2)

		// Nobody who calls wants to wait for an hour.
		s = &script{answers: []reply{{status: 503, code: "no_worker", headers: []string{"Retry-After", "3600"}}}, began: time.Now()}
		_, err = place(t, newClient(t, s, client.Options{}))
		var p *client.Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, time.Hour, p.RetryAfter)
		require.Len(t, s.keys, 1)
	})
}

func TestContextEndsRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []reply{{status: 503, code: "no_worker", headers: []string{"Retry-After", "5"}}}, began: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), 14*time.Second)
		defer cancel()

		_, err := newClient(t, s, client.Options{}).Overview(ctx)

		require.ErrorIs(t, err, context.DeadlineExceeded)
		var p *client.Problem
		require.ErrorAs(t, err, &p, "and why it was repeated")
		require.Len(t, s.at, 3)
		require.Equal(t, 14*time.Second, time.Since(s.began))
	})
}

// A try that gets no answer is given up; a wait that was asked for comes on top.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		hang := transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c := newClient(t, hang, client.Options{Repeats: -1})
		_, err := c.Overview(t.Context())
		require.ErrorIs(t, err, client.ErrUnreachable)
		require.ErrorContains(t, err, "no answer within 30s")
		require.Equal(t, 30*time.Second, time.Since(began))

		began = time.Now()
		_, err = c.PlaceOrder(t.Context(), client.OrderRequest{}, client.StartOptions{Wait: time.Minute})
		require.ErrorIs(t, err, client.ErrUnreachable)
		require.Equal(t, 90*time.Second, time.Since(began))
	})
}

func TestReadyAsksOnce(t *testing.T) {
	t.Parallel()
	s := &script{answers: []reply{{status: 503, code: "no_worker"}}}
	_, err := newClient(t, s, client.Options{}).Ready(t.Context())
	var p *client.Problem
	require.ErrorAs(t, err, &p)
	require.Len(t, s.at, 1)
}

func TestToken(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent []string
	rt := transport(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, r.Header.Get("Authorization"), r.Header.Get("User-Agent"))
		return reply{status: 200}.send()
	})
	errNoToken := errors.New("no token")
	fresh := 0
	for _, o := range []client.Options{
		{},
		{Token: "fixed", UserAgent: "me/1"},
		{Token: "fixed", TokenSource: func(context.Context) (string, error) { fresh++; return fmt.Sprint("fresh", fresh), nil }},
	} {
		_, err := newClient(t, rt, o).Version(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, []string{"", "amends-client", "Bearer fixed", "me/1", "Bearer fresh1", "amends-client"}, sent)

	_, err := newClient(t, rt, client.Options{TokenSource: func(context.Context) (string, error) { return "", errNoToken }}).Version(t.Context())
	require.ErrorIs(t, err, errNoToken)
	require.Len(t, sent, 6)
}

func TestGivenKey(t *testing.T) {
	t.Parallel()
	s := &script{answers: []reply{{status: 202, headers: []string{"Idempotent-Replayed", "true"}}}}
	c := newClient(t, s, client.Options{})
	started, err := c.PlaceOrder(t.Context(), client.OrderRequest{}, client.StartOptions{Key: "mine"})
	require.NoError(t, err)
	require.True(t, started.Replayed)
	canceled, err := c.CancelOrder(t.Context(), "42", client.CancelRequest{Key: "mine, too"})
	require.NoError(t, err)
	require.True(t, canceled.Replayed)
	require.Equal(t, []string{"mine", "mine, too"}, s.keys)
}

func TestProblemOfSomethingElse(t *testing.T) {
	t.Parallel()
	s := &script{answers: []reply{{status: 413, headers: []string{"Content-Type", "text/html"}}}}
	_, err := place(t, newClient(t, s, client.Options{}))
	require.EqualError(t, err, "POST /v1/orders: 413: Request Entity Too Large.")
}

func TestProblemTellsWhere(t *testing.T) {
	t.Parallel()
	p := &client.Problem{Status: 422, Code: client.CodeInvalid, Title: "Not possible.", Detail: "Some fields cannot be as they are.", Errors: []client.Fault{
		{Pointer: "/lines/0/quantity", Detail: "must be 1 or more"}, {Parameter: "state", Detail: "is none."},
	}}
	require.EqualError(t, p, "422 invalid: Not possible. Some fields cannot be as they are. /lines/0/quantity: must be 1 or more. state: is none.")
	p.Title, p.Errors = "No\x1b[2J\u202e.", nil
	require.Equal(t, "422 invalid: No\ufffd[2J\ufffd. Some fields cannot be as they are.", p.Error(), "it is printed to terminals")
}

func TestNothingNewIsWhatWasSeen(t *testing.T) {
	t.Parallel()
	_, c := newChecker(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", r.Header.Get("If-None-Match"))
		w.WriteHeader(http.StatusNotModified)
	})
	got, err := c.SagaNews(t.Context(), seen, 0)
	require.NoError(t, err)
	require.Same(t, seen, got)
}

func TestBadURL(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "127.0.0.1:8080", "ftp://a.example", "http://", "http://a.example?x=1", "http://a.example#x", "http://a b"} {
		_, err := client.New(bad, client.Options{})
		require.ErrorContains(t, err, "URL of the API", bad)
	}
	c, err := client.New("https://a.example/amends/", client.Options{})
	require.NoError(t, err)
	require.Equal(t, "https://a.example/amends/v1/orders/42", c.URL("/v1/orders/42"))
	require.Equal(t, "http://ui.example/x", c.URL("http://ui.example/x"))
}

func TestEnded(t *testing.T) {
	t.Parallel()
	for state, ended := range map[client.State]bool{
		client.Running: false, client.Compensating: false, client.Parked: false, client.Completed: true, client.Compensated: true,
		client.CompensatedWithExceptions: true, client.Terminated: true,
	} {
		require.Equal(t, ended, state.Ended(), state)
	}
}
