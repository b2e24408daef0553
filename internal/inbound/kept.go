package inbound

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Kept keeps what is costly to make, under a name, once for all who ask for it. The zero value keeps nothing so far.
type Kept[T any] struct {
	making singleflight.Group
	last   sync.Map
}

type made[T any] struct {
	what T
	at   time.Time
}

// Latest is the last one that ask made under the name, or a new one if that is older than lasts. Only one is made at a time, for
// all who want it meanwhile: ask has a context that ends after within, and not when the one who came first has gone. An error is
// for them, and not kept.
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
	// readyLasts is how long an answer about readiness is kept.
	readyLasts = time.Second
	// readyTimeout is how long one may take: those who ask give up after few seconds.
	readyTimeout = 2 * time.Second
)

// Readiness keeps for a second what a check of readiness found, good or bad, so that it costs the same whoever asks, and however
// often. The zero value is ready for use.
type Readiness[T any] struct{ kept Kept[readiness[T]] }

type readiness[T any] struct {
	found T
	err   error
}

// Check is what check found within the last second. It runs once for all who ask meanwhile, for two seconds at most.
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
