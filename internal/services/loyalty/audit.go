package loyalty

import (
	"context"
	"database/sql"

	"github.com/amends-dev/amends/internal/services/audit"
)

// Audit recomputes every balance from its postings, and the holds from theirs.
func (s *Service) Audit(ctx context.Context) (audit.Report, error) {
	var report audit.Report
	err := s.db.Snapshot(ctx, func(tx *sql.Tx) (err error) {
		b := audit.Open(tx, "loyalty")
		b.Count(ctx, "accounts", `SELECT COUNT(*) FROM accounts`)
		b.Count(ctx, "balance", `SELECT CAST(SUM(balance) AS BIGINT) FROM accounts`)
		b.Count(ctx, "open_holds", `SELECT COUNT(*) FROM holds WHERE state = 'open'`)
		open := b.Count(ctx, "open_points", `SELECT CAST(SUM(points) AS BIGINT) FROM holds WHERE state = 'open'`)
		spent := b.Count(ctx, "spent", `SELECT CAST(SUM(points) AS BIGINT) FROM holds WHERE state = 'spent'`)
		b.Count(ctx, "awarded", `SELECT CAST(SUM(points) AS BIGINT) FROM postings WHERE kind = 'award'`)
		b.Count(ctx, "taken_back", `SELECT CAST(-SUM(points) AS BIGINT) FROM postings WHERE kind = 'takeback'`)
		held := b.Number(ctx, `SELECT CAST(-SUM(points) AS BIGINT) FROM postings WHERE kind IN ('hold', 'release')`)
		b.Equal("points held and not released are open or spent", held, open+spent)
		b.Each(ctx, "balance is not the sum of the postings", `
			SELECT customer_id FROM (
				SELECT customer_id, balance AS points FROM accounts
				UNION ALL
				SELECT customer_id, -points FROM postings
			) AS entries
			GROUP BY customer_id HAVING SUM(points) <> 0 ORDER BY customer_id`)
		b.Each(ctx, "balance below zero", `SELECT customer_id FROM accounts WHERE balance < 0 ORDER BY customer_id`)
		report, err = b.Report()
		return err
	})
	return report, err
}
