// Package shipping books carriers, for goods that go to customers and for goods that come back. It
// knows which carrier serves where and how much room each has left; it does not know what is in stock.
package shipping

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Migrations make the tables and the carriers.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Refusal codes.
const (
	NoCapacity        = "no_capacity"
	CarrierUnknown    = "carrier_unknown"
	CountryNotServed  = "country_not_served"
	ShipmentUnknown   = "shipment_unknown"
	ShipmentCanceled  = "shipment_canceled"
	AlreadyDispatched = "already_dispatched"
)

// Service books shipments. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations].
func New(db *store.DB) *Service { return &Service{db: db, now: time.Now} }

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string { return []string{"BookShipment", "DispatchShipment", "BookReturn"} }

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/shipments/{key}", fence.Step[Shipment, Booking]{
		Name: "BookShipment", Do: s.bookShipment, Undo: s.cancelShipment,
	})
	fence.Handle(mux, s.db.Ledger, "/dispatches/{key}", fence.Step[Dispatch, Dispatched]{
		Name: "DispatchShipment", Do: s.dispatch,
	})
	fence.Handle(mux, s.db.Ledger, "/returns/{key}", fence.Step[Return, ReturnBooking]{
		Name: "BookReturn", Do: s.bookReturn, Undo: s.cancelReturn,
	})
}

// Shipment asks for room with Carrier; empty means the cheapest that has some.
type Shipment struct {
	Carrier string       `json:"carrier"`
	ShipTo  wire.Address `json:"ship_to"`
	Lines   []wire.Line  `json:"lines"`
}

// Booking is a booked shipment.
type Booking struct {
	ShipmentID string `json:"shipment_id"`
	Carrier    string `json:"carrier"`
	Tracking   string `json:"tracking"`
}

// Dispatch hands a booked shipment to its carrier.
type Dispatch struct {
	ShipmentID string `json:"shipment_id"`
}

// Dispatched is how to follow a shipment on its way.
type Dispatched struct {
	Tracking string `json:"tracking"`
}

// Return asks for the cheapest carrier that fetches goods at an address.
type Return struct {
	ShipFrom wire.Address `json:"ship_from"`
	Lines    []wire.Line  `json:"lines"`
}

// ReturnBooking is a booked return shipment.
type ReturnBooking struct {
	ReturnShipmentID string `json:"return_shipment_id"`
	Carrier          string `json:"carrier"`
	Tracking         string `json:"tracking"`
}

func (s *Service) bookShipment(ctx context.Context, tx *sql.Tx, key string, in Shipment) (Booking, error) {
	var c wire.Check
	if in.Carrier != "" {
		c.Form("carrier", order.CarrierForm, in.Carrier)
	}
	c.Address("ship_to", in.ShipTo)
	c.Lines("lines", in.Lines, 1)
	if err := c.Err(); err != nil {
		return Booking{}, err
	}
	return s.book(ctx, tx, booking{
		id: wire.ID("shipment", key), direction: "outbound", carrier: in.Carrier, address: in.ShipTo, lines: in.Lines,
	})
}

func (s *Service) bookReturn(ctx context.Context, tx *sql.Tx, key string, in Return) (ReturnBooking, error) {
	var c wire.Check
	c.Address("ship_from", in.ShipFrom)
	c.Lines("lines", in.Lines, 1)
	if err := c.Err(); err != nil {
		return ReturnBooking{}, err
	}
	out, err := s.book(ctx, tx, booking{
		id: wire.ID("return", key), direction: "return", address: in.ShipFrom, lines: in.Lines,
	})
	return ReturnBooking{ReturnShipmentID: out.ShipmentID, Carrier: out.Carrier, Tracking: out.Tracking}, err
}

// booking is what both directions have in common.
type booking struct {
	id        string
	direction string
	carrier   string // empty: the cheapest
	address   wire.Address
	lines     []wire.Line
}

