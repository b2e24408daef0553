package api

import (
	"context"
	"strings"
	"time"

	"github.com/amends-dev/amends/internal/inbound"
)

// kept keeps what is costly to make, once for all callers who see the same.
type kept[T any] struct{ made inbound.Kept[T] }

// latest is the last one that was made, or a new one if that is too old. Only one is made at a time, for all who ask
// meanwhile.
func (k *kept[T]) latest(ctx context.Context, lasts time.Duration, ask func(context.Context, time.Time) (T, error)) (T, error) {
	return k.made.Latest(ctx, strings.Join(seenBy(callerOf(ctx)), " AND "), lasts, requestTimeout, ask)
}
