package activities

import (
	"context"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// Shipping books carriers.
type Shipping struct{ participant }

// BookShipment asks a carrier for room.
type BookShipment struct {
	// Carrier is empty for the cheapest that has room.
	Carrier string        `json:"carrier"`
	ShipTo  order.Address `json:"ship_to"`
	Lines   []order.Line  `json:"lines"`
}

// Shipment is room booked with a carrier.
type Shipment struct {
	ID       string `json:"shipment_id"`
	Carrier  string `json:"carrier"`
	Tracking string `json:"tracking"`
}

// BookShipment books room. It refuses when no carrier has any or serves the country.
func (a *Shipping) BookShipment(ctx context.Context, key compensation.Key, in BookShipment) (Shipment, error) {
	return do(ctx, a.participant, "shipments", key, in, func(s Shipment) error {
		return given("shipment_id", s.ID, "carrier", s.Carrier, "tracking", s.Tracking)
	})
}

// CancelShipment gives the room back.
func (a *Shipping) CancelShipment(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "shipments", key)
}

// DispatchShipment hands a booked shipment to its carrier.
type DispatchShipment struct {
	ShipmentID string `json:"shipment_id"`
}

// Dispatch is the result of DispatchShipment.
type Dispatch struct {
	Tracking string `json:"tracking"`
}

// DispatchShipment hands the shipment over.
func (a *Shipping) DispatchShipment(ctx context.Context, key compensation.Key, in DispatchShipment) (Dispatch, error) {
	return do(ctx, a.participant, "dispatches", key, in, func(d Dispatch) error {
		return given("tracking", d.Tracking)
	})
}

// BookReturn asks a carrier to bring goods back.
type BookReturn struct {
	ShipFrom order.Address `json:"ship_from"`
	Lines    []order.Line  `json:"lines"`
}

// ReturnShipment is the way back, booked.
type ReturnShipment struct {
	ID       string `json:"return_shipment_id"`
	Carrier  string `json:"carrier"`
	Tracking string `json:"tracking"`
}

// BookReturn books the way back. It refuses when no carrier has room or serves the country.
func (a *Shipping) BookReturn(ctx context.Context, key compensation.Key, in BookReturn) (ReturnShipment, error) {
	return do(ctx, a.participant, "returns", key, in, func(s ReturnShipment) error {
		return given("return_shipment_id", s.ID, "carrier", s.Carrier, "tracking", s.Tracking)
	})
}

// CancelReturnShipment gives the room back.
func (a *Shipping) CancelReturnShipment(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "returns", key)
}
