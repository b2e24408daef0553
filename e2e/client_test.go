package e2e_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
)

// The client and the commands do with real processes what they are for: they place, wait, follow, cancel, find, and
// settle what is parked.
func TestClient(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	c, err := client.New(s.apiURL, client.Options{})
	require.NoError(t, err)

	t.Run("place, wait and follow", func(t *testing.T) {
		t.Parallel()
		started, err := c.PlaceOrder(t.Context(), orderOf(t, "good"), client.StartOptions{Wait: time.Minute})
		require.NoError(t, err)
		require.NotNil(t, started.Ended)
		require.Equal(t, client.Completed, started.Ended.State)
		require.Equal(t, started.ID, started.Ended.Result.OrderID)
		require.Equal(t, []client.State{client.Completed}, follow(t, c, "order-"+started.ID))
	})

	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		started, err := c.PlaceOrder(t.Context(), orderOf(t, "fraud-review"), client.StartOptions{})
		require.NoError(t, err)
		id := "order-" + started.ID
		v, err := c.Saga(t.Context(), id)
		require.NoError(t, err)
		for len(v.Waits) == 0 {
			v, err = c.SagaNews(t.Context(), v, 30*time.Second)
			require.NoError(t, err)
		}
		_, err = c.CancelOrder(t.Context(), started.ID, client.CancelRequest{By: "ada"})
		require.NoError(t, err)
		states := follow(t, c, id)
		require.Equal(t, client.Compensated, states[len(states)-1])
		_, err = c.CancelOrder(t.Context(), started.ID, client.CancelRequest{By: "ada"})
		var p *client.Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, client.CodeAlreadyEnded, p.Code)
	})

	t.Run("the commands settle what is parked", func(t *testing.T) {
		t.Parallel()
		s := s.of(t)
		d := example(t, "orders/good.json")
		id := d.id()
		s.fault("inventory", "CommitStock", d, map[string]any{"refuse": true, "times": 1})

		out, code := s.amends(t, "order", "place", "-f", filepath.Join("..", "examples", "orders", "good.json"), "--idempotency-key", d.key)
		require.Zero(t, code, out)
		require.Contains(t, out, "amends saga watch order-"+id)
		s.awaitParked("/v1/orders/" + id)

		out, code = s.amends(t, "saga", "get", "order-"+id)
		require.Zero(t, code, out)
		require.Contains(t, out, "PARKED: CommitStock, since ")
		retry := "amends saga retry order-" + id + " CommitStock"
		require.Contains(t, out, retry)
		out, code = s.amends(t, append(strings.Fields(retry)[1:], "--by", "grace")...)
		require.Zero(t, code, out)
		out, code = s.amends(t, "saga", "watch", "order-"+id)
		require.Zero(t, code, out)
		require.Contains(t, out, "completed")
		out, code = s.amends(t, "order", "place", "-f", filepath.Join("..", "examples", "orders", "card-declined.json"), "--wait")
		require.Equal(t, 3, code, out)
		require.Contains(t, out, "cause: AuthorizePayment refused")
	})
}

// follow is how a saga stood, each time that it was told, to its end.
func follow(t *testing.T, c *client.Client, id string) (states []client.State) {
	t.Helper()
	for v, err := range c.Follow(t.Context(), id) {
		require.NoError(t, err)
		states = append(states, v.State)
	}
	return states
}

func orderOf(t *testing.T, name string) (order client.OrderRequest) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "examples", "orders", name+".json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &order))
	return order
}

// amends runs a command to its end, and returns what it printed and its exit code.
func (s *system) amends(t *testing.T, args ...string) (string, int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binaries.amends, args...)
	command.Env = append(os.Environ(), "AMENDS_API="+s.apiURL, "XDG_CONFIG_HOME="+t.TempDir())
	out, err := command.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(t, err)
	}
	return string(out), command.ProcessState.ExitCode()
}
