package activities

import (
	"context"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Inventory keeps stock in the warehouses.
type Inventory struct{ participant }

// ReserveStock asks to set goods aside.
type ReserveStock struct {
	Lines []order.Line `json:"lines"`
}

// Reservation is goods set aside.
type Reservation struct {
	ID        string `json:"reservation_id"`
	Warehouse string `json:"warehouse"`
}

// ReserveStock sets goods aside. It refuses when there are not enough.
func (a *Inventory) ReserveStock(ctx context.Context, key compensation.Key, in ReserveStock) (Reservation, error) {
	return do(ctx, a.participant, "reservations", key, in, func(r Reservation) error {
		return given("reservation_id", r.ID)
	})
}

// ReleaseStock puts the goods back.
func (a *Inventory) ReleaseStock(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "reservations", key)
}

// CommitStock takes reserved goods out of stock.
type CommitStock struct {
	ReservationID string `json:"reservation_id"`
}

// Commitment is the result of CommitStock.
type Commitment struct {
	ID string `json:"commitment_id"`
}

// CommitStock takes the reserved goods out of stock for good.
func (a *Inventory) CommitStock(ctx context.Context, key compensation.Key, in CommitStock) (Commitment, error) {
	return do(ctx, a.participant, "commitments", key, in, func(c Commitment) error {
		return given("commitment_id", c.ID)
	})
}

// InspectGoods asks whether returned goods can be taken back.
type InspectGoods struct {
	ReturnShipmentID string          `json:"return_shipment_id"`
	Lines            []order.Line    `json:"lines"`
	Condition        order.Condition `json:"condition"`
}

// Inspection is the result of InspectGoods.
type Inspection struct {
	ID string `json:"inspection_id"`
}

// InspectGoods notes what arrived. It refuses damaged goods.
func (a *Inventory) InspectGoods(ctx context.Context, key compensation.Key, in InspectGoods) (Inspection, error) {
	return do(ctx, a.participant, "inspections", key, in, func(i Inspection) error {
		return given("inspection_id", i.ID)
	})
}

// WithdrawInspection takes the inspection back: its goods will not be restocked.
func (a *Inventory) WithdrawInspection(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "inspections", key)
}

// RestockGoods puts inspected goods back into stock.
type RestockGoods struct {
	InspectionID string `json:"inspection_id"`
}

// Restock is the result of RestockGoods.
type Restock struct {
	ID string `json:"restock_id"`
}

// RestockGoods puts the inspected goods back into stock.
func (a *Inventory) RestockGoods(ctx context.Context, key compensation.Key, in RestockGoods) (Restock, error) {
	return do(ctx, a.participant, "restocks", key, in, func(r Restock) error {
		return given("restock_id", r.ID)
	})
}
