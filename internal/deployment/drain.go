package deployment

import (
	"context"
	"log/slog"
	"time"
)

// drainEvery is how often a worker looks whether its version is drained. Temporal itself looks every few minutes.
const drainEvery = 5 * time.Second

// AwaitDrained returns nil when the version gets no more sagas and has none left, or ctx's error. A version that is
// drained already when it is first looked at was started for a purpose, such as a rollback: then it has to get sagas
// first. What Temporal does not answer is asked again.
func (d *Deployment) AwaitDrained(ctx context.Context, buildID string, logger *slog.Logger) error {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	used := false
	for {
		s, err := d.Status(ctx)
		if err != nil && ctx.Err() == nil {
			logger.Warn("cannot tell whether the version is drained; asking again", "error", err)
		}
		if v, ok := s.Version(buildID); ok {
			if v.State == Drained && used {
				return nil
			}
			used = used || v.State == Current || v.State == Ramping || v.State == Draining
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
