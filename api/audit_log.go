package api

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// AuditLog is where acts of people on sagas are written down. It is safe for concurrent use.
type AuditLog struct {
	handler slog.Handler

	mu sync.Mutex
	// unwritten are the lines that wait until lines can be written again, oldest first.
	unwritten []slog.Record
}

// MaxUnwritten is how many lines wait at most. Each of them stands in the log of the process, too, as an error.
const MaxUnwritten = 1_000

// NewAuditLog returns one whose lines go to h, whatever its level. An error of h is a line that was not written.
func NewAuditLog(h slog.Handler) *AuditLog { return &AuditLog{handler: h} }

// write writes a line, after those that wait for it. If it returns an error, the line waits with them.
func (l *AuditLog) write(ctx context.Context, attrs []slog.Attr) error {
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "act", 0)
	line.AddAttrs(attrs...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unwritten) < MaxUnwritten {
		l.unwritten = append(l.unwritten, line)
	}
	return l.catchUp(ctx)
}

// catchUp writes what waits.
func (l *AuditLog) catchUp(ctx context.Context) error {
	for len(l.unwritten) > 0 {
		if err := l.handler.Handle(ctx, l.unwritten[0]); err != nil {
			return err
		}
		l.unwritten = l.unwritten[1:]
	}
	return nil
}

// Ready writes what could not be written before. While that fails, the process should get no acts.
func (l *AuditLog) Ready(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.catchUp(ctx); err != nil {
		return &failure{code: codeAuditUnwritten, detail: "The audit log cannot be written; why is in this process's log."}
	}
	return nil
}
