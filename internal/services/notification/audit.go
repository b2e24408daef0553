package notification

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/audit"
)

// Audit compares the mails in the folder with the rows, while nothing is being sent. Nothing is ever
// open: what was sent is final.
func (s *Service) Audit(ctx context.Context) (audit.Report, error) {
	// Not read-only: on SQLite the transaction is then the only writer.
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return audit.Report{}, fmt.Errorf("audit notification: %w", err)
	}
	defer tx.Rollback() // nothing was written
	if s.db.Dialect == fence.PostgreSQL {
		if _, err := tx.ExecContext(ctx, `LOCK TABLE messages IN SHARE MODE`); err != nil {
			return audit.Report{}, fmt.Errorf("audit notification: %w", err)
		}
	}
	onDisk, err := delivered(s.dir)
	if err != nil {
		return audit.Report{}, fmt.Errorf("audit notification: %w", err)
	}
	b := audit.Open(tx, "notification")
	b.Figure("open", 0)
	b.Figure("mails", int64(len(onDisk)))
	b.Count(ctx, "messages", `SELECT COUNT(*) FROM messages WHERE kind = 'message'`)
	b.Count(ctx, "reminders", `SELECT COUNT(*) FROM messages WHERE kind = 'reminder'`)
	recorded, err := sent(ctx, tx)
	if err != nil {
		return audit.Report{}, fmt.Errorf("audit notification: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(recorded)) {
		b.Check(onDisk[id], "sent, but not in the mail folder: %s", id)
	}
	for _, id := range slices.Sorted(maps.Keys(onDisk)) {
		b.Check(recorded[id], "in the mail folder, but not recorded as sent: %s", id)
	}
	return b.Report()
}

func sent(ctx context.Context, tx *sql.Tx) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, `SELECT message_id FROM messages`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // Err below says whether reading failed
	ids := make(map[string]bool)
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids[id] = true
	}
	return ids, rows.Err()
}
