package inbound_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/inbound"
)

// However many callers ask, and whatever the result, the check runs once a second, for all callers at once.
func TestReadinessIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r inbound.Readiness[int]
		var checks atomic.Int64
		var answer error
		check := func(context.Context) (int, error) {
			n := checks.Add(1)
			<-time.After(100 * time.Millisecond)
			return int(n), answer
		}
		for round, err := range []error{nil, errors.New("nobody works"), nil} {
			answer = err
			var asking sync.WaitGroup
			for range 100 {
				asking.Go(func() {
					n, got := r.Check(t.Context(), check)
					require.Equal(t, round+1, n)
					require.Equal(t, err, got)
				})
			}
			asking.Wait()
			<-time.After(899 * time.Millisecond) // since it began
			n, got := r.Check(t.Context(), check)
			require.Equal(t, round+1, n)
			require.Equal(t, err, got)
			require.EqualValues(t, round+1, checks.Load())
			<-time.After(time.Millisecond)
		}
	})
}

// The first caller may leave: the others get their answer. A check that does not end is given up.
func TestReadinessOutlivesWhoAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r inbound.Readiness[int]
		begin := time.Now()
		stuck := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		gone, leave := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			_, err := r.Check(gone, stuck)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, time.Second, time.Since(begin))
		})
		synctest.Wait()
		asking.Go(func() {
			_, err := r.Check(t.Context(), stuck)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 2*time.Second, time.Since(begin))
		})
		<-time.After(time.Second)
		leave()
		asking.Wait()
	})
}
