package client_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
)

func event(id, name, state string) string {
	return fmt.Sprintf("id: %s\nevent: %s\ndata: {\"id\":\"order-42\",\"state\":%q}\n\n", id, name, state)
}

// streams serves one stream after the other, and notes from which event each goes on.
type streams struct {
	list []io.Reader
	from []string
	at   []time.Time
}

func (s *streams) RoundTrip(r *http.Request) (*http.Response, error) {
	s.from = append(s.from, r.Header.Get("Last-Event-ID"))
	s.at = append(s.at, time.Now())
	if len(s.list) == 0 {
		return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
	}
	next := s.list[0]
	s.list = s.list[1:]
	if next == nil {
		return nil, io.ErrUnexpectedEOF
	}
	if silent, ok := next.(*silence); ok {
		silent.over = r.Context().Done()
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(next)}, nil
}

// silence is a connection on which nothing comes after its text.
type silence struct {
	text *strings.Reader
	over <-chan struct{}
}

func (s *silence) Read(p []byte) (int, error) {
	if s.text.Len() > 0 {
		return s.text.Read(p)
	}
	<-s.over
	return 0, io.ErrClosedPipe
}

// follow is what a client is told, each as its tag and state.
func follow(t *testing.T, s *streams) (told []string, err error) {
	t.Helper()
	for v, err := range newClient(t, s, client.Options{}).Follow(t.Context(), "order-42") {
		if err != nil {
			return told, err
		}
		told = append(told, v.ETag+" "+string(v.State))
	}
	return told, nil
}

// A stream that breaks off, or says no more, goes on from its last event.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		half := event("c", "saga", "parked")
		s := &streams{list: []io.Reader{
			strings.NewReader("retry: 1000\n\n" + event("a", "saga", "running") + ": heartbeat\n\n" + event("b", "saga", "running")),
			io.MultiReader(strings.NewReader(half[:len(half)/2]), cut{}),
			nil,
			&silence{text: strings.NewReader(event("c", "saga", "parked"))},
			strings.NewReader(event("d", "ended", "compensated") + event("e", "saga", "running")),
		}}

		told, err := follow(t, s)

		require.NoError(t, err)
		require.Equal(t, []string{`"a" running`, `"b" running`, `"c" parked`, `"d" compensated`}, told)
		require.Equal(t, []string{"", "b", "b", "b", "c"}, s.from)
		quiet := s.at[4].Sub(s.at[3])
		require.GreaterOrEqual(t, quiet, 45*time.Second)
		require.LessOrEqual(t, quiet, 46*time.Second+1)
	})
}

func TestFollowWhatTheCallerKnowsHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &streams{list: []io.Reader{strings.NewReader(event("a", "saga", "completed"))}}
		told, err := follow(t, s)
		require.NoError(t, err)
		require.Equal(t, []string{`"a" completed`}, told)
		require.Equal(t, []string{"", "a"}, s.from)
	})
}

func TestFollowNothing(t *testing.T) {
	t.Parallel()
	s := &script{answers: []reply{{status: 404, code: client.CodeNotFound}}}
	n := 0
	for v, err := range newClient(t, s, client.Options{}).Follow(t.Context(), "order-42") {
		n++
		require.Nil(t, v)
		var p *client.Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, client.CodeNotFound, p.Code)
	}
	require.Equal(t, 1, n)
}

func TestFollowWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	told, err := follow(t, &streams{list: []io.Reader{strings.NewReader("id: a\nevent: saga\ndata: [\n\n")}})
	require.ErrorContains(t, err, "read event a")
	require.Empty(t, told)
}

// A caller who has seen enough ends the stream.
func TestFollowStops(t *testing.T) {
	t.Parallel()
	s := &streams{list: []io.Reader{strings.NewReader(event("a", "saga", "running") + event("b", "saga", "running"))}}
	for v, err := range newClient(t, s, client.Options{}).Follow(t.Context(), "order-42") {
		require.NoError(t, err)
		require.Equal(t, `"a"`, v.ETag)
		break
	}
	require.Len(t, s.from, 1)
}
