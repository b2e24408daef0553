// Package inventory keeps stock: it reserves, releases, commits, and takes returned goods back. It
// knows its warehouses, and nothing of prices or orders.
package inventory

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Migrations make the tables, the warehouse and its stock.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Refusal codes.
const (
	UnknownSKU           = "unknown_sku"
	OutOfStock           = "out_of_stock"
	ReservationUnknown   = "reservation_unknown"
	ReservationReleased  = "reservation_released"
	ReservationCommitted = "reservation_committed"
	GoodsDamaged         = "goods_damaged"
	AlreadyInspected     = "already_inspected"
	InspectionUnknown    = "inspection_unknown"
	InspectionWithdrawn  = "inspection_withdrawn"
	AlreadyRestocked     = "already_restocked"
)

// Service is the inventory service. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations].
func New(db *store.DB) *Service { return &Service{db: db, now: time.Now} }

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string {
	return []string{"ReserveStock", "CommitStock", "InspectGoods", "RestockGoods"}
}

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/reservations/{key}", fence.Step[Reserve, Reservation]{
		Name: "ReserveStock", Do: s.reserve, Undo: s.release,
	})
	fence.Handle(mux, s.db.Ledger, "/commitments/{key}", fence.Step[Commit, Commitment]{
		Name: "CommitStock", Do: s.commit,
	})
	fence.Handle(mux, s.db.Ledger, "/inspections/{key}", fence.Step[Inspect, Inspection]{
		Name: "InspectGoods", Do: s.inspect, Undo: s.withdraw,
	})
	fence.Handle(mux, s.db.Ledger, "/restocks/{key}", fence.Step[Restock, Restocked]{
		Name: "RestockGoods", Do: s.restock,
	})
}

// sorted is a copy of lines by SKU. Every transaction takes the rows of stock in this order, so no
// two of them wait for each other in a circle.
func sorted(lines []wire.Line) []wire.Line {
	return slices.SortedFunc(slices.Values(lines), func(a, b wire.Line) int { return strings.Compare(a.SKU, b.SKU) })
}

// The tables that hold the lines of something, and the column that says of what.
const (
	reservationLines = "reservation_lines (reservation_id"
	inspectionLines  = "inspection_lines (inspection_id"
)

func writeLines(ctx context.Context, tx *sql.Tx, table, id string, lines []wire.Line) error {
	const columns = 3
	args := make([]any, 0, columns*len(lines))
	for _, l := range lines {
		args = append(args, id, l.SKU, l.Quantity)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO `+table+`, sku, quantity) VALUES `+
		store.Placeholders(len(lines), columns), args...)
	if err != nil {
		return fmt.Errorf("write the lines of %s: %w", id, err)
	}
	return nil
}

// readLines runs a query for SKUs and quantities and sorts what it finds.
func readLines(ctx context.Context, tx *sql.Tx, query, id string) ([]wire.Line, error) {
	rows, err := tx.QueryContext(ctx, query, id)
	if err != nil {
		return nil, fmt.Errorf("read the lines of %s: %w", id, err)
	}
	defer rows.Close() // Err says whether reading failed
	var lines []wire.Line
	for rows.Next() {
		var l wire.Line
		if err := rows.Scan(&l.SKU, &l.Quantity); err != nil {
			return nil, fmt.Errorf("read the lines of %s: %w", id, err)
		}
		lines = append(lines, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the lines of %s: %w", id, err)
	}
	return sorted(lines), nil
}
