package shipping

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/audit"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// dispatch hands the shipment over. Its room stays used: the carrier is on the road with it.
func (s *Service) dispatch(ctx context.Context, tx *sql.Tx, _ string, in Dispatch) (Dispatched, error) {
	var c wire.Check
	c.Text("shipment_id", in.ShipmentID)
	if err := c.Err(); err != nil {
		return Dispatched{}, err
	}
	var out Dispatched
	err := tx.QueryRowContext(ctx, `UPDATE shipments SET state = 'dispatched'
		WHERE shipment_id = $1 AND direction = 'outbound' AND state = 'booked' RETURNING tracking`, in.ShipmentID).
		Scan(&out.Tracking)
	if errors.Is(err, sql.ErrNoRows) {
		return Dispatched{}, refuseDispatch(ctx, tx, in.ShipmentID)
	}
	if err != nil {
		return Dispatched{}, fmt.Errorf("dispatch shipment: %w", err)
	}
	return out, nil
}

// refuseDispatch says why a shipment cannot be dispatched. One that was booked never becomes so
// again, so what is read after the failed update still holds.
func refuseDispatch(ctx context.Context, tx *sql.Tx, id string) error {
	var state string
	err := tx.QueryRowContext(ctx, `SELECT state FROM shipments WHERE shipment_id = $1 AND direction = 'outbound'`, id).
		Scan(&state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fence.Refuse(ShipmentUnknown, "there is no shipment %s", id)
	case err != nil:
		return fmt.Errorf("look up shipment: %w", err)
	case state == "dispatched":
		return fence.Refuse(AlreadyDispatched, "shipment %s was dispatched", id)
	}
	return fence.Refuse(ShipmentCanceled, "shipment %s was canceled", id)
}

func (s *Service) cancelShipment(ctx context.Context, tx *sql.Tx, _ string, _ Shipment, out Booking) error {
	return cancel(ctx, tx, out.ShipmentID, out.Carrier)
}

func (s *Service) cancelReturn(ctx context.Context, tx *sql.Tx, _ string, _ Return, out ReturnBooking) error {
	return cancel(ctx, tx, out.ReturnShipmentID, out.Carrier)
}

// cancel gives the shipment's room back. What is on the road cannot be canceled.
func cancel(ctx context.Context, tx *sql.Tx, id, carrier string) error {
	canceled, err := store.Changed(ctx, tx, `UPDATE shipments SET state = 'canceled'
		WHERE shipment_id = $1 AND state = 'booked'`, id)
	if err != nil {
		return fmt.Errorf("cancel shipment: %w", err)
	}
	if !canceled {
		return fence.Refuse(AlreadyDispatched, "shipment %s was dispatched", id)
	}
	err = tx.QueryRowContext(ctx, `UPDATE carriers SET used = used - 1 WHERE carrier = $1 RETURNING carrier`, carrier).
		Scan(&carrier)
	if err != nil {
		return fmt.Errorf("free room: %w", err)
	}
	return nil
}

// Audit recomputes every carrier's used capacity from the shipments. An outbound one
// that is booked is open until it is dispatched; a return stands, since nobody tells this service when its goods arrive.
func (s *Service) Audit(ctx context.Context) (audit.Report, error) {
	var report audit.Report
	err := s.db.Snapshot(ctx, func(tx *sql.Tx) (err error) {
		b := audit.Open(tx, "shipping")
		b.Count(ctx, "open_shipments", `SELECT COUNT(*) FROM shipments WHERE state = 'booked' AND direction = 'outbound'`)
		b.Count(ctx, "standing_returns", `SELECT COUNT(*) FROM shipments WHERE state = 'booked' AND direction = 'return'`)
		b.Count(ctx, "dispatched", `SELECT COUNT(*) FROM shipments WHERE state = 'dispatched'`)
		b.Count(ctx, "canceled", `SELECT COUNT(*) FROM shipments WHERE state = 'canceled'`)
		b.Counts(ctx, "used_", `SELECT carrier, used FROM carriers`)
		b.Each(ctx, "used capacity is not the number of shipments", `
			SELECT carrier FROM (
				SELECT carrier, used FROM carriers
				UNION ALL
				SELECT carrier, -1 FROM shipments WHERE state <> 'canceled'
			) AS entries
			GROUP BY carrier HAVING SUM(used) <> 0 ORDER BY carrier`)
		b.Each(ctx, "more used than there is", `SELECT carrier FROM carriers WHERE used < 0 OR used > capacity ORDER BY carrier`)
		report, err = b.Report()
		return err
	})
	return report, err
}
