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

// Reserve asks to set goods aside, all from one warehouse.
type Reserve struct {
	Lines []wire.Line `json:"lines"`
}

// Reservation is goods set aside until they are committed or released.
type Reservation struct {
	ReservationID string `json:"reservation_id"`
	Warehouse     string `json:"warehouse"`
}

// Commit asks to let reserved goods leave the warehouse.
type Commit struct {
	ReservationID string `json:"reservation_id"`
}

// Commitment is goods that left the warehouse.
type Commitment struct {
	CommitmentID string `json:"commitment_id"`
}

// reserve takes the lines from the first warehouse, by name, that has all of them.
func (s *Service) reserve(ctx context.Context, tx *sql.Tx, key string, in Reserve) (Reservation, error) {
	var check wire.Check
	check.Lines("lines", in.Lines, 1)
	if err := check.Err(); err != nil {
		return Reservation{}, err
	}
	lines := sorted(in.Lines)
	warehouse, err := setAside(ctx, tx, lines)
	if err != nil {
		return Reservation{}, err
	}
	out := Reservation{ReservationID: wire.ID("res", key), Warehouse: warehouse}
	if _, err := tx.ExecContext(ctx, `INSERT INTO reservations (reservation_id, warehouse, state, reserved_at)
		VALUES ($1, $2, 'open', $3)`, out.ReservationID, warehouse, s.now().UnixMilli()); err != nil {
		return Reservation{}, fmt.Errorf("write the reservation: %w", err)
	}
	return out, writeLines(ctx, tx, reservationLines, out.ReservationID, lines)
}

// setAside moves the lines from on hand to reserved in one warehouse and returns it.
func setAside(ctx context.Context, tx *sql.Tx, lines []wire.Line) (string, error) {
	warehouses, err := stockists(ctx, tx, lines)
	if err != nil {
		return "", err
	}
	for _, warehouse := range warehouses {
		short, err := setAsideAt(ctx, tx, warehouse, lines)
		if err != nil || short < 0 {
			return warehouse, err
		}
		// What the lines before the short one took goes back before the next warehouse is tried.
		for _, l := range lines[:short] {
			if err := move(ctx, tx, warehouse, l.SKU, l.Quantity, -l.Quantity); err != nil {
				return "", err
			}
		}
	}
	return "", whyOutOfStock(ctx, tx, lines)
}

// stockists are the warehouses that had enough of every line when they were asked.
func stockists(ctx context.Context, tx *sql.Tx, lines []wire.Line) ([]string, error) {
	query, args := "", []any{}
	for i, l := range lines {
		if i > 0 {
			query += " OR "
		}
		query += fmt.Sprintf("(sku = $%d AND on_hand >= $%d)", 2*i+1, 2*i+2)
		args = append(args, l.SKU, l.Quantity)
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT warehouse FROM stock WHERE %s
		GROUP BY warehouse HAVING COUNT(*) = %d ORDER BY warehouse`, query, len(lines)), args...)
	if err != nil {
		return nil, fmt.Errorf("look for stock: %w", err)
	}
	defer rows.Close() // Err says whether reading failed
	var warehouses []string
	for rows.Next() {
		var w string
		if err := rows.Scan(&w); err != nil {
			return nil, fmt.Errorf("look for stock: %w", err)
		}
		warehouses = append(warehouses, w)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for stock: %w", err)
	}
	return warehouses, nil
}

// setAsideAt takes the lines in order until one is short, and returns its index, or -1 when all were
// taken. The condition stands in the UPDATE itself, so concurrent reservations cannot take the same
// piece.
func setAsideAt(ctx context.Context, tx *sql.Tx, warehouse string, lines []wire.Line) (short int, err error) {
	for i, l := range lines {
		taken, err := store.Changed(ctx, tx, `UPDATE stock SET on_hand = on_hand - $1, reserved = reserved + $1
			WHERE sku = $2 AND warehouse = $3 AND on_hand >= $1`, l.Quantity, l.SKU, warehouse)
		if err != nil {
			return 0, fmt.Errorf("set %s aside: %w", l.SKU, err)
		}
		if !taken {
			return i, nil
		}
	}
	return -1, nil
}

// whyOutOfStock is the refusal for lines that no warehouse has.
func whyOutOfStock(ctx context.Context, tx *sql.Tx, lines []wire.Line) error {
	for _, l := range lines {
		var most sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT MAX(on_hand) FROM stock WHERE sku = $1`, l.SKU).Scan(&most); err != nil {
			return fmt.Errorf("look for stock: %w", err)
		}
		switch {
		case !most.Valid:
			return fence.Refuse(UnknownSKU, "%q is not kept", l.SKU)
		case most.Int64 < l.Quantity:
			return fence.Refuse(OutOfStock, "%s: %d wanted, %d in stock", l.SKU, l.Quantity, most.Int64)
		}
	}
	return fence.Refuse(OutOfStock, "no warehouse has all of it")
}

