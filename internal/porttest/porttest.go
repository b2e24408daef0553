// Package porttest gives tests ports for processes that cannot choose one themselves.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// last is the port that Free gave last. The range lies below those that systems give to whoever asks for any port, so nobody
// gets one of ours between Free and the process that listens there. (And Temporal keeps some in 15 bits.)
var last atomic.Int64

func init() { last.Store(20_000 + rand.Int64N(8_000)) }

// Free finds a port of 127.0.0.1 that nobody listens at and that no other test of this process gets.
func Free(tb testing.TB) int {
	tb.Helper()
	for range 1_000 {
		port := int(last.Add(1))
		l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			require.NoError(tb, l.Close())
			return port
		}
	}
	require.Fail(tb, "no free port", "tried 1000 up to %d", last.Load())
	return 0
}
