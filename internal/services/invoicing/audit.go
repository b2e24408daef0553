package invoicing

import (
	"context"
	"database/sql"

	"github.com/amends-dev/amends/internal/services/audit"
)

// Audit recomputes the numbers, what was approved for return, and what was credited.
func (s *Service) Audit(ctx context.Context) (audit.Report, error) {
	var report audit.Report
	err := s.db.Snapshot(ctx, func(tx *sql.Tx) (err error) {
		b := audit.Open(tx, "invoicing")
		b.Count(ctx, "paid", `SELECT CAST(SUM(paid) AS BIGINT) FROM invoices`)
		b.Count(ctx, "open_approvals", `SELECT COUNT(*) FROM approvals WHERE state = 'open'`)
		b.Count(ctx, "open_refund", `SELECT CAST(SUM(refund) AS BIGINT) FROM approvals WHERE state = 'open'`)
		b.Count(ctx, "withdrawn", `SELECT COUNT(*) FROM approvals WHERE state = 'withdrawn'`)
		b.Count(ctx, "credited", `SELECT CAST(SUM(amount) AS BIGINT) FROM credit_notes`)
		auditNumbers(ctx, b, "invoices", "invoice")
		auditNumbers(ctx, b, "credit_notes", "credit_note")
		auditApprovals(ctx, b)
		b.Each(ctx, "an order has more than one invoice", `
			SELECT order_id FROM invoices GROUP BY order_id HAVING COUNT(*) > 1 ORDER BY order_id`)
		b.Each(ctx, "the total is not the sum of the lines", `
			SELECT order_id FROM (
				SELECT order_id, total AS amount FROM invoices
				UNION ALL
				SELECT order_id, -amount FROM invoice_lines
			) AS entries
			GROUP BY order_id HAVING SUM(amount) <> 0 ORDER BY order_id`)
		b.Each(ctx, "more credited than paid", `
			SELECT order_id FROM invoices i WHERE paid < (
				SELECT COALESCE(SUM(c.amount), 0) FROM credit_notes c JOIN approvals a ON a.approval_id = c.approval_id
				WHERE a.order_id = i.order_id
			) ORDER BY order_id`)
		report, err = b.Report()
		return err
	})
	return report, err
}

// auditNumbers checks that the numbers of table are 1 to as many as there are, and that the counter
// stands there.
func auditNumbers(ctx context.Context, b *audit.Books, table, counter string) {
	n := b.Count(ctx, table, `SELECT COUNT(*) FROM `+table)
	b.Equal("the highest number of "+table+" is their count", b.Number(ctx, `SELECT MAX(number) FROM `+table), n)
	b.Equal("the counter of "+table+" is their count", b.Number(ctx, `SELECT value FROM counters WHERE name = $1`, counter), n)
	b.Equal("different numbers of "+table, b.Number(ctx, `SELECT COUNT(DISTINCT number) FROM `+table+` WHERE number > 0`), n)
}

// auditApprovals checks what invoices and lines keep about approvals against the approvals.
func auditApprovals(ctx context.Context, b *audit.Books) {
	b.Each(ctx, "approved money or points are not those of the approvals that stand", `
		SELECT order_id FROM (
			SELECT order_id, refund_approved AS refund, points_approved AS points FROM invoices
			UNION ALL
			SELECT order_id, -refund, -points FROM approvals WHERE state <> 'withdrawn'
		) AS entries
		GROUP BY order_id HAVING SUM(refund) <> 0 OR SUM(points) <> 0 ORDER BY order_id`)
	b.Each(ctx, "more approved than paid or earned", `
		SELECT order_id FROM invoices
		WHERE refund_approved NOT BETWEEN 0 AND paid OR points_approved NOT BETWEEN 0 AND points_awarded
		ORDER BY order_id`)
	b.Each(ctx, "returned pieces are not those of the approvals that stand", `
		SELECT order_id || ', ' || sku FROM (
			SELECT order_id, sku, returned FROM invoice_lines
			UNION ALL
			SELECT a.order_id, l.sku, -l.quantity FROM approval_lines l
			JOIN approvals a ON a.approval_id = l.approval_id WHERE a.state <> 'withdrawn'
		) AS entries
		GROUP BY order_id, sku HAVING SUM(returned) <> 0 ORDER BY 1`)
	b.Each(ctx, "more returned than ordered", `
		SELECT order_id || ', ' || sku FROM invoice_lines WHERE returned NOT BETWEEN 0 AND quantity ORDER BY 1`)
	b.Each(ctx, "credited approval and credit note disagree", `
		SELECT a.approval_id FROM approvals a LEFT JOIN credit_notes c ON c.approval_id = a.approval_id
		WHERE (a.state = 'credited') <> (c.approval_id IS NOT NULL) OR a.refund <> c.amount ORDER BY a.approval_id`)
}
