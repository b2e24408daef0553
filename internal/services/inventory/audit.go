package inventory

import (
	"context"
	"database/sql"

	"github.com/amends-dev/amends/internal/services/audit"
)

// pieces is a row of stock beside what the other tables say of it.
type pieces struct {
	of                                        string
	onHand, reserved                          int64
	received, openLines, committed, restocked int64
}

const piecesQuery = `SELECT s.sku || ' in ' || s.warehouse, s.on_hand, s.reserved,
	COALESCE(c.received, 0), COALESCE(r.open_lines, 0), COALESCE(r.committed, 0), COALESCE(i.restocked, 0)
FROM stock s
LEFT JOIN (SELECT sku, warehouse, CAST(SUM(quantity) AS BIGINT) AS received
	FROM receipts GROUP BY sku, warehouse) c ON c.sku = s.sku AND c.warehouse = s.warehouse
LEFT JOIN (SELECT l.sku, o.warehouse,
		CAST(SUM(CASE o.state WHEN 'open' THEN l.quantity ELSE 0 END) AS BIGINT) AS open_lines,
		CAST(SUM(CASE o.state WHEN 'committed' THEN l.quantity ELSE 0 END) AS BIGINT) AS committed
	FROM reservation_lines l JOIN reservations o ON o.reservation_id = l.reservation_id
	GROUP BY l.sku, o.warehouse) r ON r.sku = s.sku AND r.warehouse = s.warehouse
LEFT JOIN (SELECT l.sku, o.warehouse, CAST(SUM(l.quantity) AS BIGINT) AS restocked
	FROM inspection_lines l JOIN inspections o ON o.inspection_id = l.inspection_id
	WHERE o.state = 'restocked' GROUP BY l.sku, o.warehouse) i ON i.sku = s.sku AND i.warehouse = s.warehouse`

// Audit follows every piece from its receipt: it is on hand, reserved, or committed and perhaps
// restocked. The figure open counts reservations, open_inspections counts inspections; the others
// count pieces.
func (s *Service) Audit(ctx context.Context) (report audit.Report, err error) {
	err = s.db.Snapshot(ctx, func(tx *sql.Tx) error {
		b := audit.Open(tx, "inventory")
		b.Count(ctx, "open", `SELECT COUNT(*) FROM reservations WHERE state = 'open'`)
		b.Count(ctx, "open_inspections", `SELECT COUNT(*) FROM inspections WHERE state = 'open'`)
		auditStock(ctx, b)
		b.Each(ctx, "a reservation has no lines", `SELECT reservation_id FROM reservations r
			WHERE NOT EXISTS (SELECT 1 FROM reservation_lines l WHERE l.reservation_id = r.reservation_id)`)
		b.Each(ctx, "a reservation is of an article that is not kept there", `SELECT r.reservation_id || ' ' || l.sku
			FROM reservation_lines l JOIN reservations r ON r.reservation_id = l.reservation_id
			WHERE NOT EXISTS (SELECT 1 FROM stock s WHERE s.sku = l.sku AND s.warehouse = r.warehouse)`)
		report, err = b.Report()
		return err
	})
	return report, err
}

func auditStock(ctx context.Context, b *audit.Books) {
	var all pieces
	b.Rows(ctx, piecesQuery, nil, func(rows *sql.Rows) error {
		var p pieces
		if err := rows.Scan(&p.of, &p.onHand, &p.reserved, &p.received, &p.openLines, &p.committed, &p.restocked); err != nil {
			return err
		}
		b.Check(p.onHand >= 0 && p.reserved >= 0, "%s is below zero: %d on hand, %d reserved", p.of, p.onHand, p.reserved)
		b.Equal(p.of+": reserved against the lines of open reservations", p.reserved, p.openLines)
		b.Equal(p.of+": on hand, reserved and committed against received and restocked",
			p.onHand+p.reserved+p.committed, p.received+p.restocked)
		all.onHand += p.onHand
		all.reserved += p.reserved
		all.received += p.received
		all.committed += p.committed
		all.restocked += p.restocked
		return nil
	})
	b.Figure("on_hand", all.onHand)
	b.Figure("reserved", all.reserved)
	b.Figure("received", all.received)
	b.Figure("committed", all.committed)
	b.Figure("restocked", all.restocked)
}
