package api

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Whoever asks from very many addresses cannot fill the memory, nor can those who never come back.
func TestCallersAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1, 2)
		take := func(caller string) bool {
			_, ok := l.take(caller, time.Now())
			return ok
		}
		for i := range 20_000 {
			require.True(t, take(fmt.Sprint(i)))
		}
		require.Equal(t, 10_000, l.buckets.Len())
		require.True(t, take("19999"))
		require.False(t, take("19999"), "the last ones are known")
		require.True(t, take("0"))
		require.True(t, take("0"), "the first one was forgotten")

		<-time.After(time.Second)
		require.True(t, take("19998"))
		<-time.After(time.Second)
		require.True(t, take("new"))
		require.Equal(t, 2, l.buckets.Len(), "only those who asked within the two seconds that a bucket takes to fill")
	})
}
