package activities_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/amends-dev/amends/activities"
)

// brittle is a connection whose writes fail once it is broken, like one that the other side closed while it was idle.
type brittle struct {
	net.Conn
	broken *atomic.Bool
}

func (c brittle) Write(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, errors.New("broken")
	}
	return c.Conn.Write(b)
}

// TestTransportDoesNotRepeat: net/http repeats by itself a request that it could not write to a connection it had kept.
// Temporal repeats the calls, and counts them: the number decides whether a refusal is definite.
func TestTransportDoesNotRepeat(t *testing.T) {
	t.Parallel()

	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		asGiven(200, authorized, "Content-Type", "application/json")(w, r)
	}))
	t.Cleanup(server.Close)
	var broken atomic.Bool
	var dials atomic.Int64
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if dials.Add(1) > 1 {
			return conn, err
		}
		return brittle{conn, &broken}, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	set, err := activities.New(activities.Options{ServicesURL: server.URL, Transport: transport})
	require.NoError(t, err)
	var suite testsuite.WorkflowTestSuite
	b := &bundle{set: set, TestActivityEnvironment: suite.NewTestActivityEnvironment()}
	b.RegisterActivity(set.Payment)

	_, err = b.authorize()
	require.NoError(t, err)
	broken.Store(true)
	_, err = b.authorize()
	requireFailure(t, err, activities.ErrTypeUnanswered, "no answer", false, 0)
	require.EqualValues(t, 1, requests.Load())
	_, err = b.authorize()
	require.NoError(t, err)
	require.EqualValues(t, 2, dials.Load(), "the first connection was kept")
}
