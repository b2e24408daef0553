package api

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// kept keeps what is costly to make, once for all callers who see the same.
type kept[T any] struct {
	making singleflight.Group
	last   sync.Map
}

type made[T any] struct {
	what T
	at   time.Time
}

// latest is the last one that was made, or a new one if that is too old. Only one is made at a time, for all who ask
// meanwhile.
func (k *kept[T]) latest(ctx context.Context, lasts time.Duration, ask func(context.Context, time.Time) (T, error)) (T, error) {
	scope := strings.Join(seenBy(callerOf(ctx)), " AND ")
	if found, ok := k.last.Load(scope); ok {
		if last, _ := found.(made[T]); time.Since(last.at) < lasts {
			return last.what, nil
		}
	}
	result := k.making.DoChan(scope, func() (any, error) {
		// The one who asked first may go, and the others stay.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		now := time.Now().UTC()
		what, err := ask(ctx, now)
		if err == nil {
			k.last.Store(scope, made[T]{what, now})
		}
		return what, err
	})
	select {
	case r := <-result:
		what, _ := r.Val.(T)
		return what, r.Err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
