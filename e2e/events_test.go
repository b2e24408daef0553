package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"
)

// Whoever follows a saga sees its end, whatever becomes of the API meanwhile, and sees nothing twice.
func TestFollow(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	long, begin := place("fraud-review.json")(s), time.Now()
	s.awaitWait(long)
	quiet := s.follow(s.apiURL, long, "")
	quiet.until(waits)

	turning, waiting := place("fraud-review.json")(s), place("fraud-review.json")(s)
	s.awaitWait(turning)
	s.awaitWait(waiting)
	first, process := s.startAPI(time.Hour)
	before, other := s.follow(first, waiting, ""), s.follow(first, turning, "")
	before.until(waits)
	other.until(waits)
	process.kill()
	require.Error(t, before.rest())
	require.Error(t, other.rest())

	s.decide(turning, false)
	s.awaitEnd(turning)
	second, process := s.startAPI(time.Hour)
	after := s.follow(second, turning, other.last())
	require.Equal(t, "compensated", after.until(ended).State)
	require.NoError(t, after.rest())
	require.Len(t, after.events, 1, "what came to be while nobody served it")

	after = s.follow(second, waiting, before.last())
	s.decide(waiting, true)
	require.Equal(t, "completed", after.until(ended).State)
	require.NoError(t, after.rest())
	seen := map[string]bool{}
	for _, e := range append(before.events, after.events...) {
		require.False(t, seen[e.LastEventID], "sent again: %s", e.Data)
		seen[e.LastEventID] = true
	}
	require.Equal(t, "ended", after.events[len(after.events)-1].Type)
	require.Equal(t, `"`+after.last()+`"`, s.ask(http.MethodGet, s.apiURL+"/v1/sagas/"+workflowID(waiting), nil).header.Get("ETag"))
	require.Equal(t, http.StatusNoContent, s.follow(second, waiting, after.last()).status)

	open := s.follow(second, long, "")
	open.until(waits)
	process.stop()
	require.NoError(t, open.rest(), "it ends as it should")

	<-time.After(time.Until(begin.Add(34 * time.Second)))
	s.decide(long, true)
	require.Equal(t, "completed", quiet.until(ended).State, "the server's limits of other answers are 15 and 30 s")
	require.NoError(t, quiet.rest())
	require.GreaterOrEqual(t, strings.Count(quiet.text.String(), "\n: heartbeat\n"), 2)
}

func waits(v saga) bool { return len(v.Waits) > 0 }

// stream is a saga's events as one caller gets them.
type stream struct {
	t      testing.TB
	status int
	next   func() (sse.Event, error, bool)
	events []sse.Event
	// text is all that was sent, comments included.
	text *output
}

// follow follows the saga of an order or return at an API, from the event after the one with that ID.
func (s *system) follow(api, path, last string) *stream {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+s.get(path).Links["events"], nil)
	require.NoError(s.t, err)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	st := &stream{t: s.t, status: answer.StatusCode, text: &output{}}
	next, stop := iter.Pull2(iter.Seq2[sse.Event, error](sse.Read(io.TeeReader(answer.Body, st.text), nil)))
	st.next = next
	s.t.Cleanup(func() {
		stop()
		_ = answer.Body.Close() // nobody reads any more
	})
	return st
}

// until reads until the saga is as wanted.
func (st *stream) until(wanted func(saga) bool) saga {
	st.t.Helper()
	for {
		e, err, ok := st.next()
		require.NoError(st.t, err)
		require.True(st.t, ok, "the stream ends before the saga is as wanted:\n%s", st.text)
		st.events = append(st.events, e)
		var v saga
		require.NoError(st.t, json.Unmarshal([]byte(e.Data), &v))
		if wanted(v) {
			return v
		}
	}
}

// rest reads to the stream's end, and returns why it broke off.
func (st *stream) rest() error {
	for {
		e, err, ok := st.next()
		if err != nil || !ok {
			return err
		}
		st.events = append(st.events, e)
	}
}

// last is the ID of the last event.
func (st *stream) last() string { return st.events[len(st.events)-1].LastEventID }