// release puts the goods back. What was committed cannot be released.
func (s *Service) release(ctx context.Context, tx *sql.Tx, _ string, in Reserve, out Reservation) error {
	released, err := store.Changed(ctx, tx, `UPDATE reservations SET state = 'released'
		WHERE reservation_id = $1 AND state = 'open'`, out.ReservationID)
	if err != nil {
		return fmt.Errorf("release the reservation: %w", err)
	}
	if !released {
		return fence.Refuse(ReservationCommitted, "reservation %s was committed", out.ReservationID)
	}
	for _, l := range sorted(in.Lines) {
		if err := move(ctx, tx, out.Warehouse, l.SKU, l.Quantity, -l.Quantity); err != nil {
			return err
		}
	}
	return nil
}

// commit lets the goods leave: they are no longer reserved, and no longer there.
func (s *Service) commit(ctx context.Context, tx *sql.Tx, key string, in Commit) (Commitment, error) {
	var warehouse string
	err := tx.QueryRowContext(ctx, `UPDATE reservations SET state = 'committed'
		WHERE reservation_id = $1 AND state = 'open' RETURNING warehouse`, in.ReservationID).Scan(&warehouse)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Commitment{}, whyNotCommitted(ctx, tx, in.ReservationID)
	case err != nil:
		return Commitment{}, fmt.Errorf("commit the reservation: %w", err)
	}
	lines, err := readLines(ctx, tx, `SELECT sku, quantity FROM reservation_lines WHERE reservation_id = $1`, in.ReservationID)
	if err != nil {
		return Commitment{}, err
	}
	for _, l := range lines {
		if err := move(ctx, tx, warehouse, l.SKU, 0, -l.Quantity); err != nil {
			return Commitment{}, err
		}
	}
	return Commitment{CommitmentID: wire.ID("com", key)}, nil
}

func whyNotCommitted(ctx context.Context, tx *sql.Tx, id string) error {
	var state string
	err := tx.QueryRowContext(ctx, `SELECT state FROM reservations WHERE reservation_id = $1`, id).Scan(&state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fence.Refuse(ReservationUnknown, "there is no reservation %q", id)
	case err != nil:
		return fmt.Errorf("look up the reservation: %w", err)
	case state == "released":
		return fence.Refuse(ReservationReleased, "reservation %s was released", id)
	}
	return fence.Refuse(ReservationCommitted, "reservation %s was committed before", id)
}

// move changes what a warehouse has of an article.
func move(ctx context.Context, tx *sql.Tx, warehouse, sku string, onHand, reserved int64) error {
	moved, err := store.Changed(ctx, tx, `UPDATE stock SET on_hand = on_hand + $1, reserved = reserved + $2
		WHERE sku = $3 AND warehouse = $4`, onHand, reserved, sku, warehouse)
	if err == nil && !moved {
		err = errors.New("it is not kept there")
	}
	if err != nil {
		return fmt.Errorf("move %s in %s: %w", sku, warehouse, err)
	}
	return nil
}