func (s *Service) book(ctx context.Context, tx *sql.Tx, b booking) (Booking, error) {
	carrier, err := reserveRoom(ctx, tx, b)
	if err != nil {
		return Booking{}, err
	}
	lines, err := json.Marshal(b.lines)
	if err != nil {
		return Booking{}, fmt.Errorf("write packing list: %w", err)
	}
	out := Booking{ShipmentID: b.id, Carrier: carrier, Tracking: trackingOf(carrier, b.id)}
	a := b.address
	_, err = tx.ExecContext(ctx, `INSERT INTO shipments (shipment_id, direction, carrier, tracking,
		name, company, street, street2, postal_code, city, region, country, phone, lines, state, booked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'booked', $15)`,
		out.ShipmentID, b.direction, out.Carrier, out.Tracking,
		a.Name, a.Company, a.Street, a.Street2, a.PostalCode, a.City, a.Region, a.Country, a.Phone, string(lines), s.now().UnixMilli())
	if err != nil {
		return Booking{}, fmt.Errorf("record shipment: %w", err)
	}
	return out, nil
}

// reserveRoom takes one place with the wanted carrier, or with the cheapest that has one left, and
// answers which carrier it is.
func reserveRoom(ctx context.Context, tx *sql.Tx, b booking) (string, error) {
	candidates, err := carriersFor(ctx, tx, b)
	if err != nil {
		return "", err
	}
	for _, carrier := range candidates {
		// Whether there is room is decided here, under the row's lock.
		reserved, err := store.Changed(ctx, tx, `UPDATE carriers SET used = used + 1
			WHERE carrier = $1 AND used < capacity`, carrier)
		if err != nil {
			return "", fmt.Errorf("reserve room: %w", err)
		}
		if reserved {
			return carrier, nil
		}
	}
	if b.carrier != "" {
		return "", fence.Refuse(NoCapacity, "carrier %s has no room left", b.carrier)
	}
	return "", fence.Refuse(NoCapacity, "no carrier that serves %s has room left", b.address.Country)
}

// carriersFor answers who serves the country in that direction, cheapest first and those that look full last; only the
// wanted carrier if there is one.
func carriersFor(ctx context.Context, tx *sql.Tx, b booking) ([]string, error) {
	wanted, country := b.carrier, b.address.Country
	if wanted != "" {
		var serves bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM served_countries WHERE carrier = $1 AND country = $2 AND direction = $3)
			FROM carriers WHERE carrier = $1`, wanted, country, b.direction).Scan(&serves)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil, fence.Refuse(CarrierUnknown, "there is no carrier %s", wanted)
		case err != nil:
			return nil, fmt.Errorf("look up carrier: %w", err)
		case !serves:
			return nil, fence.Refuse(CountryNotServed, "carrier %s does not serve %s", wanted, country)
		}
		return []string{wanted}, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT carrier FROM carriers JOIN served_countries USING (carrier)
		WHERE country = $1 AND direction = $2 ORDER BY used >= capacity, price, carrier`, country, b.direction)
	if err != nil {
		return nil, fmt.Errorf("look up carriers: %w", err)
	}
	defer rows.Close() // Err below says whether reading failed
	var carriers []string
	for rows.Next() {
		var carrier string
		if err := rows.Scan(&carrier); err != nil {
			return nil, fmt.Errorf("look up carriers: %w", err)
		}
		carriers = append(carriers, carrier)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look up carriers: %w", err)
	}
	if len(carriers) == 0 {
		if b.direction == "return" {
			return nil, fence.Refuse(CountryNotServed, "no carrier fetches returns from %s", country)
		}
		return nil, fence.Refuse(CountryNotServed, "no carrier delivers to %s", country)
	}
	return carriers, nil
}

// trackingOf names a shipment as its carrier does: in capitals, carrier first.
func trackingOf(carrier, shipmentID string) string {
	_, digits, _ := strings.Cut(shipmentID, "-")
	return strings.ToUpper(carrier + "-" + digits)
}
