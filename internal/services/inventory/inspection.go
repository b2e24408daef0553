package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Condition is the state in which returned goods arrived.
type Condition string

// The conditions.
const (
	Resalable Condition = "resalable"
	Damaged   Condition = "damaged"
)

// Inspect asks to accept the goods of a return shipment.
type Inspect struct {
	ReturnShipmentID string      `json:"return_shipment_id"`
	Lines            []wire.Line `json:"lines"`
	Condition        Condition   `json:"condition"`
}

// Inspection is goods that may be sold again, not yet back in stock.
type Inspection struct {
	InspectionID string `json:"inspection_id"`
}

// Restock asks to put inspected goods back in stock.
type Restock struct {
	InspectionID string `json:"inspection_id"`
}

// Restocked is goods back in stock.
type Restocked struct {
	RestockID string `json:"restock_id"`
}

// inspect accepts goods that the warehouse for returns keeps and that are not damaged, so that
// restocking them cannot be refused later.
func (s *Service) inspect(ctx context.Context, tx *sql.Tx, key string, in Inspect) (Inspection, error) {
	var check wire.Check
	check.Text("return_shipment_id", in.ReturnShipmentID)
	check.Lines("lines", in.Lines, 1)
	check.That(in.Condition == Resalable || in.Condition == Damaged, "condition", "must be resalable or damaged")
	if err := check.Err(); err != nil {
		return Inspection{}, err
	}
	if in.Condition == Damaged {
		return Inspection{}, fence.Refuse(GoodsDamaged, "the goods of return %s are damaged", in.ReturnShipmentID)
	}
	warehouse, err := returnsWarehouse(ctx, tx, in.Lines)
	if err != nil {
		return Inspection{}, err
	}
	out := Inspection{InspectionID: wire.ID("insp", key)}
	written, err := store.Changed(ctx, tx, `INSERT INTO inspections
		(inspection_id, return_shipment_id, warehouse, state, inspected_at) VALUES ($1, $2, $3, 'open', $4)
		ON CONFLICT (return_shipment_id) WHERE state <> 'withdrawn' DO NOTHING`,
		out.InspectionID, in.ReturnShipmentID, warehouse, s.now().UnixMilli())
	if err != nil {
		return Inspection{}, fmt.Errorf("write the inspection: %w", err)
	}
	if !written {
		return Inspection{}, fence.Refuse(AlreadyInspected, "return %s was inspected before", in.ReturnShipmentID)
	}
	return out, writeLines(ctx, tx, inspectionLines, out.InspectionID, sorted(in.Lines))
}

// returnsWarehouse is the first warehouse, by name, that takes returns and keeps all the articles.
func returnsWarehouse(ctx context.Context, tx *sql.Tx, lines []wire.Line) (string, error) {
	args := make([]any, 0, len(lines))
	for _, l := range lines {
		args = append(args, l.SKU)
	}
	var warehouse string
	err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT s.warehouse FROM stock s
		JOIN warehouses w ON w.warehouse = s.warehouse AND w.takes_returns = 1
		WHERE s.sku IN %s GROUP BY s.warehouse HAVING COUNT(*) = %d ORDER BY s.warehouse LIMIT 1`,
		store.Placeholders(1, len(lines)), len(lines)), args...).Scan(&warehouse)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fence.Refuse(UnknownSKU, "no warehouse that takes returns keeps all of the articles")
	}
	if err != nil {
		return "", fmt.Errorf("look for a warehouse: %w", err)
	}
	return warehouse, nil
}

// withdraw takes the acceptance back. What was restocked stays accepted.
func (s *Service) withdraw(ctx context.Context, tx *sql.Tx, _ string, _ Inspect, out Inspection) error {
	withdrawn, err := store.Changed(ctx, tx, `UPDATE inspections SET state = 'withdrawn'
		WHERE inspection_id = $1 AND state = 'open'`, out.InspectionID)
	if err != nil {
		return fmt.Errorf("withdraw the inspection: %w", err)
	}
	if !withdrawn {
		return fence.Refuse(AlreadyRestocked, "the goods of inspection %s are back in stock", out.InspectionID)
	}
	return nil
}

// restock puts the inspected goods on hand.
func (s *Service) restock(ctx context.Context, tx *sql.Tx, key string, in Restock) (Restocked, error) {
	var warehouse string
	err := tx.QueryRowContext(ctx, `UPDATE inspections SET state = 'restocked'
		WHERE inspection_id = $1 AND state = 'open' RETURNING warehouse`, in.InspectionID).Scan(&warehouse)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Restocked{}, whyNotRestocked(ctx, tx, in.InspectionID)
	case err != nil:
		return Restocked{}, fmt.Errorf("close the inspection: %w", err)
	}
	lines, err := readLines(ctx, tx, `SELECT sku, quantity FROM inspection_lines WHERE inspection_id = $1`, in.InspectionID)
	if err != nil {
		return Restocked{}, err
	}
	for _, l := range lines {
		if err := move(ctx, tx, warehouse, l.SKU, l.Quantity, 0); err != nil {
			return Restocked{}, err
		}
	}
	return Restocked{RestockID: wire.ID("rest", key)}, nil
}

func whyNotRestocked(ctx context.Context, tx *sql.Tx, id string) error {
	var state string
	err := tx.QueryRowContext(ctx, `SELECT state FROM inspections WHERE inspection_id = $1`, id).Scan(&state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fence.Refuse(InspectionUnknown, "there is no inspection %q", id)
	case err != nil:
		return fmt.Errorf("look up the inspection: %w", err)
	case state == "withdrawn":
		return fence.Refuse(InspectionWithdrawn, "inspection %s was withdrawn", id)
	}
	return fence.Refuse(AlreadyRestocked, "the goods of inspection %s are back in stock", id)
}
