package inbound

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Kept keeps a value that is costly to make, under a name, once for all who ask for it. The zero value is empty.
type Kept[T any] struct {
	making singleflight.Group
	last   sync.Map
}

type made[T any] struct {
	what T
	at   time.Time
}

// Latest returns the last value that ask made under the name, or a new one if that is older than lasts. Only one is made
// at a time, for all callers that want it meanwhile: ask has a context that ends after within, even if the first caller
// has gone. They all get its error, which is not kept.
func (k *Kept[T]) Latest(ctx context.Context, name string, lasts, within time.Duration, ask func(context.Context, time.Time) (T, error)) (T, error) {
	if found, ok := k.last.Load(name); ok {
		if last, _ := found.(made[T]); time.Since(last.at) < lasts {
			return last.what, nil
		}
	}
	result := k.making.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
		defer cancel()
		now := time.Now().UTC()
		what, err := ask(ctx, now)
		if err == nil {
			k.last.Store(name, made[T]{what, now})
		}
		return what, err
	})
	select {
	case r := <-result:
		what, _ := r.Val.(T)
		return what, r.Err
	case <-ctx.Done():
		var none T
		return none, ctx.Err() //nolint:wrapcheck // it is the caller's own
	}
}

const (
	// readyLasts is the time for which an answer about readiness is kept.
	readyLasts = time.Second
	// readyTimeout limits the time to find one: callers give up after a few seconds.
	readyTimeout = 2 * time.Second
)

// Readiness keeps the result of a readiness check for a second, good or bad, so that its cost does not depend on the
// number of callers. The zero value is ready for use.
type Readiness[T any] struct{ kept Kept[readiness[T]] }

type readiness[T any] struct {
	found T
	err   error
}

// Check returns the result of check within the last second. check runs once for all callers meanwhile, for up to two
// seconds.
func (r *Readiness[T]) Check(ctx context.Context, check func(context.Context) (T, error)) (T, error) {
	last, err := r.kept.Latest(ctx, "", readyLasts, readyTimeout, func(ctx context.Context, _ time.Time) (readiness[T], error) {
		found, err := check(ctx)
		return readiness[T]{found, err}, nil
	})
	if err != nil {
		return last.found, err
	}
	return last.found, last.err
}
